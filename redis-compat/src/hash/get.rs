//! Reading fields, and asking for them.

use crate::command::{Command, Part, Topic, command};
use crate::{Args, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[HGET, HMGET, HEXISTS, HSTRLEN, HLEN], &[]);

const HGET: Command = command(Topic::Hash, "hget")
    .syntax("key field")
    .flags(F::READ_FAST)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(hget)
    .hints("key=hash-key field=field")
    .docs("2.0.0", "O(1)", "Returns the value of a field of a hash.");

/// `HGET key field`: the value, or null. O(log). Errors: `WRONG_TYPE`.
fn hget(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let value = txn.hash(args.bytes(1))?.get(txn, args.bytes(2))?;
    Ok(Reply::bulk_or_null(value))
}

const HMGET: Command = command(Topic::Hash, "hmget")
    .syntax("key field ...")
    .flags(F::READ_FAST)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(hmget)
    .hints("key=hash-key field=field")
    .docs(
        "2.0.0",
        "O(N) where N is the number of fields asked for",
        "Returns the values of several fields of a hash.",
    );

/// `HMGET key field [field ...]`: the values in the order of the words, null for a field that is
/// absent.
///
/// O(log) for each field. Errors: `WRONG_TYPE`, `ReplyTooLong`.
fn hmget(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let fields = args.rest(2);
    let mut hash = txn.hash(args.bytes(1))?;
    let mut values = Vec::with_capacity(fields.len());
    for field in fields {
        let value = hash.get(txn, field)?;
        txn.take_reply_room(value.as_ref().map_or(0, |value| value.len()))?;
        values.push(Reply::bulk_or_null(value));
    }
    Ok(Reply::Array(values))
}

const HEXISTS: Command = command(Topic::Hash, "hexists")
    .syntax("key field")
    .flags(F::READ_FAST)
    .keys(&[K::RO.at(1)])
    .runs(hexists)
    .hints("key=hash-key field=field")
    .docs("2.0.0", "O(1)", "Tells whether a hash has a field.");

/// `HEXISTS key field`: 1 if the field is there. O(log). Errors: `WRONG_TYPE`.
fn hexists(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let value = txn.hash(args.bytes(1))?.get(txn, args.bytes(2))?;
    Ok(Reply::Integer(value.is_some().into()))
}

const HSTRLEN: Command = command(Topic::Hash, "hstrlen")
    .syntax("key field")
    .flags(F::READ_FAST)
    .keys(&[K::RO.at(1)])
    .runs(hstrlen)
    .hints("key=hash-key field=field")
    .docs(
        "3.2.0",
        "O(1)",
        "Returns the length of the value of a field of a hash.",
    );

/// `HSTRLEN key field`: the length of the value, 0 if absent. O(log). Errors:
/// `WRONG_TYPE`.
fn hstrlen(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let value = txn.hash(args.bytes(1))?.get(txn, args.bytes(2))?;
    Ok(Reply::Integer(value.map_or(0, |value| value.len() as i64)))
}

const HLEN: Command = command(Topic::Hash, "hlen")
    .syntax("key")
    .flags(F::READ_FAST)
    .keys(&[K::RO.at(1)])
    .runs(hlen)
    .hints("key=hash-key")
    .docs("2.0.0", "O(1)", "Returns the number of fields of a hash.");

/// `HLEN key`: how many fields there are, 0 if absent. O(1). Errors: `WRONG_TYPE`.
fn hlen(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let len = txn.hash(args.bytes(1))?.len(txn)?;
    Ok(Reply::Integer(len as i64))
}
