//! Counters in fields that are no integers: sums in 80-bit floating point, kept as decimal text.

use crate::command::{Command, Part, Topic, command};
use crate::errors::{NAN_OR_INFINITY, NOT_A_FLOAT, error_lines};
use crate::float80::Float80;
use crate::{Args, Classes, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[HINCRBYFLOAT], LINES);

error_lines! {
    /// `HINCRBYFLOAT` of a field that holds no number.
    HASH_VALUE_NOT_A_FLOAT = "ERR hash value is not a float";
    /// `HINCRBYFLOAT` by an infinity.
    INCREMENT_IS_INFINITE = "ERR value is NaN or Infinity";
}

const HINCRBYFLOAT: Command = command(Topic::Hash, "hincrbyfloat")
    .syntax("key field increment:double")
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_ACCESS_UPDATE.at(1)])
    .runs(hincrbyfloat)
    .hints("weight=2 key=hash-key field=field")
    .docs(
        "2.6.0",
        "O(1)",
        "Adds a floating-point number to a field of a hash.",
    );

/// `HINCRBYFLOAT key field increment`: the sum, once stored. An absent field counts as 0; the
/// expiry and the field's deadline are kept.
///
/// O(log). Errors: `NOT_A_FLOAT`, `INCREMENT_IS_INFINITE`, `WRONG_TYPE`, `HASH_VALUE_NOT_A_FLOAT`,
/// `NAN_OR_INFINITY`. Source: Redis `t_hash.c`, `hincrbyfloatCommand`, as it computes on x86-64.
fn hincrbyfloat(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (key, field) = (args.bytes(1), args.bytes(2));
    let increment = Float80::parse(args.bytes(3)).ok_or(NOT_A_FLOAT)?;
    if matches!(increment, Float80::Infinite(_)) {
        return Err(INCREMENT_IS_INFINITE.into());
    }
    let mut hash = txn.hash(key)?;
    let (before, deadline) = match hash.0.get(txn, field)? {
        Some(cell) => {
            let value = Float80::parse(&cell.value).ok_or(HASH_VALUE_NOT_A_FLOAT)?;
            (value, cell.deadline)
        }
        None => (Float80::ZERO, None),
    };
    let after = before.add(increment).to_decimal().ok_or(NAN_OR_INFINITY)?;
    hash.set_until(txn, field, &after, deadline)?;
    txn.put_hash(key, &mut hash)?;
    txn.notify(Classes::HASH, "hincrbyfloat", key);
    Ok(Reply::Bulk(after))
}
