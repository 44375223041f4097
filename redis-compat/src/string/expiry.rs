//! The expiry options that `SET` and `GETEX` share, and the reading of a lifetime.
//!
//! Source: Redis `t_string.c`, `parseExtendedStringArgumentsOrReply` and
//! `getExpireMillisecondsOrReply`.

use coterie_types::UnixMillis;

use crate::errors::{NOT_AN_INTEGER, SYNTAX};
use crate::{Args, CommandError, number};

/// How an expiry is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// `EX`: seconds from now.
    Seconds,
    /// `PX`: milliseconds from now.
    Millis,
    /// `EXAT`: seconds since the epoch.
    AtSeconds,
    /// `PXAT`: milliseconds since the epoch.
    AtMillis,
}

impl Unit {
    pub(crate) fn from_keyword(word: &str) -> Option<Self> {
        match word {
            "ex" => Some(Self::Seconds),
            "px" => Some(Self::Millis),
            "exat" => Some(Self::AtSeconds),
            "pxat" => Some(Self::AtMillis),
            _ => None,
        }
    }

    /// Whether the time is given absolutely.
    pub(crate) fn is_absolute(self) -> bool {
        matches!(self, Self::AtSeconds | Self::AtMillis)
    }

    /// The time a positive number in this unit stands for. Errors: `NOT_AN_INTEGER`,
    /// `InvalidExpire` with the command's name.
    pub(crate) fn time(
        self,
        word: &[u8],
        now: UnixMillis,
        command: &'static str,
    ) -> Result<UnixMillis, CommandError> {
        let amount = number::parse_int(word).ok_or(NOT_AN_INTEGER)?;
        let invalid = || CommandError::invalid_expire(command);
        if amount <= 0 {
            return Err(invalid());
        }
        let millis = match self {
            Self::Seconds | Self::AtSeconds => amount.checked_mul(1000),
            Self::Millis | Self::AtMillis => Some(amount),
        };
        let base = if self.is_absolute() { 0 } else { now.0 as i64 };
        let time = millis
            .and_then(|millis| millis.checked_add(base))
            .ok_or_else(invalid)?;
        Ok(UnixMillis(time.unsigned_abs()))
    }
}

/// The change of a key's expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Expiry<'a> {
    /// Nothing was said: `SET` drops it, `GETEX` keeps it.
    #[default]
    Unsaid,
    /// `KEEPTTL`.
    Keep,
    /// `PERSIST`.
    Drop,
    /// A new expiry.
    At(Unit, &'a [u8]),
}

/// Which command's options are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Options {
    /// `SET`: also NX, XX, GET and KEEPTTL.
    Set,
    /// `GETEX`: also PERSIST.
    GetEx,
}

/// The options as read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Parsed<'a> {
    /// Only if the key is absent.
    pub(crate) nx: bool,
    /// Only if the key is there.
    pub(crate) xx: bool,
    /// Answer with the old value.
    pub(crate) get: bool,
    /// The change of the expiry.
    pub(crate) expiry: Expiry<'a>,
}

/// Reads the options from word `at` on. An option may be repeated, the last counts; two that
/// contradict each other are a syntax error.
pub(crate) fn parse<'a>(
    args: &Args<'a>,
    at: usize,
    options: Options,
) -> Result<Parsed<'a>, CommandError> {
    let mut parsed = Parsed::default();
    let set = options == Options::Set;
    let mut words = args.options(at);
    while let Some(word) = words.next() {
        match word.keyword().as_str() {
            "nx" if set && !parsed.xx => parsed.nx = true,
            "xx" if set && !parsed.nx => parsed.xx = true,
            "get" if set => parsed.get = true,
            "keepttl" if set => parsed.expiry = replace(parsed.expiry, Expiry::Keep)?,
            "persist" if !set => parsed.expiry = replace(parsed.expiry, Expiry::Drop)?,
            keyword => {
                let unit = Unit::from_keyword(keyword).ok_or(SYNTAX)?;
                parsed.expiry = replace(parsed.expiry, Expiry::At(unit, words.value()?))?;
            }
        }
    }
    Ok(parsed)
}

fn replace<'a>(old: Expiry<'a>, new: Expiry<'a>) -> Result<Expiry<'a>, CommandError> {
    match (old, new) {
        (Expiry::Unsaid, new) => Ok(new),
        (Expiry::At(before, _), Expiry::At(unit, _)) if before == unit => Ok(new),
        (old, new) if old == new => Ok(new),
        _ => Err(SYNTAX),
    }
}
