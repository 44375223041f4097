//! The expiry options that `SET` and `GETEX` share, and the reading of a lifetime.
//!
//! Source: Redis `t_string.c`, `parseExtendedStringArgumentsOrReply` and
//! `getExpireMillisecondsOrReply`.

use coterie_types::UnixMillis;

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
    fn from_word(word: &[u8]) -> Option<Self> {
        [
            ("ex", Self::Seconds),
            ("px", Self::Millis),
            ("exat", Self::AtSeconds),
        ]
        .into_iter()
        .chain([("pxat", Self::AtMillis)])
        .find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()))
        .map(|(_, unit)| unit)
    }

    /// Whether the time is given absolutely.
    pub(crate) fn is_absolute(self) -> bool {
        matches!(self, Self::AtSeconds | Self::AtMillis)
    }

    /// The time a positive number in this unit stands for. Errors: `NotAnInteger`,
    /// `InvalidExpire` with the command's name.
    pub(crate) fn time(
        self,
        word: &[u8],
        now: UnixMillis,
        command: &'static str,
    ) -> Result<UnixMillis, CommandError> {
        let amount = number::parse_int(word).ok_or(CommandError::NotAnInteger)?;
        let invalid = CommandError::InvalidExpire(command);
        if amount <= 0 {
            return Err(invalid);
        }
        let millis = match self {
            Self::Seconds | Self::AtSeconds => amount.checked_mul(1000),
            Self::Millis | Self::AtMillis => Some(amount),
        };
        let base = if self.is_absolute() { 0 } else { now.0 as i64 };
        let time = millis
            .and_then(|millis| millis.checked_add(base))
            .ok_or(invalid)?;
        Ok(UnixMillis(time.unsigned_abs()))
    }
}

/// What becomes of a key's expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Expiry<'a> {
    /// Nothing was said: `SET` drops it, `GETEX` keeps it.
    #[default]
    Unsaid,
    /// `KEEPTTL`.
    Keep,
    /// `PERSIST`.
    Drop,
    /// A new one.
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
    /// What becomes of the expiry.
    pub(crate) expiry: Expiry<'a>,
}

/// Reads the options from word `at` on. An option may be repeated, the last one counts; two that
/// contradict each other are a syntax error.
pub(crate) fn parse<'a>(
    args: &Args<'a>,
    mut at: usize,
    options: Options,
) -> Result<Parsed<'a>, CommandError> {
    let mut parsed = Parsed::default();
    let set = options == Options::Set;
    while let Some(word) = args.get(at) {
        at += 1;
        if set && args.is(at - 1, "nx") && !parsed.xx {
            parsed.nx = true;
        } else if set && args.is(at - 1, "xx") && !parsed.nx {
            parsed.xx = true;
        } else if set && args.is(at - 1, "get") {
            parsed.get = true;
        } else if set && args.is(at - 1, "keepttl") {
            parsed.expiry = replace(parsed.expiry, Expiry::Keep)?;
        } else if !set && args.is(at - 1, "persist") {
            parsed.expiry = replace(parsed.expiry, Expiry::Drop)?;
        } else if let (Some(unit), Some(amount)) = (Unit::from_word(word), args.get(at)) {
            at += 1;
            parsed.expiry = replace(parsed.expiry, Expiry::At(unit, amount))?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(parsed)
}

fn replace<'a>(old: Expiry<'a>, new: Expiry<'a>) -> Result<Expiry<'a>, CommandError> {
    match (old, new) {
        (Expiry::Unsaid, new) => Ok(new),
        (Expiry::At(before, _), Expiry::At(unit, _)) if before == unit => Ok(new),
        (old, new) if old == new => Ok(new),
        _ => Err(CommandError::Syntax),
    }
}
