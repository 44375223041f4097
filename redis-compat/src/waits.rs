//! Commands that wait for data: BLPOP, BLMOVE, XREAD with BLOCK, and their kind.
//!
//! A command that waits is executed like any other. If it finds nothing it says so
//! ([`Txn::wait`](crate::Txn)), and its reply, a null, is for those who cannot wait: transactions
//! and scripts. Otherwise the leader of the group keeps the command, and executes it again when a
//! key of it may have data (`coterie_group::Waiters`). The proxy keeps the time.
//!
//! The row says where the timeout stands, and which commands compete for the same data
//! ([`WaitQueue`]). The flags of the keys say which commands may bring data ([`Touch`]).

use bytes::Bytes;

use crate::errors::{
    TIMEOUT_NEGATIVE, TIMEOUT_NOT_A_FLOAT, TIMEOUT_NOT_AN_INTEGER, TIMEOUT_OUT_OF_RANGE,
};
use crate::float80::Float80;
use crate::{Args, CommandError, EvalError, Kind, Txn, Word, number};

/// How a row says that its command may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waits {
    /// Where the timeout stands.
    pub(crate) timeout: Timeout,
    /// Who competes for the same data.
    pub(crate) queue: fn(&[Bytes]) -> WaitQueue,
    /// Replaces words that mean something else at each moment.
    pub(crate) resolve: Option<ResolveWords>,
}

/// The command's words with everything resolved that depends on the moment; `None` if nothing does.
pub(crate) type ResolveWords = fn(&mut Txn<'_>, &Args<'_>) -> Result<Option<Vec<Bytes>>, EvalError>;

/// Where the timeout of a command stands.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Timeout {
    /// Seconds, the first word behind the name.
    First,
    /// Seconds, the last word.
    Last,
    /// Milliseconds behind BLOCK, before STREAMS. Without BLOCK the command does not wait.
    Block,
}

/// Commands that wait for a key and compete for its data. Commands of different queues do not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WaitQueue {
    /// The type of the key.
    pub kind: Kind,
    /// The consumer group; empty for none.
    pub name: Bytes,
    /// Data goes to the first that waits, and is gone for the others. Otherwise all get it.
    pub takes: bool,
    /// A command is answered when the key is removed.
    pub ends_with_key: bool,
}

/// How a command may change a key that others wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// It may bring data for this many waiting commands; `None` if only the data can tell.
    Fills(Option<usize>),
    /// It may only remove data.
    Removes,
}

impl WaitQueue {
    /// The queue of commands that take elements of a key of this type.
    #[must_use]
    pub fn taking(kind: Kind) -> Self {
        Self {
            kind,
            name: Bytes::new(),
            takes: true,
            ends_with_key: false,
        }
    }
}

/// The word behind BLOCK.
pub(crate) fn block_word(args: &[Bytes]) -> Option<&Bytes> {
    let mut at = 1;
    while let Some(word) = args.get(at) {
        at += match Word(word).keyword().as_str() {
            "streams" => return None,
            "block" => return args.get(at + 1),
            // Its words may be anything.
            "group" => 3,
            "count" | "claim" => 2,
            _ => 1,
        };
    }
    None
}

/// A timeout in seconds, as milliseconds (Redis `timeout.c`, `getTimeoutFromObjectOrReply`).
pub(crate) fn seconds(word: Option<&Bytes>, now_ms: u64) -> Result<u64, CommandError> {
    let number = word.and_then(|word| Float80::parse(word));
    let seconds = match number.ok_or(TIMEOUT_NOT_A_FLOAT)? {
        Float80::Infinite(false) => return Err(TIMEOUT_OUT_OF_RANGE),
        Float80::Infinite(true) => return Err(TIMEOUT_NEGATIVE),
        finite => finite.to_decimal().and_then(|text| {
            let text = std::str::from_utf8(&text).ok()?;
            text.parse::<f64>().ok()
        }),
    };
    let millis = (seconds.ok_or(TIMEOUT_NOT_A_FLOAT)? * 1000.0).ceil();
    if millis >= i64::MAX as f64 {
        return Err(TIMEOUT_OUT_OF_RANGE);
    }
    within(millis as i64, now_ms)
}

/// The last word is a timeout in seconds.
pub(crate) fn last_is_timeout(args: &Args<'_>) -> Result<(), CommandError> {
    seconds(args.get(args.len() - 1), 0).map(drop)
}

/// A timeout in milliseconds.
pub(crate) fn block_millis(word: &Bytes, now_ms: u64) -> Result<u64, CommandError> {
    let millis = number::parse_int(word).ok_or(TIMEOUT_NOT_AN_INTEGER)?;
    within(millis, now_ms)
}

fn within(millis: i64, now_ms: u64) -> Result<u64, CommandError> {
    let millis = u64::try_from(millis).map_err(|_| TIMEOUT_NEGATIVE)?;
    if millis > i64::MAX.unsigned_abs().saturating_sub(now_ms) {
        return Err(TIMEOUT_OUT_OF_RANGE);
    }
    Ok(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn b(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    fn words(line: &str) -> Vec<Bytes> {
        line.split(' ').map(b).collect()
    }

    #[test]
    fn timeouts_are_read_as_redis_reads_them() {
        let of = |text: &str| seconds(Some(&b(text)), NOW);
        for (text, millis) in [
            ("0", 0),
            ("1", 1000),
            ("0.1", 100),
            ("0.0001", 1),
            ("1.001", 1001),
            ("1e1", 10_000),
            ("0x10", 16_000),
            ("-0", 0),
            ("-0.0001", 0),
        ] {
            assert_eq!(of(text), Ok(millis), "{text}");
        }
        for text in ["", "x", " 1", "1 ", "nan", "1x"] {
            assert_eq!(of(text), Err(TIMEOUT_NOT_A_FLOAT), "{text}");
        }
        for text in ["-1", "-1e300", "-inf", "-0.001"] {
            assert_eq!(of(text), Err(TIMEOUT_NEGATIVE), "{text}");
        }
        for text in ["inf", "1e300", "9223372036854775.807", "9223372036854775"] {
            assert_eq!(of(text), Err(TIMEOUT_OUT_OF_RANGE), "{text}");
        }
        let of = |text: &str| block_millis(&b(text), NOW);
        assert_eq!(of("17"), Ok(17));
        assert_eq!(of("1.5"), Err(TIMEOUT_NOT_AN_INTEGER));
        assert_eq!(of("-1"), Err(TIMEOUT_NEGATIVE));
        assert_eq!(of("9223372036854775807"), Err(TIMEOUT_OUT_OF_RANGE));
    }

    #[test]
    fn block_is_an_option_before_the_streams() {
        let of = |line: &str| block_word(&words(line)).map(|word| word.to_vec());
        assert_eq!(of("xread block 5 streams s $"), Some(b"5".to_vec()));
        assert_eq!(
            of("xread count block BLOCK 7 streams s $"),
            Some(b"7".to_vec())
        );
        assert_eq!(of("xread streams block 5"), None);
        assert_eq!(
            of("xreadgroup GROUP block streams block 9 streams s >"),
            Some(b"9".to_vec())
        );
        assert_eq!(of("xread block"), None);
    }
}
