//! Single bits.

use super::offset::{check_len, parse_offset};
use crate::command::{Command, Part, Topic, command};
use crate::errors::error_lines;
use crate::string::StringChange;
use crate::{Args, Classes, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[GETBIT, SETBIT], LINES);

error_lines! {
    /// A bit that is neither 0 nor 1.
    BIT_VALUE = "ERR bit is not an integer or out of range";
}

const GETBIT: Command = command(Topic::Bitmap, "getbit")
    .syntax("key offset")
    .flags(F::READ_FAST)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(getbit)
    .hints("offset=bit-offset")
    .docs("2.2.0", "O(1)", "Returns the value of a bit.");

/// `GETBIT key offset`: the bit, 0 beyond the end. O(1). Errors: `BIT_OFFSET`, `WRONG_TYPE`.
fn getbit(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let offset = parse_offset(args.bytes(2))?;
    let (key, at) = (args.bytes(1), (offset >> 3) as usize);
    let string = txn.unread_string(key)?;
    let byte = string.map(|string| string.read(txn, key, at..at + 1));
    let byte = byte.transpose()?.and_then(|byte| byte.first().copied());
    let bit = byte.unwrap_or(0) >> (7 - (offset & 7)) & 1;
    Ok(Reply::Integer(bit.into()))
}

const SETBIT: Command = command(Topic::Bitmap, "setbit")
    .syntax("key offset value:integer")
    .flags(F::WRITE_ROOM)
    .keys(&[K::RW_ACCESS_UPDATE.at(1)])
    .runs(setbit)
    .hints("weight=5 offset=bit-offset value=bit")
    .docs(
        "2.2.0",
        "O(1)",
        "Sets or clears a bit and returns its previous value.",
    );

/// `SETBIT key offset bit`: the bit before it. The value grows by zero bytes as needed; the expiry
/// is kept. A bit that is so already is no change.
///
/// O(1); a string of at most 64 KiB is copied. Errors: `BIT_OFFSET`, `BIT_VALUE`, `WRONG_TYPE`.
/// Source: Redis `bitops.c`, `setbitCommand`.
fn setbit(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (key, offset) = (args.bytes(1), parse_offset(args.bytes(2))?);
    let (at, shift) = ((offset >> 3) as usize, 7 - (offset & 7));
    check_len(txn, at + 1)?;
    let on = match args.int(3) {
        Ok(bit @ 0..=1) => bit as u8,
        _ => return Err(BIT_VALUE.into()),
    };
    let old = txn.unread_string(key)?;
    let mut change = StringChange::of(txn, key, old)?;
    let is_there = at < change.len();
    let byte = change.read(txn, at..at + 1)?[0];
    let before = byte >> shift & 1;
    if !is_there || before != on {
        change.write(txn, at, &[(byte & !(1 << shift)) | (on << shift)])?;
        change.put(txn)?;
        txn.notify(Classes::STRING, "setbit", key);
    } else if let Some(old) = change.into_old() {
        txn.mark_raw(key, old)?;
    }
    Ok(Reply::Integer(before.into()))
}
