//! Giving keys an expiry, and taking it away.
//!
//! Relative times count from the entry's own time, so that every replica stores the same expiry.
//! Source: Redis `expire.c`, `expireGenericCommand`.

use coterie_types::UnixMillis;

use crate::command::{Command, Part, Topic, command};
use crate::errors::error_lines;
use crate::{Args, Classes, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT, PERSIST], LINES);

error_lines! {
    /// `EXPIRE` with NX and another condition.
    EXPIRE_NX_AND_OTHERS = "ERR NX and XX, GT or LT options at the same time are not compatible";
    /// `EXPIRE` with both GT and LT.
    EXPIRE_GT_AND_LT = "ERR GT and LT options at the same time are not compatible";
}

const EXPIRE: Command = command(Topic::Generic, "expire")
    .syntax("key seconds [condition(NX|XX|GT|LT)]")
    .flags(F::WRITE_FAST)
    .keys(&[K::RW_UPDATE.at(1)])
    .runs(expire)
    .docs(
        "1.0.0",
        "O(1)",
        "Sets the expiry of a key in seconds from now.",
    );

/// `EXPIRE key seconds [NX | XX | GT | LT]`: 1 if the expiry was set, 0 if not. O(1).
///
/// A time that has passed removes the key. Errors, for all four: `UnsupportedOption`,
/// `EXPIRE_NX_AND_OTHERS`, `EXPIRE_GT_AND_LT`, `NOT_AN_INTEGER`, `InvalidExpire`, in this order.
fn expire(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let now = txn.now().0 as i64;
    set_expiry(txn, args, 1000, now)
}

const PEXPIRE: Command = command(Topic::Generic, "pexpire")
    .syntax("key milliseconds [condition(NX|XX|GT|LT)]")
    .flags(F::WRITE_FAST)
    .keys(&[K::RW_UPDATE.at(1)])
    .runs(pexpire)
    .docs(
        "2.6.0",
        "O(1)",
        "Sets the expiry of a key in milliseconds from now.",
    );

/// `PEXPIRE key milliseconds [NX | XX | GT | LT]`: as [`expire`].
fn pexpire(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let now = txn.now().0 as i64;
    set_expiry(txn, args, 1, now)
}

const EXPIREAT: Command = command(Topic::Generic, "expireat")
    .syntax("key unix-time-seconds [condition(NX|XX|GT|LT)]")
    .flags(F::WRITE_FAST)
    .keys(&[K::RW_UPDATE.at(1)])
    .runs(expireat)
    .docs("1.2.0", "O(1)", "Sets the expiry of a key in Unix seconds.");

/// `EXPIREAT key unix-seconds [NX | XX | GT | LT]`: as [`expire`].
fn expireat(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    set_expiry(txn, args, 1000, 0)
}

const PEXPIREAT: Command = command(Topic::Generic, "pexpireat")
    .syntax("key unix-time-milliseconds [condition(NX|XX|GT|LT)]")
    .flags(F::WRITE_FAST)
    .keys(&[K::RW_UPDATE.at(1)])
    .runs(pexpireat)
    .docs(
        "2.6.0",
        "O(1)",
        "Sets the expiry of a key in Unix milliseconds.",
    );

/// `PEXPIREAT key unix-milliseconds [NX | XX | GT | LT]`: as [`expire`].
fn pexpireat(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    set_expiry(txn, args, 1, 0)
}

const PERSIST: Command = command(Topic::Generic, "persist")
    .syntax("key")
    .flags(F::WRITE_FAST)
    .keys(&[K::RW_UPDATE.at(1)])
    .runs(persist)
    .docs("2.2.0", "O(1)", "Removes the expiry of a key.");

/// `PERSIST key`: 1 if an expiry was taken away. O(1).
fn persist(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    match txn.value(key)? {
        Some(value) if value.expires_at().is_some() => {
            txn.set_expiry(key.clone(), value, None)?;
            txn.notify(Classes::GENERIC, "persist", key);
            Ok(Reply::Integer(1))
        }
        _ => Ok(Reply::Integer(0)),
    }
}

fn set_expiry(
    txn: &mut Txn<'_>,
    args: &Args<'_>,
    unit_ms: i64,
    base: i64,
) -> Result<Reply, EvalError> {
    let condition = Condition::parse(args)?;
    let invalid = || CommandError::invalid_expire(args.name());
    let when = args
        .int(2)?
        .checked_mul(unit_ms)
        .and_then(|when| when.checked_add(base));
    let when = when.ok_or_else(invalid)?;
    let key = args.bytes(1);
    let Some(value) = txn.value(key)? else {
        return Ok(Reply::Integer(0));
    };
    if !condition.allows(value.expires_at(), when) {
        return Ok(Reply::Integer(0));
    }
    match u64::try_from(when).map(UnixMillis) {
        Ok(at) if at > txn.now() => {
            txn.set_expiry(key.clone(), value, Some(at))?;
            txn.notify(Classes::GENERIC, "expire", key);
        }
        _ => txn.remove(key.clone())?,
    }
    Ok(Reply::Integer(1))
}

#[derive(Default)]
struct Condition {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Condition {
    fn parse(args: &Args<'_>) -> Result<Self, CommandError> {
        let mut condition = Self::default();
        for word in args.options(3) {
            match word.keyword().as_str() {
                "nx" => condition.nx = true,
                "xx" => condition.xx = true,
                "gt" => condition.gt = true,
                "lt" => condition.lt = true,
                _ => return Err(CommandError::unsupported_option(word.0)),
            }
        }
        let Self { nx, xx, gt, lt } = condition;
        if nx && (xx || gt || lt) {
            return Err(EXPIRE_NX_AND_OTHERS);
        }
        if gt && lt {
            Err(EXPIRE_GT_AND_LT)
        } else {
            Ok(condition)
        }
    }

    /// A key without expiry counts as never expiring.
    fn allows(&self, current: Option<UnixMillis>, when: i64) -> bool {
        let current = current.map(|at| at.0 as i64);
        !(self.nx && current.is_some()
            || self.xx && current.is_none()
            || self.gt && current.is_none_or(|current| when <= current)
            || self.lt && current.is_some_and(|current| when >= current))
    }
}
