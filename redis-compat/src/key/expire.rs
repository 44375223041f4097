//! Giving keys an expiry, and taking it away.
//!
//! Relative times count from the entry's own time, so that every replica stores the same expiry.
//! Source: Redis `expire.c`, `expireGenericCommand`.

use coterie_types::UnixMillis;

use crate::{Args, CommandError, EvalError, Record, Reply, Txn};

/// `EXPIRE key seconds [NX | XX | GT | LT]`: 1 if the expiry was set, 0 if not. O(1).
///
/// A time that has passed removes the key. Errors, for all four: `UnsupportedOption`,
/// `ExpireNxAndOthers`, `ExpireGtAndLt`, `NotAnInteger`, `InvalidExpire`, in this order.
pub(crate) fn expire(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let now = txn.now().0 as i64;
    set_expiry(txn, args, 1000, now)
}

/// `PEXPIRE key milliseconds [NX | XX | GT | LT]`: as [`expire`].
pub(crate) fn pexpire(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let now = txn.now().0 as i64;
    set_expiry(txn, args, 1, now)
}

/// `EXPIREAT key unix-seconds [NX | XX | GT | LT]`: as [`expire`].
pub(crate) fn expireat(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    set_expiry(txn, args, 1000, 0)
}

/// `PEXPIREAT key unix-milliseconds [NX | XX | GT | LT]`: as [`expire`].
pub(crate) fn pexpireat(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    set_expiry(txn, args, 1, 0)
}

/// `PERSIST key`: 1 if an expiry was taken away. O(1).
pub(crate) fn persist(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    match txn.get(key)? {
        Some(record) if record.expires_at.is_some() => {
            txn.put(
                key.clone(),
                Record {
                    expires_at: None,
                    ..record
                },
            );
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
    let invalid = CommandError::InvalidExpire(args.name());
    let when = args
        .int(2)?
        .checked_mul(unit_ms)
        .and_then(|when| when.checked_add(base));
    let when = when.ok_or(invalid)?;
    let key = args.bytes(1);
    let Some(record) = txn.get(key)? else {
        return Ok(Reply::Integer(0));
    };
    if !condition.allows(record.expires_at, when) {
        return Ok(Reply::Integer(0));
    }
    match u64::try_from(when).map(UnixMillis) {
        Ok(at) if at > txn.now() => txn.put(
            key.clone(),
            Record {
                expires_at: Some(at),
                ..record
            },
        ),
        _ => txn.remove(key.clone()),
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
        for (at, word) in args.rest(3).iter().enumerate() {
            match () {
                () if args.is(at + 3, "nx") => condition.nx = true,
                () if args.is(at + 3, "xx") => condition.xx = true,
                () if args.is(at + 3, "gt") => condition.gt = true,
                () if args.is(at + 3, "lt") => condition.lt = true,
                () => return Err(CommandError::UnsupportedOption(word.clone())),
            }
        }
        let Self { nx, xx, gt, lt } = condition;
        if nx && (xx || gt || lt) {
            return Err(CommandError::ExpireNxAndOthers);
        }
        if gt && lt {
            Err(CommandError::ExpireGtAndLt)
        } else {
            Ok(condition)
        }
    }

    /// A key without expiry counts as one that never expires.
    fn allows(&self, current: Option<UnixMillis>, when: i64) -> bool {
        let current = current.map(|at| at.0 as i64);
        !(self.nx && current.is_some()
            || self.xx && current.is_none()
            || self.gt && current.is_none_or(|current| when <= current)
            || self.lt && current.is_some_and(|current| when >= current))
    }
}
