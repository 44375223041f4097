//! Values of settings, read as Redis reads them (`config.c`, `util.c`).

use bytes::Bytes;
use coterie_redis_compat::number;

pub(in crate::commands) fn decimal(value: impl ToString) -> Bytes {
    Bytes::from(value.to_string())
}

pub(super) fn check_number(value: &[u8], least: i64, most: i64) -> Result<(), String> {
    // Those that count bytes may be written with a unit.
    let number = number::parse_int(value).or_else(|| i64::try_from(memory(value).ok()?).ok());
    match number {
        Some(number) if (least..=most).contains(&number) => Ok(()),
        Some(_) => Err(format!(
            "argument must be between {least} and {most} inclusive"
        )),
        None => Err(NOT_AN_INTEGER.to_owned()),
    }
}

/// A number; a number below zero is made greater than any range's end.
pub(super) fn plain(value: &[u8]) -> Result<u64, &'static str> {
    let number = number::parse_int(value).ok_or(NOT_AN_INTEGER)?;
    Ok(u64::try_from(number).unwrap_or(u64::MAX))
}

/// A size as Redis writes it: `1mb` is 2^20 bytes, `1m` is 10^6, and a unit alone is 0. A
/// number too long for 64 bits wraps around (`util.c`, `memtoull`).
pub(super) fn memory(value: &[u8]) -> Result<u64, &'static str> {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit());
    let (number, unit) = value.split_at(digits.count());
    let factor = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return Err(NOT_A_SIZE),
    };
    if number.len() >= 128 {
        return Err(NOT_A_SIZE);
    }
    let number = number.iter().fold(0u64, |number, digit| {
        let digit = u64::from(digit - b'0');
        number.saturating_mul(10).saturating_add(digit)
    });
    Ok(number.wrapping_mul(factor))
}

pub(super) const NOT_AN_INTEGER: &str = "argument couldn't be parsed into an integer";
pub(super) const NOT_A_SIZE: &str = "argument must be a memory value";

pub(super) fn switch(value: &[u8]) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_slice() {
        b"yes" => Ok(true),
        b"no" => Ok(false),
        _ => Err("argument must be 'yes' or 'no'".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_redis_reads_them() {
        for (text, bytes) in [
            ("0", 0),
            ("5", 5),
            ("1k", 1000),
            ("2KB", 2048),
            ("1gb", 1 << 30),
            ("02mb", 2 << 20),
            ("", 0),
            ("mb", 0),
            ("99999999999999999999", u64::MAX),
            ("18446744073709551615gb", u64::MAX << 30),
        ] {
            assert_eq!(memory(text.as_bytes()), Ok(bytes), "{text}");
        }
        for text in ["-1", "abc", "1x", "1.5mb", "+2mb", "2-mb", " 2mb"] {
            assert_eq!(memory(text.as_bytes()), Err(NOT_A_SIZE), "{text}");
        }
    }
}
