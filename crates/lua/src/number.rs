//! Numbers as text, the way C prints them: Lua has only doubles, and Redis turns them into command
//! arguments with `%.17g`, `cjson` with `%.14g`.

use std::fmt::Write as _;

/// Appends `value` as C's `printf("%.{precision}g")` writes it.
pub(crate) fn write_general(value: f64, precision: usize, out: &mut String) {
    if value.is_nan() {
        // The C library prints the sign of NaN, and 0/0 has it on x86.
        out.push_str(if value.is_sign_negative() {
            "-nan"
        } else {
            "nan"
        });
        return;
    }
    if value.is_infinite() {
        out.push_str(if value < 0.0 { "-inf" } else { "inf" });
        return;
    }
    if value == 0.0 {
        out.push_str(if value.is_sign_negative() { "-0" } else { "0" });
        return;
    }
    let precision = precision.max(1);
    // `{:.N e}` rounds correctly to N + 1 digits: "-1.2500e-7".
    let text = format!("{:.*e}", precision - 1, value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits: String = mantissa.chars().filter(|digit| *digit != '.').collect();
    let digits = digits.trim_end_matches('0');
    if value < 0.0 {
        out.push('-');
    }
    if exponent < -4 || exponent >= precision as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        let point = if digits.len() > 1 { "." } else { "" };
        let (first, rest) = digits.split_at(1);
        let _ = write!(out, "{first}{point}{rest}e{sign}{:02}", exponent.abs());
    } else if exponent < 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', (-exponent - 1) as usize));
        out.push_str(digits);
    } else {
        let whole = exponent as usize + 1;
        out.extend(digits.chars().chain(std::iter::repeat('0')).take(whole));
        if digits.len() > whole {
            out.push('.');
            out.push_str(&digits[whole..]);
        }
    }
}

/// `value` as `%.{precision}g`.
pub(crate) fn general(value: f64, precision: usize) -> String {
    let mut text = String::new();
    write_general(value, precision, &mut text);
    text
}

/// An integer as `%.17g` writes it: whole while it has 17 digits.
pub(crate) fn write_integer_as_general(value: i64, out: &mut String) {
    if value.unsigned_abs() < 100_000_000_000_000_000 {
        let _ = write!(out, "{value}");
    } else {
        write_general(value as f64, 17, out);
    }
}

/// A double of a reply, as Redis 7.2 and our own commands write it: the shortest digits that read
/// back the same, plain while short, else with an exponent (`fpconv_dtoa`).
pub(crate) fn shortest(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() || value == 0.0 {
        return general(value, 17);
    }
    // Redis writes doubles in this range that are whole as integers (`double2ll`).
    if value.abs() <= (i64::MAX / 2) as f64 && value.fract() == 0.0 {
        return (value as i64).to_string();
    }
    let text = format!("{:e}", value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits: String = mantissa.chars().filter(|digit| *digit != '.').collect();
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if value < 0.0 { "-" } else { "" };
    format!("{sign}{}", place(&digits, exponent))
}

/// Places `digits`, of which the first stands for 10^`exponent`.
fn place(digits: &str, exponent: i32) -> String {
    let count = digits.len() as i32;
    let last = exponent - (count - 1);
    if last >= 0 && exponent.abs() < count + 7 {
        return format!("{digits}{}", "0".repeat(last as usize));
    }
    if last < 0 && (last > -7 || exponent.abs() < 4) {
        return match usize::try_from(exponent) {
            Ok(whole) => format!("{}.{}", &digits[..=whole], &digits[whole + 1..]),
            Err(_) => format!("0.{}{digits}", "0".repeat((-exponent - 1) as usize)),
        };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    let point = if count > 1 { "." } else { "" };
    let (first, rest) = digits.split_at(1);
    format!("{first}{point}{rest}e{sign}{}", exponent.abs())
}

/// A double as the `long long` that C makes of it on x86: cut towards zero, and the smallest number
/// for everything that does not fit, NaN included.
pub(crate) fn to_long(value: f64) -> i64 {
    // 2^63 is the first double that does not fit.
    if value >= -9_223_372_036_854_775_808.0 && value < 9_223_372_036_854_775_808.0 {
        value as i64
    } else {
        i64::MIN
    }
}

/// A double as the C `int` that `lua_tointeger` and a cast make of it.
pub(crate) fn to_int(value: f64) -> i32 {
    to_long(value) as i32
}

/// Reads a number as `lua_tonumber` reads a string: decimal or hexadecimal, blanks around it.
pub(crate) fn parse(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}');
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = match digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        Some(hex) if hex.bytes().all(|byte| byte.is_ascii_hexdigit()) && !hex.is_empty() => hex
            .chars()
            .filter_map(|c| c.to_digit(16))
            .fold(0.0, |sum, digit| sum * 16.0 + f64::from(digit)),
        Some(_) => return None,
        // Rust's parser takes the same decimal forms, signs (cut off above), `inf` and `nan`.
        None if digits.starts_with(['-', '+']) => return None,
        None => digits.parse().ok()?,
    };
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_c_writes_them() {
        for (value, precision, text) in [
            (1.5, 17, "1.5"),
            (0.1, 17, "0.10000000000000001"),
            (0.1, 14, "0.1"),
            (3.1, 17, "3.1000000000000001"),
            (1e20, 17, "1e+20"),
            (1e15, 14, "1e+15"),
            (1e14, 14, "1e+14"),
            (99_999_999_999_999.0, 14, "99999999999999"),
            (123_456_789_012_345_678.0, 14, "1.2345678901235e+17"),
            (0.0001, 14, "0.0001"),
            (0.00001, 14, "1e-05"),
            (-2.5e-7, 14, "-2.5e-07"),
            (1e300, 17, "1.0000000000000001e+300"),
            (100.0, 1, "1e+02"),
            (f64::INFINITY, 17, "inf"),
            (-0.0, 17, "-0"),
        ] {
            assert_eq!(general(value, precision), text);
        }
    }

    #[test]
    fn doubles_become_longs_as_in_c() {
        assert_eq!(to_long(3.99), 3);
        assert_eq!(to_long(-3.99), -3);
        for beyond in [1e20, -1e20, f64::NAN, f64::INFINITY] {
            assert_eq!(to_long(beyond), i64::MIN);
        }
    }

    #[test]
    fn text_is_read_as_lua_reads_it() {
        for (text, value) in [
            ("10", 10.0),
            (" 0x1F ", 31.0),
            ("-1e2", -100.0),
            ("+5", 5.0),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(value), "{text}");
        }
        for text in ["", "x", "1x", "0x", "--1", "1 2"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
