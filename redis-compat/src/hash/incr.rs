//! Counters in fields.

use crate::command::{Command, Part, Topic, command};
use crate::errors::{OVERFLOW, error_lines};
use crate::{Args, Classes, EvalError, Flags as F, KeyFlags as K, Reply, Txn, number};

pub(super) const PART: Part = Part::new(&[HINCRBY], LINES);

error_lines! {
    /// `HINCRBY` of a field that holds no i64.
    HASH_VALUE_NOT_AN_INTEGER = "ERR hash value is not an integer";
}

const HINCRBY: Command = command(Topic::Hash, "hincrby")
    .syntax("key field increment")
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_ACCESS_UPDATE.at(1)])
    .runs(hincrby)
    .hints("weight=3 key=hash-key field=field")
    .docs("2.0.0", "O(1)", "Adds a number to a field of a hash.");

/// `HINCRBY key field increment`: the sum, once stored. An absent field counts as 0; the expiry
/// and the field's deadline are kept.
///
/// O(log). Errors: `NOT_AN_INTEGER`, `WRONG_TYPE`, `HASH_VALUE_NOT_AN_INTEGER`,
/// `OVERFLOW`. Source: Redis `t_hash.c`, `hincrbyCommand`.
fn hincrby(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (key, field, increment) = (args.bytes(1), args.bytes(2), args.int(3)?);
    let mut hash = txn.hash(key)?;
    let mut deadline = None;
    let before = match hash.0.get(txn, field)? {
        Some(cell) => {
            deadline = cell.deadline;
            number::parse_int(&cell.value).ok_or(HASH_VALUE_NOT_AN_INTEGER)?
        }
        None => 0,
    };
    let after = before.checked_add(increment).ok_or(OVERFLOW)?;
    hash.set_until(txn, field, &number::format_int(after), deadline)?;
    txn.put_hash(key, &mut hash)?;
    txn.notify(Classes::HASH, "hincrby", key);
    Ok(Reply::Integer(after))
}
