//! Changing a part of a string in place.

use super::{StringChange, UnreadString};
use crate::command::{Command, Part, Topic, command};
use crate::errors::STRING_TOO_LONG;
use crate::errors::error_lines;
use crate::{Args, Classes, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[APPEND, SETRANGE], LINES);

error_lines! {
    /// A string offset below zero.
    OFFSET_OUT_OF_RANGE = "ERR offset is out of range";
}

const APPEND: Command = command(Topic::String, "append")
    .syntax("key value")
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_INSERT.at(1)])
    .runs(append)
    .hints("weight=5")
    .docs("2.0.0", "O(1)", "Appends to a string, or creates it.");

/// `APPEND key value`: the length after it. An absent key counts as empty; the expiry is kept.
///
/// O(length of the tail); a string of at most 64 KiB is copied. Errors: `WRONG_TYPE`,
/// `STRING_TOO_LONG`.
fn append(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (key, tail) = (args.bytes(1), args.bytes(2));
    let Some(old) = txn.unread_string(key)? else {
        txn.put_string(key.clone(), tail.clone(), None)?;
        txn.notify(Classes::STRING, "append", key);
        return Ok(Reply::Integer(tail.len() as i64));
    };
    let end = old.len();
    txn.check_len(end + tail.len())?;
    let mut change = StringChange::of(txn, key, Some(old))?;
    change.write(txn, end, tail)?;
    let len = change.len();
    change.put(txn)?;
    txn.notify(Classes::STRING, "append", key);
    Ok(Reply::Integer(len as i64))
}

const SETRANGE: Command = command(Topic::String, "setrange")
    .syntax("key offset value")
    .flags(F::WRITE_ROOM)
    .keys(&[K::RW_UPDATE.at(1)])
    .runs(setrange)
    .hints("weight=5")
    .docs(
        "2.2.0",
        "O(1), not counting the time taken to copy the new string in place",
        "Overwrites a part of a string.",
    );

/// `SETRANGE key offset value`: the length after it; a gap is filled with zero bytes.
///
/// An empty value changes nothing. O(length of the value); a string of at most 64 KiB is copied.
/// Errors: `NOT_AN_INTEGER`, `OFFSET_OUT_OF_RANGE`, `WRONG_TYPE`, `STRING_TOO_LONG`. Source: Redis
/// `t_string.c`, `setrangeCommand`.
fn setrange(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (key, offset, part) = (args.bytes(1), args.int(2)?, args.bytes(3));
    let offset = usize::try_from(offset).map_err(|_| OFFSET_OUT_OF_RANGE)?;
    let old = txn.unread_string(key)?;
    if part.is_empty() {
        let len = old.as_ref().map_or(0, UnreadString::len);
        return Ok(Reply::Integer(len as i64));
    }
    let end = offset.checked_add(part.len()).ok_or(STRING_TOO_LONG)?;
    txn.check_len(end)?;
    let mut change = StringChange::of(txn, key, old)?;
    change.write(txn, offset, part)?;
    let len = change.len();
    change.put(txn)?;
    txn.notify(Classes::STRING, "setrange", key);
    Ok(Reply::Integer(len as i64))
}
