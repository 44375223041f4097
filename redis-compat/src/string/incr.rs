//! Counters: integers kept as decimal text.

use crate::{Args, CommandError, EvalError, Reply, Txn, number};

/// `INCR key`: the value plus one, once stored. O(1). Errors as [`incrby`].
pub(crate) fn incr(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    add(txn, args, 1)
}

/// `DECR key`: the value less one, once stored. O(1). Errors as [`incrby`].
pub(crate) fn decr(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    add(txn, args, -1)
}

/// `INCRBY key increment`: the sum, once stored. An absent key counts as 0; the expiry is kept.
///
/// Reads and writes one key, O(1). The stored value is an i64 as decimal text, at most 20 bytes.
/// Errors: `WrongType`, `NotAnInteger`, `Overflow`. Source: Redis `t_string.c`, `incrDecrCommand`.
pub(crate) fn incrby(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    // The increment before the key: Redis refuses a bad increment even when the key holds a list.
    let increment = args.int(2)?;
    add(txn, args, increment)
}

/// `DECRBY key decrement`: the difference, once stored. O(1). Errors as [`incrby`], and
/// `DecrementOverflow` for the one i64 that has no opposite.
pub(crate) fn decrby(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let increment = args
        .int(2)?
        .checked_neg()
        .ok_or(CommandError::DecrementOverflow)?;
    add(txn, args, increment)
}

fn add(txn: &mut Txn<'_>, args: &Args<'_>, increment: i64) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    let old = txn.string(key)?;
    let before = match &old {
        // Not `str::parse`: it takes "+7" and "007", which Redis refuses (`util.c`, `string2ll`).
        Some(old) => number::parse_int(&old.value).ok_or(CommandError::NotAnInteger)?,
        None => 0,
    };
    let after = before
        .checked_add(increment)
        .ok_or(CommandError::Overflow)?;
    let expires_at = old.and_then(|old| old.expires_at);
    txn.put_string(key.clone(), number::format_int(after), expires_at);
    Ok(Reply::Integer(after))
}
