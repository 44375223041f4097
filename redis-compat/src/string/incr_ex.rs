//! `INCREX`: a counter with bounds and an expiry, in a single command.

use bytes::Bytes;
use coterie_types::UnixMillis;

use super::StringValue;
use super::expiry::{Expiry, Unit, replace};
use crate::command::{Command, Part, Topic, command};
use crate::errors::NAN_OR_INFINITY;
use crate::errors::{NOT_A_FLOAT, NOT_AN_INTEGER, OVERFLOW, SYNTAX, error_lines};
use crate::float80::Float80;
use crate::{
    Args, Classes, CommandError, Encoding, EvalError, Flags as F, KeyFlags as K, Reply, Txn, number,
};

pub(super) const PART: Part = Part::new(&[INCREX], LINES);

error_lines! {
    /// `INCREX` with bounds in the wrong order.
    BOUNDS_CROSSED = "ERR LBOUND can't be greater than UBOUND";
}

const INCREX: Command = command(Topic::String, "increx")
    .syntax(
        "key [increment(BYFLOAT float:double|BYINT integer:integer)] [LBOUND lowerbound] [UBOUND \
        upperbound] [SATURATE] [expiration(EX seconds|PX milliseconds|EXAT \
        unix-time-seconds|PXAT unix-time-milliseconds|PERSIST)] [ENX]",
    )
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_ACCESS_UPDATE.at(1)])
    .runs(increx)
    .docs(
        "8.8.0",
        "O(1)",
        "Adds a number to a counter within bounds, and changes its expiry.",
    );

/// `INCREX key [BYINT i | BYFLOAT f] [LBOUND l] [UBOUND u] [SATURATE] [EX s | PX ms | EXAT s | PXAT
/// ms | PERSIST] [ENX]`: the new value, and the number that was added.
///
/// An absent key counts as 0, and 1 is added unless told otherwise. A sum out of bounds changes
/// nothing, the expiry neither: the reply is the present value and 0. With SATURATE the nearer
/// bound is stored instead. The expiry is kept unless told otherwise; ENX keeps an expiry that is
/// there. A time that has passed removes the key.
///
/// O(1). Errors: `SYNTAX`, `NOT_AN_INTEGER`, `NOT_A_FLOAT`, `BOUNDS_CROSSED`, `InvalidExpire`,
/// `WRONG_TYPE`, `OVERFLOW`, `NAN_OR_INFINITY`.
fn increx(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let options = parse(args)?;
    let step = options.step()?;
    let expires_at = match options.expiry {
        Expiry::At(unit, amount) => Some(unit.time(amount, txn.now(), args.name())?),
        _ => None,
    };
    let key = args.bytes(1);
    let old = txn.string(key)?;
    let present = old.as_ref().map(StringValue::bytes);
    let sum = match step {
        Step::Int(step) => step.apply(present, options.saturates)?,
        Step::Float(step) => step.apply(present, options.saturates)?,
    };
    if let Some((value, encoding)) = sum.stored {
        let before = old.as_ref().and_then(StringValue::expires_at);
        let after = options.expiry_after(before, expires_at);
        if after.is_some_and(|at| at <= txn.now()) {
            if old.is_some() {
                txn.remove(key.clone())?;
            }
        } else {
            txn.put_kept(key.clone(), value, encoding, after)?;
            txn.notify(Classes::STRING, "incrby", key);
            if after.is_some() && after != before {
                txn.notify(Classes::GENERIC, "expire", key);
            }
        }
    }
    Ok(Reply::Array(sum.reply.into()))
}

/// The options as words.
#[derive(Default)]
struct Options<'a> {
    /// The increment, and whether it is a floating-point number.
    increment: Option<(&'a Bytes, bool)>,
    lower: Option<&'a Bytes>,
    upper: Option<&'a Bytes>,
    saturates: bool,
    expiry: Expiry<'a>,
    /// An expiry that is there stays.
    only_without_expiry: bool,
}

fn parse<'a>(args: &Args<'a>) -> Result<Options<'a>, CommandError> {
    let mut options = Options::default();
    let mut words = args.options(2);
    while let Some(word) = words.next() {
        match word.keyword().as_str() {
            "byint" | "byfloat" if options.increment.is_some() => return Err(SYNTAX),
            "byint" => options.increment = Some((words.value()?, false)),
            "byfloat" => options.increment = Some((words.value()?, true)),
            "lbound" => options.lower = Some(words.value()?),
            "ubound" => options.upper = Some(words.value()?),
            "saturate" => options.saturates = true,
            "persist" => options.expiry = replace(options.expiry, Expiry::Drop)?,
            "enx" => options.only_without_expiry = true,
            keyword => {
                let unit = Unit::from_keyword(keyword).ok_or(SYNTAX)?;
                let new = Expiry::At(unit, words.value()?);
                options.expiry = replace(options.expiry, new)?;
            }
        }
    }
    if options.only_without_expiry && !matches!(options.expiry, Expiry::At(..)) {
        return Err(SYNTAX);
    }
    Ok(options)
}

impl Options<'_> {
    /// The increment and the bounds as numbers.
    fn step(&self) -> Result<Step, CommandError> {
        let (increment, is_float) = match self.increment {
            Some((word, is_float)) => (Some(word), is_float),
            None => (None, false),
        };
        Ok(if is_float {
            let float = |word: &Bytes| Float80::parse(word).ok_or(NOT_A_FLOAT);
            Step::Float(
                FloatStep {
                    increment: increment.map(float).transpose()?.unwrap_or(Float80::ZERO),
                    lower: self.lower.map(float).transpose()?,
                    upper: self.upper.map(float).transpose()?,
                }
                .checked()?,
            )
        } else {
            let int = |word: &Bytes| number::parse_int(word).ok_or(NOT_AN_INTEGER);
            Step::Int(
                IntStep {
                    increment: increment.map_or(Ok(1), int)?,
                    lower: self.lower.map_or(Ok(i64::MIN), int)?,
                    upper: self.upper.map_or(Ok(i64::MAX), int)?,
                }
                .checked()?,
            )
        })
    }

    fn expiry_after(
        &self,
        before: Option<UnixMillis>,
        new: Option<UnixMillis>,
    ) -> Option<UnixMillis> {
        match self.expiry {
            Expiry::Drop => None,
            Expiry::At(..) if !(self.only_without_expiry && before.is_some()) => new,
            _ => before,
        }
    }
}

/// What is added, and within which bounds.
enum Step {
    Int(IntStep),
    Float(FloatStep),
}

/// The outcome of adding.
struct Sum {
    /// The text to be stored, unless nothing changes.
    stored: Option<(Bytes, Encoding)>,
    /// The new value, and the number that was added.
    reply: [Reply; 2],
}

struct IntStep {
    increment: i64,
    lower: i64,
    upper: i64,
}

impl IntStep {
    fn checked(self) -> Result<Self, CommandError> {
        if self.lower > self.upper {
            return Err(BOUNDS_CROSSED);
        }
        Ok(self)
    }

    fn apply(&self, present: Option<&Bytes>, saturates: bool) -> Result<Sum, CommandError> {
        let before = match present {
            Some(text) => number::parse_int(text).ok_or(NOT_AN_INTEGER)?,
            None => 0,
        };
        let exact = i128::from(before) + i128::from(self.increment);
        let bounds = i128::from(self.lower)..=i128::from(self.upper);
        if !bounds.contains(&exact) && !saturates {
            return Ok(Sum {
                stored: None,
                reply: [before, 0].map(Reply::Integer),
            });
        }
        let after = exact.clamp(*bounds.start(), *bounds.end()) as i64;
        let added = after.checked_sub(before).ok_or(OVERFLOW)?;
        Ok(Sum {
            stored: Some((number::format_int(after), Encoding::Int)),
            reply: [after, added].map(Reply::Integer),
        })
    }
}

struct FloatStep {
    increment: Float80,
    lower: Option<Float80>,
    upper: Option<Float80>,
}

impl FloatStep {
    fn checked(self) -> Result<Self, CommandError> {
        match (self.lower, self.upper) {
            (Some(lower), Some(upper)) if upper.is_below(lower) => Err(BOUNDS_CROSSED),
            _ if !self.increment.is_finite() => Err(NAN_OR_INFINITY),
            _ => Ok(self),
        }
    }

    /// The sum, moved to the bound that it is beyond; `None` if it is within.
    fn clamped(&self, exact: Float80) -> Option<Float80> {
        let upper = self.upper.unwrap_or(Float80::MAX);
        let lower = self.lower.unwrap_or(Float80::MAX.negated());
        if upper.is_below(exact) {
            Some(upper)
        } else {
            exact.is_below(lower).then_some(lower)
        }
    }

    fn apply(&self, present: Option<&Bytes>, saturates: bool) -> Result<Sum, CommandError> {
        let before = match present {
            Some(text) => Float80::parse(text).ok_or(NOT_A_FLOAT)?,
            None => Float80::ZERO,
        };
        let exact = before.add(self.increment);
        let (after, added) = match self.clamped(exact) {
            None => (exact, self.increment),
            Some(bound) if saturates => (bound, bound.add(before.negated())),
            Some(_) => {
                return Ok(Sum {
                    stored: None,
                    reply: [decimal(before)?, decimal(Float80::ZERO)?].map(Reply::Decimal),
                });
            }
        };
        let text = decimal(after)?;
        let encoding = Encoding::of_text(&text);
        Ok(Sum {
            stored: Some((text.clone(), encoding)),
            reply: [text, decimal(added)?].map(Reply::Decimal),
        })
    }
}

fn decimal(number: Float80) -> Result<Bytes, CommandError> {
    number.to_decimal().ok_or(NAN_OR_INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(increment: &str, lower: Option<&str>, upper: Option<&str>) -> FloatStep {
        let number = |text: &str| Float80::parse(text.as_bytes()).unwrap();
        FloatStep {
            increment: number(increment),
            lower: lower.map(number),
            upper: upper.map(number),
        }
    }

    #[test]
    fn the_greatest_number_is_a_bound() {
        let present = Bytes::from("1e4932");
        let sum = step("1e4932", None, None)
            .apply(Some(&present), false)
            .unwrap();
        assert!(sum.stored.is_none(), "beyond the greatest number");
        let sum = step("1e4932", None, Some("inf")).apply(Some(&present), true);
        assert!(sum.is_err(), "a bound that is no number is not stored");
        let sum = step("1e4932", None, None)
            .apply(Some(&present), true)
            .unwrap();
        let (text, _) = sum.stored.unwrap();
        assert!(text.starts_with(b"1189731495357231765"), "{text:?}");
        assert!(step("inf", None, None).checked().is_err());
        let sum = step("1", Some("-inf"), Some("inf"))
            .apply(None, false)
            .unwrap();
        assert_eq!(sum.stored.unwrap().0, "1");
    }
}
