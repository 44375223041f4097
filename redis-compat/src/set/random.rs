//! Random members, to be read and to be removed.

use crate::command::{Command, Part, Topic, command};
use crate::errors::{NOT_POSITIVE, SYNTAX};
use crate::{
    Args, Classes, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn, number,
};

pub(super) const PART: Part = Part::new(&[SPOP, SRANDMEMBER], &[]);

const SPOP: Command = command(Topic::Set, "spop")
    .syntax("key [count]")
    .flags(F::WRITE_FAST)
    .keys(&[K::RW_ACCESS_DELETE.at(1)])
    .runs(spop)
    .tips(&["nondeterministic_output"])
    .hints("key=set-key count=random-count reply=random")
    .docs(
        "1.0.0",
        "O(N) where N is the number of members removed",
        "Removes random members of a set and returns them.",
    );

/// `SPOP key [count]`: a random member, or null; with a count, so many of them, or all. Each is as
/// likely as any other.
///
/// O(log) for each, expected. Errors: `NOT_POSITIVE`, `WRONG_TYPE`, `SYNTAX`, `ReplyTooLong`.
/// Source: Redis `t_set.c`, `spopCommand`.
fn spop(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    match args.len() {
        2 => {}
        3 => return spop_some(txn, args),
        _ => return Err(SYNTAX.into()),
    }
    let mut set = txn.set(key)?;
    let Some(member) = set.0.random(txn)? else {
        return Ok(Reply::Null);
    };
    set.remove(txn, &member.name)?;
    txn.notify(Classes::SET, "spop", key);
    txn.put_set(key, &mut set)?;
    Ok(Reply::Bulk(member.name))
}

fn spop_some(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    let count = number::parse_int(args.bytes(2)).and_then(|count| u64::try_from(count).ok());
    let count = count.ok_or(NOT_POSITIVE)?;
    let mut set = txn.set(key)?;
    let mut popped = Vec::new();
    set.0.sample(txn, count, &mut |txn, member| {
        txn.take_reply_room(member.name.len())?;
        popped.push(member.name);
        Ok(true)
    })?;
    for member in &popped {
        set.remove(txn, member)?;
    }
    if !popped.is_empty() {
        txn.notify(Classes::SET, "spop", key);
        txn.put_set(key, &mut set)?;
    }
    Ok(Reply::Set(popped.into_iter().map(Reply::Bulk).collect()))
}

const SRANDMEMBER: Command = command(Topic::Set, "srandmember")
    .syntax("key [count]")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(srandmember)
    .tips(&["nondeterministic_output"])
    .hints("key=set-key count=random-count reply=random")
    .docs(
        "1.0.0",
        "O(N) where N is the number of members returned",
        "Returns random members of a set.",
    );

/// `SRANDMEMBER key [count]`: a random member, or null; with a count, so many different members, or
/// all; with a count below zero, so many, and the same again perhaps. Each is as likely as any
/// other.
///
/// O(log) for each, expected. Errors: `IntOutOfRange`, `NOT_AN_INTEGER`, `WRONG_TYPE`, `SYNTAX`,
/// `ReplyTooLong`. Source: Redis `t_set.c`, `srandmemberCommand`.
fn srandmember(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    if args.len() > 3 {
        return Err(SYNTAX.into());
    }
    if args.len() == 2 {
        let member = txn.set(args.bytes(1))?.0.random(txn)?;
        return Ok(Reply::bulk_or_null(member.map(|member| member.name)));
    }
    let count = random_count(args)?;
    let set = txn.set(args.bytes(1))?;
    let mut chosen = Vec::new();
    let mut visit = |txn: &mut Txn<'_>, member: crate::txn::members::Member| {
        txn.take_reply_room(member.name.len())?;
        chosen.push(Reply::Bulk(member.name));
        Ok(true)
    };
    match u64::try_from(count) {
        Ok(count) => set.0.sample(txn, count, &mut visit)?,
        Err(_) => set.0.draw(txn, count.unsigned_abs(), &mut visit)?,
    }
    Ok(Reply::Array(chosen))
}

/// The count of random elements, in word 2. Errors: `NOT_AN_INTEGER`, `IntOutOfRange`.
pub(crate) fn random_count(args: &Args<'_>) -> Result<i64, CommandError> {
    match args.int(2)? {
        i64::MIN => Err(CommandError::int_out_of_range(-i64::MAX, i64::MAX)),
        count => Ok(count),
    }
}
