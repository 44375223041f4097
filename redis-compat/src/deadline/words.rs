//! The words of the commands with deadlines.

use bytes::Bytes;
use coterie_types::UnixMillis;

use super::Of;
use crate::command::Part;
use crate::errors::{NOT_AN_INTEGER, error_lines};
use crate::string::Unit;
use crate::{Args, CommandError, Txn, Words, number};

pub(crate) const PART: Part = Part::new(&[], LINES);

error_lines! {
    NEGATIVE_TIME = "ERR invalid expire time, must be >= 0";
    NO_TIME = "ERR missing expire time";
    WRONG_NUMBER = "ERR wrong number of arguments";
    TWO_CONDITIONS = "ERR Multiple condition flags specified";
    NO_FIELDS = "ERR missing FIELDS argument";
    NO_MEMBERS = "ERR missing MEMBERS argument";
    FIELDS_TWICE = "ERR FIELDS keyword specified multiple times";
    MEMBERS_TWICE = "ERR MEMBERS keyword specified multiple times";
    FIELDS_MISPLACED = "ERR Mandatory argument FIELDS is missing or not at the right position";
    MEMBERS_MISPLACED = "ERR Mandatory argument MEMBERS is missing or not at the right position";
    FIELDS_NOT_POSITIVE = "ERR Number of fields must be a positive integer";
    MEMBERS_NOT_POSITIVE = "ERR Number of members must be a positive integer";
    NUM_FIELDS_NOT_POSITIVE = "ERR Parameter `numFields` should be greater than 0";
    NUM_MEMBERS_NOT_POSITIVE = "ERR Parameter `numMembers` should be greater than 0";
    FIELDS_INVALID = "ERR invalid number of fields";
    MEMBERS_INVALID = "ERR invalid number of members";
    FIELDS_MISCOUNTED = "ERR The `numfields` parameter must match the number of arguments";
    MEMBERS_MISCOUNTED = "ERR The `nummembers` parameter must match the number of arguments";
    FXX_AND_FNX = "ERR Only one of FXX or FNX arguments can be specified";
    MXX_AND_MNX = "ERR Only one of MXX or MNX arguments can be specified";
    TWO_TIMES_OR_KEEPTTL = "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be \
        specified";
    TWO_TIMES_OR_PERSIST = "ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be \
        specified";
}

/// The last deadline there is: Redis packs a deadline into 46 bits.
const DEADLINE_MAX: i64 = (1 << 46) - 1;

impl Of {
    fn keyword(self) -> &'static str {
        self.either("fields", "members")
    }

    fn either<T>(self, fields: T, members: T) -> T {
        match self {
            Self::Fields => fields,
            Self::Members => members,
        }
    }
}

/// The deadline that a word stands for. Errors: `NOT_AN_INTEGER`, `NEGATIVE_TIME`,
/// `InvalidExpire`.
pub(super) fn deadline(
    word: &[u8],
    unit: Unit,
    now: UnixMillis,
    command: &'static str,
) -> Result<UnixMillis, CommandError> {
    let amount = number::parse_int(word).ok_or(NOT_AN_INTEGER)?;
    if amount < 0 {
        return Err(NEGATIVE_TIME);
    }
    let factor = match unit {
        Unit::Seconds | Unit::AtSeconds => 1000,
        Unit::Millis | Unit::AtMillis => 1,
    };
    let base = if unit.is_absolute() { 0 } else { now.0 as i64 };
    let at = amount
        .checked_mul(factor)
        .and_then(|millis| millis.checked_add(base));
    at.filter(|at| *at <= DEADLINE_MAX)
        .map(|at| UnixMillis(at.unsigned_abs()))
        .ok_or_else(|| CommandError::invalid_expire(command))
}

fn positive(word: Option<&Bytes>) -> Option<usize> {
    let count = number::parse_int(word?)?;
    usize::try_from(count).ok().filter(|count| *count > 0)
}

/// The names behind `FIELDS n` or `MEMBERS n`, which stand at word 2 and to the end.
pub(crate) fn fixed_names<'a>(args: &Args<'a>, of: Of) -> Result<&'a [Bytes], CommandError> {
    if !args.is(2, of.keyword()) {
        return Err(of.either(FIELDS_MISPLACED, MEMBERS_MISPLACED));
    }
    let count = positive(args.get(3));
    let count = count.ok_or(of.either(FIELDS_NOT_POSITIVE, MEMBERS_NOT_POSITIVE))?;
    let names = args.rest(4);
    if names.len() == count {
        Ok(names)
    } else {
        Err(of.either(FIELDS_MISCOUNTED, MEMBERS_MISCOUNTED))
    }
}

/// Under which condition a deadline is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Always,
    Nx,
    Xx,
    Gt,
    Lt,
}

impl Condition {
    /// An element without a deadline counts as never ending.
    pub(super) fn allows(self, old: Option<UnixMillis>, new: UnixMillis) -> bool {
        match self {
            Self::Always => true,
            Self::Nx => old.is_none(),
            Self::Xx => old.is_some(),
            Self::Gt => old.is_some_and(|old| new > old),
            Self::Lt => old.is_none_or(|old| new < old),
        }
    }
}

/// The condition and the names of `HEXPIRE`, from word 3 on.
pub(super) fn condition_and_names<'a>(
    args: &Args<'a>,
    of: Of,
) -> Result<(Condition, &'a [Bytes]), CommandError> {
    let mut condition = Condition::Always;
    let mut names = None;
    let mut words = args.options(3);
    while let Some(word) = words.next() {
        let keyword = word.keyword();
        let found = match keyword.as_str() {
            "nx" => Condition::Nx,
            "xx" => Condition::Xx,
            "gt" => Condition::Gt,
            "lt" => Condition::Lt,
            keyword if keyword == of.keyword() => {
                let count = positive(words.next().map(|word| word.0));
                let invalid = of.either(NUM_FIELDS_NOT_POSITIVE, NUM_MEMBERS_NOT_POSITIVE);
                take_names(&mut names, &mut words, count.ok_or(invalid)?, of)?;
                continue;
            }
            _ => return Err(unknown(word.0)),
        };
        if !matches!(condition, Condition::Always) && condition != found {
            return Err(TWO_CONDITIONS);
        }
        condition = found;
    }
    let names = names.ok_or(of.either(NO_FIELDS, NO_MEMBERS))?;
    Ok((condition, names))
}

fn take_names<'a>(
    names: &mut Option<&'a [Bytes]>,
    words: &mut Words<'a>,
    count: usize,
    of: Of,
) -> Result<(), CommandError> {
    if names.is_some() {
        return Err(of.either(FIELDS_TWICE, MEMBERS_TWICE));
    }
    *names = Some(words.many(count).ok_or(WRONG_NUMBER)?);
    Ok(())
}

fn unknown(word: &[u8]) -> CommandError {
    CommandError::quoting("unknown argument: ", word, "")
}

/// What becomes of the deadlines of elements that are read or put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// Nothing was said.
    Unsaid,
    /// `KEEPTTL`.
    Keep,
    /// `PERSIST`.
    Drop,
    /// `EX` and its like.
    At(UnixMillis),
}

/// The options of `HGETEX`, `HSETEX` and `SADDEX`, from word 2 on.
pub(crate) struct Options<'a> {
    pub(crate) deadline: Deadline,
    /// `FXX`, `MXX`: only if all elements exist.
    pub(crate) all_exist: bool,
    /// `FNX`, `MNX`: only if no element exists.
    pub(crate) none_exists: bool,
    /// The elements: of `HSETEX`, each with its value.
    pub(crate) elements: &'a [Bytes],
}

impl<'a> Options<'a> {
    /// The options of a command that puts elements, of so many words each.
    pub(crate) fn of_put(
        txn: &Txn<'_>,
        args: &Args<'a>,
        of: Of,
        words_each: usize,
    ) -> Result<Self, CommandError> {
        Self::parse(txn, args, of, Some(words_each))
    }

    /// The options of `HGETEX`.
    pub(crate) fn of_get(txn: &Txn<'_>, args: &Args<'a>) -> Result<Self, CommandError> {
        Self::parse(txn, args, Of::Fields, None)
    }

    fn parse(
        txn: &Txn<'_>,
        args: &Args<'a>,
        of: Of,
        put: Option<usize>,
    ) -> Result<Self, CommandError> {
        let mut options = Self {
            deadline: Deadline::Unsaid,
            all_exist: false,
            none_exists: false,
            elements: &[],
        };
        let mut elements = None;
        let mut words = args.options(2);
        let (xx, nx) = of.either(("fxx", "fnx"), ("mxx", "mnx"));
        while let Some(word) = words.next() {
            let keyword = word.keyword();
            match keyword.as_str() {
                "keepttl" if put.is_some() => options.say(Deadline::Keep, put)?,
                "persist" if put.is_none() => options.say(Deadline::Drop, put)?,
                keyword if put.is_some() && (keyword == xx || keyword == nx) => {
                    if options.all_exist || options.none_exists {
                        return Err(of.either(FXX_AND_FNX, MXX_AND_MNX));
                    }
                    (options.all_exist, options.none_exists) = (keyword == xx, keyword == nx);
                }
                keyword if keyword == of.keyword() => {
                    let count = positive(words.next().map(|word| word.0));
                    let invalid = of.either(FIELDS_INVALID, MEMBERS_INVALID);
                    let count = count.ok_or(invalid)?.saturating_mul(put.unwrap_or(1));
                    take_names(&mut elements, &mut words, count, of)?;
                }
                keyword => {
                    let unit = Unit::from_keyword(keyword).ok_or_else(|| unknown(word.0))?;
                    let time = words.next().ok_or(NO_TIME)?;
                    let at = deadline(time.0, unit, txn.now(), args.name())?;
                    options.say(Deadline::At(at), put)?;
                }
            }
        }
        options.elements = elements.ok_or(of.either(NO_FIELDS, NO_MEMBERS))?;
        Ok(options)
    }

    fn say(&mut self, deadline: Deadline, put: Option<usize>) -> Result<(), CommandError> {
        if self.deadline != Deadline::Unsaid {
            return Err(match put {
                Some(_) => TWO_TIMES_OR_KEEPTTL,
                None => TWO_TIMES_OR_PERSIST,
            });
        }
        self.deadline = deadline;
        Ok(())
    }
}
