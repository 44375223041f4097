//! Conditions on the present value: `NX`, `XX`, and since Redis 8.4 `IFEQ`, `IFNE`, `IFDEQ`,
//! `IFDNE`; and the digest of a string.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use crate::command::Part;
use crate::errors::error_lines;
use crate::{CommandError, Words};

pub(super) const PART: Part = Part::new(&[], LINES);

error_lines! {
    /// A word that cannot be a digest.
    DIGEST_LENGTH = "ERR digest must be exactly 16 hexadecimal characters";
}

/// The hexadecimal digits of a digest.
const DIGITS: usize = 16;

/// A condition on the value of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition<'a> {
    /// `NX`: there is no value.
    Absent,
    /// `XX`: there is a value.
    Present,
    /// `IFEQ`: it is this.
    Equal(&'a Bytes),
    /// `IFNE`: it is not this.
    NotEqual(&'a Bytes),
    /// `IFDEQ`: its digest is this.
    DigestEqual(u64),
    /// `IFDNE`: its digest is not this.
    DigestNotEqual(u64),
}

impl<'a> Condition<'a> {
    /// The keywords of the conditions that compare the value.
    pub(super) const COMPARING: [&'static str; 4] = ["ifeq", "ifne", "ifdeq", "ifdne"];

    /// The condition of a keyword that compares the value, which takes the word behind it; `None`
    /// if it is another keyword. Errors: `SYNTAX`, `DIGEST_LENGTH`.
    pub(super) fn comparing(
        keyword: &str,
        words: &mut Words<'a>,
    ) -> Result<Option<Self>, CommandError> {
        Ok(Some(match keyword {
            "ifeq" => Self::Equal(words.value()?),
            "ifne" => Self::NotEqual(words.value()?),
            "ifdeq" => Self::DigestEqual(parse_digest(words.value()?)?),
            "ifdne" => Self::DigestNotEqual(parse_digest(words.value()?)?),
            _ => return Ok(None),
        }))
    }

    /// Whether the value itself counts, which must be a string then.
    pub(super) fn compares(self) -> bool {
        !matches!(self, Self::Absent | Self::Present)
    }

    /// Whether it holds of a key with a value, or of an absent key. The bytes are looked at only if
    /// it compares.
    pub(super) fn holds(self, exists: bool, value: Option<&Bytes>) -> bool {
        let digest = || value.map(|value| xxh3_64(value));
        match self {
            Self::Absent => !exists,
            Self::Present => exists,
            Self::Equal(other) => value == Some(other),
            Self::NotEqual(other) => value != Some(other),
            Self::DigestEqual(other) => digest() == Some(other),
            Self::DigestNotEqual(other) => digest() != Some(other),
        }
    }
}

/// The digest of a string: XXH3 of 64 bits, in 16 hexadecimal digits.
pub(super) fn digest(value: &[u8]) -> String {
    format!("{:016x}", xxh3_64(value))
}

/// Errors: `DIGEST_LENGTH`.
fn parse_digest(word: &[u8]) -> Result<u64, CommandError> {
    let is_digest = word.len() == DIGITS && word.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(word).ok().filter(|_| is_digest);
    let digest = text.and_then(|text| u64::from_str_radix(text, 16).ok());
    digest.ok_or(DIGEST_LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_value_differs_from_every_value() {
        let (same, other) = (Bytes::from("a"), Bytes::from("b"));
        let sum = parse_digest(digest(&same).to_uppercase().as_bytes()).unwrap();
        for (condition, absent, equal, different) in [
            (Condition::Absent, true, false, false),
            (Condition::Present, false, true, true),
            (Condition::Equal(&same), false, true, false),
            (Condition::NotEqual(&same), true, false, true),
            (Condition::DigestEqual(sum), false, true, false),
            (Condition::DigestNotEqual(sum), true, false, true),
        ] {
            assert_eq!(condition.holds(false, None), absent, "{condition:?}");
            assert_eq!(condition.holds(true, Some(&same)), equal, "{condition:?}");
            assert_eq!(
                condition.holds(true, Some(&other)),
                different,
                "{condition:?}"
            );
        }
        for word in ["", "123", "+123456789abcdef", "0123456789abcdefg"] {
            assert_eq!(parse_digest(word.as_bytes()), Err(DIGEST_LENGTH), "{word}");
        }
    }
}
