//! Reading whole hashes. While a hash is small its fields come in the order in which they were
//! first set, as in Redis.

use bytes::Bytes;

use crate::command::{Command, Part, Topic, command};
use crate::txn::members::Member;
use crate::{Args, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[HGETALL, HKEYS, HVALS], &[]);

const HGETALL: Command = command(Topic::Hash, "hgetall")
    .syntax("key")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(hgetall)
    .tips(&["nondeterministic_output_order"])
    .hints("key=hash-key reply=any-order")
    .docs(
        "2.0.0",
        "O(N) where N is the number of fields of the hash",
        "Returns the fields and values of a hash.",
    );

/// `HGETALL key`: each field and its value; an array in RESP2, a map in RESP3. O(n). Errors:
/// `WRONG_TYPE`, `ReplyTooLong`.
fn hgetall(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let mut reply = Vec::new();
    txn.hash(args.bytes(1))?.0.each(txn, &mut |txn, field| {
        txn.take_reply_room(field.name.len())?;
        txn.take_reply_room(field.value.len())?;
        reply.push((Reply::Bulk(field.name), Reply::Bulk(field.value)));
        Ok(true)
    })?;
    Ok(Reply::Map(reply))
}

const HKEYS: Command = command(Topic::Hash, "hkeys")
    .syntax("key")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(hkeys)
    .tips(&["nondeterministic_output_order"])
    .hints("key=hash-key reply=any-order")
    .docs(
        "2.0.0",
        "O(N) where N is the number of fields of the hash",
        "Returns the fields of a hash.",
    );

/// `HKEYS key`: each field. O(n). Errors: `WRONG_TYPE`, `ReplyTooLong`.
fn hkeys(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    list(txn, args, |field| field.name)
}

const HVALS: Command = command(Topic::Hash, "hvals")
    .syntax("key")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(hvals)
    .tips(&["nondeterministic_output_order"])
    .hints("key=hash-key reply=any-order")
    .docs(
        "2.0.0",
        "O(N) where N is the number of fields of the hash",
        "Returns the values of a hash.",
    );

/// `HVALS key`: each value. O(n). Errors: `WRONG_TYPE`, `ReplyTooLong`.
fn hvals(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    list(txn, args, |field| field.value)
}

fn list(txn: &mut Txn<'_>, args: &Args<'_>, item: fn(Member) -> Bytes) -> Result<Reply, EvalError> {
    let mut reply = Vec::new();
    txn.hash(args.bytes(1))?.0.each(txn, &mut |txn, field| {
        let item = item(field);
        txn.take_reply_room(item.len())?;
        reply.push(Reply::Bulk(item));
        Ok(true)
    })?;
    Ok(Reply::Array(reply))
}
