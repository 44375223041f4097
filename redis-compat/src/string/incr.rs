//! Counters: integers kept as decimal text.

use crate::command::{Command, Part, Topic, command};
use crate::errors::{NOT_AN_INTEGER, OVERFLOW, error_lines};
use crate::{Args, Classes, EvalError, Flags as F, KeyFlags as K, Reply, Txn, number};

pub(super) const PART: Part = Part::new(&[INCR, DECR, INCRBY, DECRBY], LINES);

error_lines! {
    /// `DECRBY` by the smallest i64.
    DECREMENT_OVERFLOW = "ERR decrement would overflow";
}

const INCR: Command = command(Topic::String, "incr")
    .syntax("key")
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_ACCESS_UPDATE.at(1)])
    .runs(incr)
    .docs("1.0.0", "O(1)", "Adds one to a counter.");

/// `INCR key`: the value plus 1, once stored. O(1). Errors as [`incrby`].
fn incr(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    add(txn, args, 1)
}

const DECR: Command = command(Topic::String, "decr")
    .syntax("key")
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_ACCESS_UPDATE.at(1)])
    .runs(decr)
    .docs("1.0.0", "O(1)", "Subtracts one from a counter.");

/// `DECR key`: the value minus 1, once stored. O(1). Errors as [`incrby`].
fn decr(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    add(txn, args, -1)
}

const INCRBY: Command = command(Topic::String, "incrby")
    .syntax("key increment")
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_ACCESS_UPDATE.at(1)])
    .runs(incrby)
    .docs("1.0.0", "O(1)", "Adds a number to a counter.");

/// `INCRBY key increment`: the sum, once stored. An absent key counts as 0; the expiry is kept.
///
/// Reads and writes one key, O(1). The stored value is an i64 as decimal text, at most 20 bytes.
/// Errors: `WRONG_TYPE`, `NOT_AN_INTEGER`, `OVERFLOW`. Source: Redis `t_string.c`,
/// `incrDecrCommand`.
fn incrby(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    // The increment before the key: Redis refuses a bad increment even when the key holds a list.
    let increment = args.int(2)?;
    add(txn, args, increment)
}

const DECRBY: Command = command(Topic::String, "decrby")
    .syntax("key decrement")
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_ACCESS_UPDATE.at(1)])
    .runs(decrby)
    .docs("1.0.0", "O(1)", "Subtracts a number from a counter.");

/// `DECRBY key decrement`: the difference, once stored. O(1). Errors as [`incrby`], and
/// `DECREMENT_OVERFLOW` for the i64 that has no opposite.
fn decrby(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let increment = args.int(2)?.checked_neg().ok_or(DECREMENT_OVERFLOW)?;
    add(txn, args, increment)
}

fn add(txn: &mut Txn<'_>, args: &Args<'_>, increment: i64) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    let old = txn.string(key)?;
    let before = match &old {
        // Not `str::parse`: it takes "+7" and "007", which Redis refuses (`util.c`, `string2ll`).
        Some(old) => number::parse_int(old.bytes()).ok_or(NOT_AN_INTEGER)?,
        None => 0,
    };
    let after = before.checked_add(increment).ok_or(OVERFLOW)?;
    let expires_at = old.and_then(|old| old.expires_at());
    txn.put_string(key.clone(), number::format_int(after), expires_at)?;
    txn.notify(Classes::STRING, "incrby", key);
    Ok(Reply::Integer(after))
}
