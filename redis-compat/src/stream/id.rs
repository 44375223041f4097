//! Ids of stream entries: `ms-seq`.
//!
//! Source: Redis `t_stream.c`, `streamGenericParseIDOrReply`, and `util.c`, `string2ull`.

use std::fmt;

use bytes::{Buf, Bytes};
use coterie_types::varint;

use crate::command::Part;
use crate::errors::error_lines;
use crate::{CommandError, Reply, number};

pub(super) const PART: Part = Part::new(&[], LINES);

error_lines! {
    /// A command that needs the stream to be there.
    pub(super) NO_SUCH_KEY = "ERR no such key";
    /// An id that is none.
    pub(super) INVALID_ID = "ERR Invalid stream ID specified as stream command argument";
    /// An interval that begins after the last id there can be.
    pub(super) INVALID_START = "ERR invalid start ID for the interval";
    /// An interval that ends before the first id there can be.
    pub(super) INVALID_END = "ERR invalid end ID for the interval";
}

/// A longer text is no id.
const TEXT_BYTES_MAX: usize = 127;

/// The id of an entry. Ids order as numbers of 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct StreamId {
    /// Milliseconds, mostly of the Unix time.
    pub(super) ms: u64,
    /// Number within the millisecond.
    pub(super) seq: u64,
}

/// The id that `XADD` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NewId {
    /// `*`: of the moment.
    Auto,
    /// `ms-*`: the next in this millisecond.
    AutoSeq(u64),
    /// This one.
    Given(StreamId),
}

impl StreamId {
    /// Bytes of an id as a key.
    pub(super) const BYTES: usize = 16;
    /// Before all entries; no entry has it.
    pub(super) const MIN: Self = Self::new(0, 0);
    /// The last id there can be.
    pub(super) const MAX: Self = Self::new(u64::MAX, u64::MAX);

    pub(super) const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// The id as bytes that order as ids do.
    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        ((u128::from(self.ms) << 64) | u128::from(self.seq)).to_be_bytes()
    }

    /// The id in exactly these bytes.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let number = u128::from_be_bytes(bytes.try_into().ok()?);
        Some(Self::new((number >> 64) as u64, number as u64))
    }

    pub(super) fn put(self, out: &mut Vec<u8>) {
        varint::put(out, self.ms);
        varint::put(out, self.seq);
    }

    pub(super) fn take(input: &mut impl Buf) -> Option<Self> {
        Some(Self::new(varint::take(input)?, varint::take(input)?))
    }

    /// The next id; `None` after the last.
    pub(super) fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self::new(self.ms, seq)),
            None => Some(Self::new(self.ms.checked_add(1)?, 0)),
        }
    }

    /// The id before; `None` before the first.
    pub(super) fn previous(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self::new(self.ms, seq)),
            None => Some(Self::new(self.ms.checked_sub(1)?, u64::MAX)),
        }
    }

    /// The id of a word; `-` and `+` are none. Errors: `INVALID_ID`.
    pub(super) fn parse(word: &[u8]) -> Result<Self, CommandError> {
        Self::parse_or(word, 0)
    }

    /// The same, with this `seq` where the word has milliseconds alone.
    fn parse_or(word: &[u8], seq: u64) -> Result<Self, CommandError> {
        let text = c_text(word).ok_or(INVALID_ID)?;
        let (ms, given) = split(text);
        let seq = match given {
            Some(given) => parse_number(given).ok_or(INVALID_ID)?,
            None => seq,
        };
        Ok(Self::new(parse_number(ms).ok_or(INVALID_ID)?, seq))
    }

    /// The same; `-` is the first id, `+` the last. Errors: `INVALID_ID`.
    pub(super) fn parse_any(word: &[u8], seq: u64) -> Result<Self, CommandError> {
        match c_text(word) {
            Some(b"-") => Ok(Self::MIN),
            Some(b"+") => Ok(Self::MAX),
            _ => Self::parse_or(word, seq),
        }
    }

    /// The first id of an interval. Errors: `INVALID_ID`, `INVALID_START`.
    pub(super) fn parse_start(word: &[u8]) -> Result<Self, CommandError> {
        match word {
            [b'(', id @ ..] if !id.is_empty() => Self::parse_or(id, 0)?.next().ok_or(INVALID_START),
            _ => Self::parse_any(word, 0),
        }
    }

    /// The last id of an interval. Errors: `INVALID_ID`, `INVALID_END`.
    pub(super) fn parse_end(word: &[u8]) -> Result<Self, CommandError> {
        match word {
            [b'(', id @ ..] if !id.is_empty() => {
                Self::parse_or(id, u64::MAX)?.previous().ok_or(INVALID_END)
            }
            _ => Self::parse_any(word, u64::MAX),
        }
    }

    /// The ids of some words. Errors: `INVALID_ID`.
    pub(super) fn parse_all(words: &[Bytes]) -> Result<Vec<Self>, CommandError> {
        words.iter().map(|word| Self::parse(word)).collect()
    }

    /// The id as a reply.
    pub(super) fn reply(self) -> Reply {
        Reply::Bulk(Bytes::from(self.to_string()))
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl NewId {
    /// The id that a word of `XADD` names. Errors: `INVALID_ID`.
    pub(super) fn parse(word: &[u8]) -> Result<Self, CommandError> {
        let text = c_text(word).ok_or(INVALID_ID)?;
        if text == b"*" {
            return Ok(Self::Auto);
        }
        match split(text) {
            (ms, Some(b"*")) => Ok(Self::AutoSeq(parse_number(ms).ok_or(INVALID_ID)?)),
            _ => Ok(Self::Given(StreamId::parse(word)?)),
        }
    }

    /// The id itself, behind `last` at `now`; `None` if there is none.
    pub(super) fn after(self, last: StreamId, now: u64) -> Option<StreamId> {
        let id = match self {
            Self::Auto if now > last.ms => StreamId::new(now, 0),
            Self::Auto => last.next()?,
            Self::AutoSeq(ms) if ms == last.ms => StreamId::new(ms, last.seq.checked_add(1)?),
            Self::AutoSeq(ms) => StreamId::new(ms, 0),
            Self::Given(id) => id,
        };
        (id > last).then_some(id)
    }
}

/// The word up to its first NUL; `None` if it is too long for an id.
fn c_text(word: &[u8]) -> Option<&[u8]> {
    (word.len() <= TEXT_BYTES_MAX).then(|| until_nul(word))
}

/// The bytes before the first NUL: Redis reads some words as C strings.
pub(super) fn until_nul(word: &[u8]) -> &[u8] {
    let end = word.iter().position(|byte| *byte == 0);
    &word[..end.unwrap_or(word.len())]
}

/// The text before the first `-`, and behind it.
fn split(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| *byte == b'-') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// An u64 as Redis reads it: strictly below 2^63, else as C's `strtoull` does, with blanks before
/// it, a sign and zeros.
fn parse_number(text: &[u8]) -> Option<u64> {
    if let Some(number) = number::parse_int(text) {
        return u64::try_from(number).ok();
    }
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let start = text.iter().position(|byte| !is_blank(byte))?;
    let (is_negative, digits) = match &text[start..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let mut value = (!digits.is_empty()).then_some(0u64)?;
    for byte in digits {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    Some(if is_negative {
        value.wrapping_neg()
    } else {
        value
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_redis_reads_them() {
        let id = StreamId::new;
        for (text, expected) in [
            ("5", Some(id(5, 0))),
            ("5-3", Some(id(5, 3))),
            (
                "18446744073709551615-18446744073709551615",
                Some(StreamId::MAX),
            ),
            ("007-+3", Some(id(7, 3))),
            (" 7", Some(id(7, 0))),
            ("5-3\0x", Some(id(5, 3))),
            ("", None),
            ("-", None),
            ("+", None),
            ("5-", None),
            ("-5", None),
            ("5--3", None),
            ("5-3-1", None),
            ("18446744073709551616", None),
            ("5-*", None),
            ("x", None),
        ] {
            assert_eq!(StreamId::parse(text.as_bytes()).ok(), expected, "{text:?}");
        }
        assert!(StreamId::parse(&[b'0'; 128]).is_err());
        assert_eq!(StreamId::parse_any(b"+", 0), Ok(StreamId::MAX));
        assert_eq!(StreamId::parse_start(b"(5"), Ok(id(5, 1)));
        assert_eq!(StreamId::parse_end(b"5"), Ok(id(5, u64::MAX)));
        assert_eq!(StreamId::parse_end(b"(5-0"), Ok(id(4, u64::MAX)));
        assert_eq!(StreamId::parse_end(b"(0-0"), Err(INVALID_END));
        let last = b"(18446744073709551615-18446744073709551615";
        assert_eq!(StreamId::parse_start(last), Err(INVALID_START));
        assert_eq!(StreamId::parse_start(b"("), Err(INVALID_ID));
        assert_eq!(StreamId::parse_start(b"(-"), Err(INVALID_ID));
    }

    #[test]
    fn a_new_id_is_behind_the_last() {
        let (id, new) = (StreamId::new, |text: &str| NewId::parse(text.as_bytes()));
        for (text, last, expected) in [
            ("*", id(3, 4), Some(id(9, 0))),
            ("*", id(9, 4), Some(id(9, 5))),
            ("*", id(20, u64::MAX), Some(id(21, 0))),
            ("*", StreamId::MAX, None),
            ("5-*", id(3, 4), Some(id(5, 0))),
            ("5-*", id(5, 4), Some(id(5, 5))),
            ("5-*", id(5, u64::MAX), None),
            ("5-*", id(6, 0), None),
            ("0-*", StreamId::MIN, Some(id(0, 1))),
            ("5-4", id(5, 4), None),
            ("5-5", id(5, 4), Some(id(5, 5))),
        ] {
            assert_eq!(new(text).unwrap().after(last, 9), expected, "{text}");
        }
        assert_eq!(new("x-*"), Err(INVALID_ID));
    }

    #[test]
    fn bytes_of_ids_order_as_ids_do() {
        let ids = [
            StreamId::MIN,
            StreamId::new(0, 1),
            StreamId::new(1, 0),
            StreamId::MAX,
        ];
        for pair in ids.windows(2) {
            assert!(pair[0].to_bytes() < pair[1].to_bytes());
            assert_eq!(StreamId::of_bytes(&pair[1].to_bytes()), Some(pair[1]));
            assert_eq!(pair[0].next().map(|id| id <= pair[1]), Some(true));
        }
        assert_eq!(
            StreamId::new(1, 0).previous(),
            Some(StreamId::new(0, u64::MAX))
        );
        assert_eq!(
            (StreamId::MIN.previous(), StreamId::MAX.next()),
            (None, None)
        );
    }
}
