//! Scores as Redis reads them: by C's `strtod`, to the nearest double, ties to even.
//!
//! Source: Redis `util.c`, `string2d`, and `t_zset.c`, `zslParseRange`.

/// Hexadecimal digits that a mantissa of 128 bits takes for sure.
const MANTISSA_FULL: u128 = 1 << 120;
/// Exponents further out make no difference.
const EXPONENT_FAR: i64 = 1_000_000;

/// A number at the start of a text.
struct Number {
    value: f64,
    /// How many bytes it takes; 0 if there is none.
    len: usize,
    /// Its digits say a number that no double is near to: too large, or too small for any but 0.
    is_out_of_range: bool,
}

/// Reads a score or a weight: nothing may stand around it, and it is a number.
pub(crate) fn parse_score(text: &[u8]) -> Option<f64> {
    let first = text.first()?;
    let number = strtod(text);
    let is_whole = number.len == text.len() && !is_space(first);
    let is_fine = is_whole && !number.is_out_of_range && !number.value.is_nan();
    is_fine.then_some(number.value)
}

/// Reads a bound of a range of scores: up to the first NUL, with space before it, nothing being 0.
pub(super) fn parse_bound(text: &[u8]) -> Option<f64> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let number = strtod(text);
    (number.len == text.len() && !number.value.is_nan()).then_some(number.value)
}

/// The number at the start of a text, as `strtod` reads it.
fn strtod(text: &[u8]) -> Number {
    let spaces = text.iter().take_while(|byte| is_space(byte)).count();
    let (negative, sign) = match text.get(spaces) {
        Some(b'-') => (true, 1),
        Some(b'+') => (false, 1),
        _ => (false, 0),
    };
    let before = spaces + sign;
    let mut number = unsigned(&text[before..]);
    if number.len > 0 {
        number.len += before;
    }
    if negative {
        number.value = -number.value;
    }
    number
}

fn is_space(byte: &u8) -> bool {
    // `u8::is_ascii_whitespace` leaves the vertical tab out.
    byte.is_ascii_whitespace() || *byte == 0x0b
}

fn unsigned(text: &[u8]) -> Number {
    let begins = |word: &str| {
        let head = text.get(..word.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(word.as_bytes()))
    };
    let named = |value, len| Number {
        value,
        len,
        is_out_of_range: false,
    };
    if begins("infinity") {
        return named(f64::INFINITY, "infinity".len());
    }
    if begins("inf") {
        return named(f64::INFINITY, "inf".len());
    }
    if begins("nan") {
        return named(f64::NAN, "nan".len() + payload_len(&text["nan".len()..]));
    }
    if begins("0x")
        && let Some(mut number) = hexadecimal(&text[2..])
    {
        number.len += 2;
        return number;
    }
    decimal(text)
}

/// How many bytes `(letters)` behind `nan` take.
fn payload_len(text: &[u8]) -> usize {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let letters = text
        .iter()
        .skip(1)
        .take_while(|byte| is_letter(byte))
        .count();
    let is_there = text.first() == Some(&b'(') && text.get(letters + 1) == Some(&b')');
    if is_there { letters + 2 } else { 0 }
}

fn decimal(text: &[u8]) -> Number {
    let Some(mantissa) = mantissa_len(text, 10) else {
        return Number {
            value: 0.0,
            len: 0,
            is_out_of_range: false,
        };
    };
    let len = mantissa + exponent(&text[mantissa..], b'e').map_or(0, |(_, len)| len);
    let digits = std::str::from_utf8(&text[..len]).unwrap_or_default();
    let value = digits.parse::<f64>().unwrap_or(f64::NAN);
    let is_zero = !text[..mantissa]
        .iter()
        .any(|byte| matches!(byte, b'1'..=b'9'));
    Number {
        value,
        len,
        is_out_of_range: value.is_infinite() || (value == 0.0 && !is_zero),
    }
}

/// How many bytes the digits around a point take; `None` if there is no digit.
fn mantissa_len(text: &[u8], base: u32) -> Option<usize> {
    let digits = |text: &[u8]| {
        let is_digit = |byte: &u8| char::from(*byte).is_digit(base);
        text.iter().take_while(|byte| is_digit(byte)).count()
    };
    let whole = digits(text);
    let fraction = match text.get(whole) {
        Some(b'.') => digits(&text[whole + 1..]),
        _ => return (whole > 0).then_some(whole),
    };
    (whole + fraction > 0).then_some(whole + 1 + fraction)
}

/// An exponent behind its letter, and how many bytes both take.
fn exponent(text: &[u8], letter: u8) -> Option<(i64, usize)> {
    let (first, rest) = text.split_first()?;
    let (sign, digits) = match rest {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    let count = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if !first.eq_ignore_ascii_case(&letter) || count == 0 {
        return None;
    }
    let add = |value: i64, digit: &u8| (value * 10 + i64::from(digit - b'0')).min(EXPONENT_FAR);
    let value = digits[..count].iter().fold(0, add);
    let len = text.len() - digits.len() + count;
    Some((sign * value, len))
}

/// What follows `0x`.
fn hexadecimal(text: &[u8]) -> Option<Number> {
    let len = mantissa_len(text, 16)?;
    let (mut mantissa, mut power, mut is_cut, mut is_fraction) = (0u128, 0i64, false, false);
    for byte in &text[..len] {
        let Some(digit) = char::from(*byte).to_digit(16) else {
            is_fraction = true;
            continue;
        };
        if mantissa < MANTISSA_FULL {
            mantissa = mantissa << 4 | u128::from(digit);
            power -= if is_fraction { 4 } else { 0 };
        } else {
            is_cut |= digit != 0;
            power += if is_fraction { 0 } else { 4 };
        }
    }
    let (scale, scale_len) = exponent(&text[len..], b'p').unwrap_or((0, 0));
    let value = nearest(mantissa, is_cut, power.saturating_add(scale));
    Some(Number {
        value,
        len: len + scale_len,
        is_out_of_range: value.is_infinite() || (value == 0.0 && mantissa != 0),
    })
}

/// The double nearest to `mantissa * 2^power`; `is_cut` says that further bits were dropped.
fn nearest(mantissa: u128, is_cut: bool, power: i64) -> f64 {
    const SMALLEST: i64 = -1074;
    let bits = i64::from(u128::BITS - mantissa.leading_zeros());
    // How many bits the format keeps: fewer near 0.
    let kept_bits = (bits + power - SMALLEST).min(53);
    let dropped = bits - kept_bits;
    if mantissa == 0 || kept_bits < 0 {
        return 0.0;
    }
    if dropped <= 0 {
        return times_power_of_two(mantissa as f64, power);
    }
    let kept = mantissa.checked_shr(dropped as u32).unwrap_or(0);
    let rest = mantissa - kept.checked_shl(dropped as u32).unwrap_or(0);
    let half = 1u128 << (dropped - 1);
    let is_odd = kept & 1 == 1;
    let goes_up = rest > half || (rest == half && (is_cut || is_odd));
    times_power_of_two((kept + u128::from(goes_up)) as f64, power + dropped)
}

/// `value * 2^power`, where the product is exact or infinite.
fn times_power_of_two(value: f64, power: i64) -> f64 {
    let mut left = power.clamp(-4_000, 4_000);
    let mut value = value;
    while left != 0 {
        let step = left.clamp(-1_000, 1_000);
        value *= f64::from_bits(((1_023 + step) as u64) << 52);
        left -= step;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_read_as_redis_reads_them() {
        for (text, value) in [
            ("0", 0.0),
            ("-0", -0.0),
            ("+1.5", 1.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("1E-3", 0.001),
            ("inf", f64::INFINITY),
            ("-INF", f64::NEG_INFINITY),
            ("+infinity", f64::INFINITY),
            ("0x1p4", 16.0),
            ("0x.8", 0.5),
            ("-0XaP-1", -5.0),
            ("9007199254740993", 9_007_199_254_740_992.0),
            ("0x20000000000001", 9_007_199_254_740_992.0),
            ("0x20000000000003", 9_007_199_254_740_996.0),
            ("4.9e-324", 5e-324),
            ("0x1p-1074", 5e-324),
            ("1.7976931348623157e308", f64::MAX),
            ("0x1.fffffffffffffp1023", f64::MAX),
        ] {
            let read = parse_score(text.as_bytes());
            assert_eq!(read.map(f64::to_bits), Some(value.to_bits()), "{text}");
        }
        for text in [
            "",
            " 1",
            "1 ",
            "\t1",
            "1e",
            "e1",
            "0x",
            "0xg",
            "1_0",
            "nan",
            "-nan",
            "nan(1)",
            "1e309",
            "-1e309",
            "1e-400",
            "0x1p1024",
            "0x1p-1076",
            "infinit",
            "--1",
            "+-1",
            ".",
            "1.2.3",
            "a",
            "1\0",
        ] {
            assert_eq!(parse_score(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn bounds_are_read_as_strtod_reads_them() {
        for (text, value) in [
            ("", 0.0),
            ("\0x", 0.0),
            (" 7", 7.0),
            ("\x0b-7", -7.0),
            ("1\0abc", 1.0),
            ("1e999", f64::INFINITY),
            ("-1e999", f64::NEG_INFINITY),
            ("1e-999", 0.0),
        ] {
            assert_eq!(parse_bound(text.as_bytes()), Some(value), "{text:?}");
        }
        for text in [" ", "x", "1 ", "nan", "(1", "1e"] {
            assert_eq!(parse_bound(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn long_hexadecimal_numbers_are_rounded_once() {
        // Half of the last bit, and a bit far behind it.
        let half = format!("0x1{}8{}", "0".repeat(13), "0".repeat(40));
        let above = format!("{half}1");
        let (half, above) = (parse_score(half.as_bytes()), parse_score(above.as_bytes()));
        assert_eq!(half.map(f64::to_bits).map(|bits| bits & 1), Some(0));
        assert_eq!(above.map(f64::to_bits).map(|bits| bits & 1), Some(1));
        assert_eq!(parse_score(b"0x1.8p-1074"), Some(1e-323), "ties go to even");
        assert_eq!(parse_score(b"0x0.8p-1074"), None, "and to 0");
        assert_eq!(parse_score(b"0x0.9p-1074"), Some(5e-324));
    }
}
