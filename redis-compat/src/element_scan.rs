//! The words of `HSCAN`, `SSCAN` and `ZSCAN`.
//!
//! Source: Redis `db.c`, `parseScanCursorOrReply` and `scanGenericCommand`.

use bytes::Bytes;

use crate::errors::{INVALID_CURSOR, SYNTAX};
use crate::{Args, CommandError, glob, number};

/// Elements of a page, unless `COUNT` says another number.
const COUNT: usize = 10;

/// The options.
pub(crate) struct Options<'a> {
    pattern: Option<&'a Bytes>,
    /// About how many elements are visited.
    pub(crate) count: usize,
    /// `NOVALUES`, of `HSCAN` alone.
    pub(crate) no_values: bool,
}

impl<'a> Options<'a> {
    /// The options from word 3 on. Errors: `SYNTAX`, `NOT_AN_INTEGER`.
    pub(crate) fn parse(args: &Args<'a>, has_values: bool) -> Result<Self, CommandError> {
        let mut options = Self {
            pattern: None,
            count: COUNT,
            no_values: false,
        };
        let mut words = args.options(3);
        while let Some(word) = words.next() {
            match word.keyword().as_str() {
                "match" => options.pattern = Some(words.value()?),
                "count" => {
                    let count = words.int()?;
                    options.count = usize::try_from(count)
                        .ok()
                        .filter(|count| *count > 0)
                        .ok_or(SYNTAX)?;
                }
                "novalues" if has_values => options.no_values = true,
                _ => return Err(SYNTAX),
            }
        }
        options.pattern = options.pattern.filter(|pattern| pattern.as_ref() != b"*");
        Ok(options)
    }

    /// Whether an element of this name is listed.
    pub(crate) fn passes(&self, name: &[u8]) -> bool {
        self.pattern
            .is_none_or(|pattern| glob::matches(pattern, name))
    }
}

/// The cursor in a word, read as C's `strtoul` reads it. Errors: `INVALID_CURSOR`.
pub(crate) fn cursor(word: &[u8]) -> Result<u64, CommandError> {
    // C sees the text up to the first NUL.
    let text = word.split(|byte| *byte == 0).next().unwrap_or_default();
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if text.is_empty() {
        return Ok(0);
    }
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(INVALID_CURSOR);
    }
    let value = std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse::<u64>().ok());
    let value = value.ok_or(INVALID_CURSOR)?;
    Ok(if is_negative {
        value.wrapping_neg()
    } else {
        value
    })
}

/// A cursor as it is replied.
pub(crate) fn cursor_reply(cursor: u64) -> crate::Reply {
    // A hash of 48 bits.
    crate::Reply::Bulk(number::format_int(cursor as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_as_redis_reads_them() {
        for (word, value) in [
            ("0", 0),
            ("", 0),
            ("007", 7),
            ("+5", 5),
            ("-1", u64::MAX),
            ("18446744073709551615", u64::MAX),
            ("3\0x", 3),
            ("\0", 0),
            ("0\x001", 0),
            ("-18446744073709551615", 1),
        ] {
            assert_eq!(cursor(word.as_bytes()), Ok(value), "{word:?}");
        }
        for word in ["x", " 1", "1.5", "18446744073709551616", "-", "-+1", "1 "] {
            assert_eq!(cursor(word.as_bytes()), Err(INVALID_CURSOR), "{word:?}");
        }
    }
}
