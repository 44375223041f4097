//! Popping elements off lists, and waiting for them.

use bytes::Bytes;

use super::moves::{Several, move_between, parse_ends};
use super::place::End;
use super::pop::{elements, parse as parse_pops, pop_from};
use crate::command::{Command, Part, Topic, command};
use crate::errors::WRONG_TYPE;
use crate::waits::{Timeout, WaitQueue, last_is_timeout, seconds};
use crate::{Args, CommandError, EvalError, Flags as F, KeyFlags as K, KeySpec, Kind, Reply, Txn};

pub(super) const PART: Part = Part::new(&[BLPOP, BRPOP, BLMPOP, BLMOVE, BRPOPLPUSH], &[]);

/// A pop may wait, and is not for scripts.
const POPS: F = F::WRITE.with(F::NOSCRIPT).with(F::BLOCKING);
const MOVES: F = POPS.with(F::DENYOOM);
const MOVE_KEYS: &[KeySpec] = &[K::RW_ACCESS_DELETE.at(1), K::RW_INSERT.at(2)];
const ONE_GROUP: &str = "All keys must be in the same group; otherwise the reply is CROSSGROUP.";

fn queue(_: &[Bytes]) -> WaitQueue {
    WaitQueue::taking(Kind::List)
}

const BLPOP: Command = command(Topic::List, "blpop")
    .syntax("key ... timeout:double")
    .flags(POPS)
    .keys(&[K::RW_ACCESS_DELETE.at(1).to(-2)])
    .runs(blpop)
    .check(last_is_timeout)
    .waits(Timeout::Last, queue)
    .hints("weight=2 key=list-key timeout=brief")
    .docs(
        "2.0.0",
        "O(N) where N is the number of provided keys.",
        "Removes and returns the first element of a list, or waits until there is one.",
    )
    .deviation(ONE_GROUP);

/// `BLPOP key [key ...] timeout`: the first key that holds a list, and the first element of the
/// list; waits for one, and then the reply is null. O(keys).
///
/// Errors: those of a timeout, `WRONG_TYPE`. Source: Redis `t_list.c`,
/// `blockingPopGenericCommand`.
fn blpop(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    pop(txn, args, End::Left)
}

const BRPOP: Command = command(Topic::List, "brpop")
    .syntax("key ... timeout:double")
    .flags(POPS)
    .keys(&[K::RW_ACCESS_DELETE.at(1).to(-2)])
    .runs(brpop)
    .check(last_is_timeout)
    .waits(Timeout::Last, queue)
    .hints("weight=2 key=list-key timeout=brief")
    .docs(
        "2.0.0",
        "O(N) where N is the number of provided keys.",
        "Removes and returns the last element of a list, or waits until there is one.",
    )
    .deviation(ONE_GROUP);

/// `BRPOP key [key ...] timeout`: as `BLPOP`, with the last element.
fn brpop(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    pop(txn, args, End::Right)
}

fn pop(txn: &mut Txn<'_>, args: &Args<'_>, end: End) -> Result<Reply, EvalError> {
    let last = args.len() - 1;
    seconds(args.get(last), txn.now().0)?;
    let keys = &args.rest(1)[..last - 1];
    let Some((key, mut popped)) = pop_waiting(txn, keys, end, 1)? else {
        return Ok(Reply::NullArray);
    };
    let element = Reply::bulk_or_null(popped.pop());
    Ok(Reply::Array(vec![Reply::Bulk(key), element]))
}

const BLMPOP: Command = command(Topic::List, "blmpop")
    .syntax("timeout:double numkeys key ... where(LEFT|RIGHT) [COUNT count]")
    .flags(F::WRITE.with(F::BLOCKING).with(F::MOVABLE_KEYS))
    .keys(&[K::RW_ACCESS_DELETE.at(2).counted()])
    .runs(blmpop)
    .check(blmpop_check)
    .waits(Timeout::First, queue)
    .hints("weight=2 key=list-key count=list-count timeout=brief")
    .docs(
        "7.0.0",
        "O(N+M) where N is the number of provided keys and M is the number of elements returned.",
        "Removes and returns elements of the first list that has any, or waits until one has.",
    )
    .deviation(ONE_GROUP);

/// `BLMPOP timeout numkeys key [key ...] LEFT|RIGHT [COUNT n]`: as `LMPOP`; waits for a list, and
/// then the reply is null.
///
/// O(keys), and O(1) for each element. Errors: as `LMPOP`, then those of a timeout. Source: Redis
/// `t_list.c`, `lmpopGenericCommand`.
fn blmpop(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (keys, end, count) = parse_pops(args, 2)?;
    seconds(args.get(1), txn.now().0)?;
    let Some((key, popped)) = pop_waiting(txn, keys, end, count)? else {
        return Ok(Reply::NullArray);
    };
    Ok(Reply::Array(vec![Reply::Bulk(key), elements(popped)]))
}

fn blmpop_check(args: &Args<'_>) -> Result<(), CommandError> {
    parse_pops(args, 2)?;
    seconds(args.get(1), 0).map(drop)
}

/// Pops off the first of `keys` that holds a list; `None` if the command is to wait.
fn pop_waiting(
    txn: &mut Txn<'_>,
    keys: &[Bytes],
    end: End,
    count: u64,
) -> Result<Option<(Bytes, Vec<Bytes>)>, EvalError> {
    for key in keys {
        match pop_from(txn, std::slice::from_ref(key), end, count) {
            Ok(None) => {}
            // A client that waits for a list lets other types be.
            Err(EvalError::Rejected(WRONG_TYPE)) if txn.has_waited() => {}
            popped => return popped,
        }
    }
    txn.wait();
    Ok(None)
}

const BLMOVE: Command = command(Topic::List, "blmove")
    .syntax("source destination wherefrom(LEFT|RIGHT) whereto(LEFT|RIGHT) timeout:double")
    .flags(MOVES)
    .keys(MOVE_KEYS)
    .runs(blmove)
    .check(blmove_check)
    .waits(Timeout::Last, queue)
    .hints("source=list-key destination=list-key timeout=brief")
    .docs(
        "6.2.0",
        "O(1)",
        "Pops an element off a list and pushes it to another, or waits until there is one.",
    )
    .deviation(ONE_GROUP);

fn blmove_check(args: &Args<'_>) -> Result<(), CommandError> {
    parse_ends(args)?;
    last_is_timeout(args)
}

/// `BLMOVE source destination LEFT|RIGHT LEFT|RIGHT timeout`: as `LMOVE`; waits for an element, and
/// then the reply is null. O(1).
///
/// Errors: `SYNTAX`, those of a timeout, `WRONG_TYPE`. Source: Redis `t_list.c`,
/// `blmoveGenericCommand`.
fn blmove(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let ends = parse_ends(args)?;
    seconds(args.get(5), txn.now().0)?;
    move_waiting(txn, args, ends)
}

const BRPOPLPUSH: Command = command(Topic::List, "brpoplpush")
    .syntax("source destination timeout:double")
    .flags(MOVES)
    .keys(MOVE_KEYS)
    .runs(brpoplpush)
    .check(last_is_timeout)
    .waits(Timeout::Last, queue)
    .hints("source=list-key destination=list-key timeout=brief")
    .docs(
        "2.2.0",
        "O(1)",
        "Pops the last element off a list and puts it before the first of another, or waits until \
        there is one.",
    )
    .deviation(ONE_GROUP);

/// `BRPOPLPUSH source destination timeout`: as `BLMOVE source destination RIGHT LEFT timeout`.
fn brpoplpush(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    seconds(args.get(3), txn.now().0)?;
    move_waiting(txn, args, (End::Right, End::Left))
}

fn move_waiting(txn: &mut Txn<'_>, args: &Args<'_>, ends: (End, End)) -> Result<Reply, EvalError> {
    let (source, destination) = (args.bytes(1), args.bytes(2));
    let has_source = match txn.list(source) {
        Ok(list) => list.len() > 0,
        // A client that waits for a list lets other types be.
        Err(EvalError::Rejected(WRONG_TYPE)) if txn.has_waited() => false,
        Err(error) => return Err(error),
    };
    if !has_source {
        txn.wait();
        return Ok(Reply::Null);
    }
    let moved = move_between(txn, (source, destination), ends, &Several::ONE)?;
    Ok(Reply::bulk_or_null(moved.and_then(|mut moved| moved.pop())))
}
