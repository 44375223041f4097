//! Numbers as Redis reads and writes them.
//!
//! Integers are stricter than `str::parse`: no `+`, no leading zeros, no `-0`, at most 20 bytes
//! (`util.c`, `string2ll`). Doubles are written with the fewest digits that read back the same
//! (`util.c`, `d2string`).

use bytes::Bytes;

/// Reads an i64; `None` if [`format_int`] would not write it so.
#[must_use]
pub fn parse_int(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] => return (!negative).then_some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut value = 0u64;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // At most 19 digits: below 10^19, which fits.
        value = value * 10 + u64::from(digit);
    }
    if negative {
        0i64.checked_sub_unsigned(value)
    } else {
        i64::try_from(value).ok()
    }
}

/// Writes an integer in decimal.
#[must_use]
pub fn format_int(value: i64) -> Bytes {
    Bytes::copy_from_slice(itoa::Buffer::new().format(value).as_bytes())
}

/// Writes a double as Redis 7.2 does: plain while short, else with an exponent.
#[must_use]
pub fn double(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value < 0.0 { "-inf" } else { "inf" }.to_owned();
    }
    if value == 0.0 {
        return if value.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    // Redis writes doubles in this range that are whole as integers (`double2ll`).
    let safe = (i64::MAX / 2) as f64;
    if value.abs() <= safe && value.fract() == 0.0 {
        return (value as i64).to_string();
    }
    // Rust's `{:e}` gives the shortest digits: "-1.2345e-7".
    let text = format!("{:e}", value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    let exponent = exponent.parse::<i32>().unwrap_or(0);
    let sign = if value < 0.0 { "-" } else { "" };
    format!("{sign}{}", place_digits(&digits, exponent))
}

/// Places `digits`, of which the first stands for 10^`exponent`, as `fpconv_dtoa` does.
fn place_digits(digits: &str, exponent: i32) -> String {
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
    format!(
        "{}{point}{}e{sign}{}",
        &digits[..1],
        &digits[1..],
        exponent.abs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_strictly_as_redis_reads_them() {
        for (text, value) in [
            ("0", 0),
            ("7", 7),
            ("-1", -1),
            ("9223372036854775807", i64::MAX),
        ] {
            assert_eq!(parse_int(text.as_bytes()), Some(value), "{text}");
        }
        assert_eq!(parse_int(b"-9223372036854775808"), Some(i64::MIN));
        for text in [
            "",
            "-",
            "+7",
            "007",
            "-0",
            " 1",
            "1 ",
            "1.0",
            "0x1",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999",
            "18446744073709551616",
        ] {
            assert_eq!(parse_int(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn doubles_are_written_as_redis_writes_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (-17.5, "-17.5"),
            (0.1, "0.1"),
            (1e-5, "0.00001"),
            (1.5e-9, "1.5e-9"),
            (1e20, "1e+20"),
            (1e300, "1e+300"),
            (1.0 / 3.0, "0.3333333333333333"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(double(value), text);
        }
    }
}
