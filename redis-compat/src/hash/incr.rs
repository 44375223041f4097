//! Counters in fields.

use crate::command::{Command, Part, Topic, command};
use crate::errors::{OVERFLOW, error_lines};
use crate::{Args, EvalError, Flags as F, KeyFlags as K, Reply, Txn, number};

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
    .docs(
        "2.0.0",
        "O(N) where N is the number of fields of the hash",
        "Adds a number to a field of a hash.",
    );

/// `HINCRBY key field increment`: the sum, once stored. An absent field counts as 0; the expiry is
/// kept.
///
/// O(length of the hash). Errors: `NOT_AN_INTEGER`, `WRONG_TYPE`, `HASH_VALUE_NOT_AN_INTEGER`,
/// `OVERFLOW`, `HASH_TOO_LONG`. Source: Redis `t_hash.c`, `hincrbyCommand`.
fn hincrby(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (key, field, increment) = (args.bytes(1), args.bytes(2), args.int(3)?);
    let mut hash = txn.hash(key)?;
    let before = match hash.get(field)? {
        Some(value) => number::parse_int(&value).ok_or(HASH_VALUE_NOT_AN_INTEGER)?,
        None => 0,
    };
    let after = before.checked_add(increment).ok_or(OVERFLOW)?;
    hash.set(field, &number::format_int(after))?;
    txn.put_hash(key.clone(), &hash)?;
    Ok(Reply::Integer(after))
}
