//! Reading whole hashes. Fields come in the order in which they were first set; in Redis they do as
//! long as the hash is small.

use bytes::Bytes;

use crate::command::{Command, Part, Topic, command};
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

/// `HGETALL key`: each field and its value; an array in RESP2, a map in RESP3. O(length of the
/// hash). Errors: `WRONG_TYPE`, `ReplyTooLong`.
fn hgetall(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let pairs = txn.hash(args.bytes(1))?.all()?;
    let mut reply = Vec::with_capacity(pairs.len());
    for (field, value) in pairs {
        txn.take_reply_room(field.len())?;
        txn.take_reply_room(value.len())?;
        reply.push((Reply::Bulk(field), Reply::Bulk(value)));
    }
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

/// `HKEYS key`: each field. O(length of the hash). Errors: `WRONG_TYPE`, `ReplyTooLong`.
fn hkeys(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let pairs = txn.hash(args.bytes(1))?.all()?;
    list(txn, pairs.into_iter().map(|(field, _)| field))
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

/// `HVALS key`: each value. O(length of the hash). Errors: `WRONG_TYPE`, `ReplyTooLong`.
fn hvals(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let pairs = txn.hash(args.bytes(1))?.all()?;
    list(txn, pairs.into_iter().map(|(_, value)| value))
}

fn list(txn: &mut Txn<'_>, items: impl Iterator<Item = Bytes>) -> Result<Reply, EvalError> {
    let mut reply = Vec::with_capacity(items.size_hint().0);
    for item in items {
        txn.take_reply_room(item.len())?;
        reply.push(Reply::Bulk(item));
    }
    Ok(Reply::Array(reply))
}
