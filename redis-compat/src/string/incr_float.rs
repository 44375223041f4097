//! `INCRBYFLOAT`: a sum in 80-bit floating point, kept as decimal text.

use crate::command::{Command, Part, Topic, command};
use crate::errors::{NAN_OR_INFINITY, NOT_A_FLOAT};
use crate::float80::Float80;
use crate::{Args, Classes, Encoding, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[INCRBYFLOAT], &[]);

const INCRBYFLOAT: Command = command(Topic::String, "incrbyfloat")
    .syntax("key increment:double")
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_ACCESS_UPDATE.at(1)])
    .runs(incrbyfloat)
    .docs(
        "2.6.0",
        "O(1)",
        "Adds a floating-point number to a counter.",
    );

/// `INCRBYFLOAT key increment`: the sum, once stored. An absent key counts as 0; the expiry is
/// kept.
///
/// O(1). Errors: `WRONG_TYPE`, `NOT_A_FLOAT`, `NAN_OR_INFINITY`. Source: Redis `t_string.c`,
/// `incrbyfloatCommand`, as it computes on x86-64.
fn incrbyfloat(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    let old = txn.string(key)?;
    let before = match &old {
        Some(old) => Float80::parse(old.bytes()).ok_or(NOT_A_FLOAT)?,
        None => Float80::ZERO,
    };
    let increment = Float80::parse(args.bytes(2)).ok_or(NOT_A_FLOAT)?;
    let after = before.add(increment).to_decimal().ok_or(NAN_OR_INFINITY)?;
    txn.put_kept(
        key.clone(),
        after.clone(),
        Encoding::of_text(&after),
        old.and_then(|old| old.expires_at()),
    )?;
    txn.notify(Classes::STRING, "incrbyfloat", key);
    Ok(Reply::Bulk(after))
}
