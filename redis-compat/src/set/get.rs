//! Reading sets, and asking for members.

use crate::command::{Command, Part, Topic, command};
use crate::{Args, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[SISMEMBER, SMISMEMBER, SCARD, SMEMBERS], &[]);

const SISMEMBER: Command = command(Topic::Set, "sismember")
    .syntax("key member")
    .flags(F::READ_FAST)
    .keys(&[K::RO.at(1)])
    .runs(sismember)
    .hints("key=set-key member=member")
    .docs("1.0.0", "O(1)", "Tells whether a set has a member.");

/// `SISMEMBER key member`: 1 if it is there. O(log). Errors: `WRONG_TYPE`.
fn sismember(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let is_there = txn.set(args.bytes(1))?.contains(txn, args.bytes(2))?;
    Ok(Reply::Integer(is_there.into()))
}

const SMISMEMBER: Command = command(Topic::Set, "smismember")
    .syntax("key member ...")
    .flags(F::READ_FAST)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(smismember)
    .hints("key=set-key member=member")
    .docs(
        "6.2.0",
        "O(N) where N is the number of members asked for",
        "Tells which members a set has.",
    );

/// `SMISMEMBER key member [member ...]`: 1 or 0 for each. O(log) for each. Errors: `WRONG_TYPE`.
fn smismember(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let mut set = txn.set(args.bytes(1))?;
    let mut reply = Vec::with_capacity(args.len() - 2);
    for member in args.rest(2) {
        reply.push(Reply::Integer(set.contains(txn, member)?.into()));
    }
    Ok(Reply::Array(reply))
}

const SCARD: Command = command(Topic::Set, "scard")
    .syntax("key")
    .flags(F::READ_FAST)
    .keys(&[K::RO.at(1)])
    .runs(scard)
    .hints("key=set-key")
    .docs("1.0.0", "O(1)", "Returns the number of members of a set.");

/// `SCARD key`: how many members there are, 0 if absent. O(1). Errors: `WRONG_TYPE`.
fn scard(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let len = txn.set(args.bytes(1))?.len(txn)?;
    Ok(Reply::Integer(len as i64))
}

const SMEMBERS: Command = command(Topic::Set, "smembers")
    .syntax("key")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(smembers)
    .tips(&["nondeterministic_output_order"])
    .hints("weight=2 key=set-key reply=any-order")
    .docs(
        "1.0.0",
        "O(N) where N is the number of members of the set",
        "Returns the members of a set.",
    );

/// `SMEMBERS key`: each member; an array in RESP2, a set in RESP3. O(n). Errors: `WRONG_TYPE`,
/// `ReplyTooLong`.
fn smembers(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let members = txn.set(args.bytes(1))?.for_reply(txn)?;
    Ok(Reply::Set(members.into_iter().map(Reply::Bulk).collect()))
}
