//! Adding members, removing them, and moving them from set to set.

use crate::command::{Command, Part, Topic, command};
use crate::{Args, Classes, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[SADD, SREM, SMOVE], &[]);

const SADD: Command = command(Topic::Set, "sadd")
    .syntax("key member ...")
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_INSERT.at(1)])
    .runs(sadd)
    .hints("weight=12 key=set-key member=member")
    .docs(
        "1.0.0",
        "O(N) where N is the number of members added",
        "Adds members to a set.",
    );

/// `SADD key member [member ...]`: how many members are new. The expiry is kept, and the deadlines
/// of members.
///
/// O(log) for each member. Errors: `WRONG_TYPE`. Source: Redis `t_set.c`, `saddCommand`.
fn sadd(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    let members = args.rest(2);
    let mut set = txn.set(key)?;
    set.expect(&members[0], members.len());
    let mut added = 0;
    for member in members {
        added += i64::from(set.add(txn, member)?);
    }
    if added > 0 {
        txn.put_set(key, &mut set)?;
        txn.notify(Classes::SET, "sadd", key);
    }
    Ok(Reply::Integer(added))
}

const SREM: Command = command(Topic::Set, "srem")
    .syntax("key member ...")
    .flags(F::WRITE_FAST)
    .keys(&[K::RW.with(K::DELETE).at(1)])
    .runs(srem)
    .hints("weight=2 key=set-key member=member")
    .docs(
        "1.0.0",
        "O(N) where N is the number of members removed",
        "Removes members of a set.",
    );

/// `SREM key member [member ...]`: how many were there. A set without members is removed.
///
/// O(log) for each member. Errors: `WRONG_TYPE`.
fn srem(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    let mut set = txn.set(key)?;
    let mut removed = 0;
    for member in args.rest(2) {
        removed += i64::from(set.remove(txn, member)?);
    }
    if removed > 0 {
        txn.notify(Classes::SET, "srem", key);
        txn.put_set(key, &mut set)?;
    }
    Ok(Reply::Integer(removed))
}

const SMOVE: Command = command(Topic::Set, "smove")
    .syntax("source destination member")
    .flags(F::WRITE_FAST)
    .keys(&[K::RW_ACCESS_DELETE.at(1), K::RW_INSERT.at(2)])
    .runs(smove)
    .hints("weight=2 source=set-key destination=set-key member=member")
    .docs("1.0.0", "O(1)", "Moves a member from one set to another.")
    .deviation("All keys must be in the same group; otherwise the reply is CROSSGROUP.");

/// `SMOVE source destination member`: 1 if moved, 0 if it was not there. Its deadline moves along,
/// unless the destination has the member already.
///
/// O(log). Errors: `WRONG_TYPE`. Source: Redis `t_set.c`, `smoveCommand`.
fn smove(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (from, to, member) = (args.bytes(1), args.bytes(2), args.bytes(3));
    if !txn.exists(from)? {
        return Ok(Reply::Integer(0));
    }
    let (mut source, mut destination) = (txn.set(from)?, txn.set(to)?);
    if from == to {
        let is_there = source.contains(txn, member)?;
        return Ok(Reply::Integer(is_there.into()));
    }
    let Some(cell) = source.0.remove(txn, member)? else {
        return Ok(Reply::Integer(0));
    };
    txn.notify(Classes::SET, "srem", from);
    txn.put_set(from, &mut source)?;
    destination.expect(member, 1);
    if destination.add_until(txn, member, cell.deadline)? {
        txn.put_set(to, &mut destination)?;
        txn.notify(Classes::SET, "sadd", to);
    }
    Ok(Reply::Integer(1))
}
