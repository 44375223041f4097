//! Removing the members with the lowest or highest scores, and waiting for them.

use bytes::Bytes;

use super::order::Item;
use super::pop::{Pops, pop_from, reply_of};
use crate::command::{Command, Part, Topic, command};
use crate::errors::WRONG_TYPE;
use crate::waits::{Timeout, WaitQueue, last_is_timeout, seconds};
use crate::{Args, CommandError, EvalError, Flags as F, KeyFlags as K, Kind, Reply, Txn};

pub(super) const PART: Part = Part::new(&[BZPOPMIN, BZPOPMAX, BZMPOP], &[]);

/// A pop may wait, and is not for scripts.
const POPS: F = F::WRITE_FAST.with(F::NOSCRIPT).with(F::BLOCKING);
const ONE_GROUP: &str = "All keys must be in the same group; otherwise the reply is CROSSGROUP.";

fn queue(_: &[Bytes]) -> WaitQueue {
    WaitQueue::taking(Kind::SortedSet)
}

const BZPOPMIN: Command = command(Topic::SortedSet, "bzpopmin")
    .syntax("key ... timeout:double")
    .flags(POPS)
    .keys(&[K::RW_ACCESS_DELETE.at(1).to(-2)])
    .runs(bzpopmin)
    .check(last_is_timeout)
    .waits(Timeout::Last, queue)
    .hints("key=zset-key timeout=brief reply=scores")
    .docs(
        "5.0.0",
        "O(log(N)) with N being the number of elements in the sorted set.",
        "Removes and returns the member with the lowest score of a sorted set, or waits until \
        there is one.",
    )
    .deviation(ONE_GROUP);

/// `BZPOPMIN key [key ...] timeout`: the first key that holds a sorted set, and its member with the
/// lowest score; waits for one, and then the reply is null. O(keys), and O(log n).
///
/// Errors: those of a timeout, `WRONG_TYPE`. Source: Redis `t_zset.c`,
/// `blockingGenericZpopCommand`.
fn bzpopmin(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    pop(txn, args, false)
}

const BZPOPMAX: Command = command(Topic::SortedSet, "bzpopmax")
    .syntax("key ... timeout:double")
    .flags(POPS)
    .keys(&[K::RW_ACCESS_DELETE.at(1).to(-2)])
    .runs(bzpopmax)
    .check(last_is_timeout)
    .waits(Timeout::Last, queue)
    .hints("key=zset-key timeout=brief reply=scores")
    .docs(
        "5.0.0",
        "O(log(N)) with N being the number of elements in the sorted set.",
        "Removes and returns the member with the highest score of a sorted set, or waits until \
        there is one.",
    )
    .deviation(ONE_GROUP);

/// `BZPOPMAX key [key ...] timeout`: as `BZPOPMIN`, with the highest score.
fn bzpopmax(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    pop(txn, args, true)
}

fn pop(txn: &mut Txn<'_>, args: &Args<'_>, highest: bool) -> Result<Reply, EvalError> {
    let last = args.len() - 1;
    seconds(args.get(last), txn.now().0)?;
    let keys = &args.rest(1)[..last - 1];
    let Some((key, mut popped)) = pop_waiting(txn, keys, highest, 1)? else {
        return Ok(Reply::NullArray);
    };
    let Some(item) = popped.pop() else {
        return Ok(Reply::NullArray);
    };
    Ok(Reply::Array(vec![
        Reply::Bulk(key.clone()),
        Reply::Bulk(item.member),
        Reply::Double(item.score),
    ]))
}

const BZMPOP: Command = command(Topic::SortedSet, "bzmpop")
    .syntax("timeout:double numkeys key ... where(MIN|MAX) [COUNT count]")
    .flags(F::WRITE.with(F::BLOCKING).with(F::MOVABLE_KEYS))
    .keys(&[K::RW_ACCESS_DELETE.at(2).counted()])
    .runs(bzmpop)
    .check(bzmpop_check)
    .waits(Timeout::First, queue)
    .hints("key=zset-key count=few timeout=brief reply=scores")
    .docs(
        "7.0.0",
        "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of \
        elements in the sorted set, and M being the number of elements popped.",
        "Removes and returns members of the first sorted set that has any, or waits until one has.",
    )
    .deviation(ONE_GROUP);

/// `BZMPOP timeout numkeys key [key ...] MIN|MAX [COUNT n]`: as `ZMPOP`; waits for a sorted set,
/// and then the reply is null.
///
/// O(keys + m) for m members, and O(log n) each. Errors: as `ZMPOP`, then those of a timeout.
/// Source: Redis `t_zset.c`, `zmpopGenericCommand`.
fn bzmpop(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let pops = Pops::parse(args, 2)?;
    seconds(args.get(1), txn.now().0)?;
    Ok(
        match pop_waiting(txn, pops.keys, pops.highest, pops.count)? {
            Some((key, popped)) => reply_of(key, popped),
            None => Reply::NullArray,
        },
    )
}

fn bzmpop_check(args: &Args<'_>) -> Result<(), CommandError> {
    Pops::parse(args, 2)?;
    seconds(args.get(1), 0).map(drop)
}

/// Pops from the first of `keys` that holds a sorted set; `None` if the command is to wait.
fn pop_waiting<'k>(
    txn: &mut Txn<'_>,
    keys: &'k [Bytes],
    highest: bool,
    count: u64,
) -> Result<Option<(&'k Bytes, Vec<Item>)>, EvalError> {
    for key in keys {
        match pop_from(txn, key, highest, count) {
            Ok(popped) if popped.is_empty() => {}
            Ok(popped) => return Ok(Some((key, popped))),
            // A client that waits for a sorted set lets other types be.
            Err(EvalError::Rejected(WRONG_TYPE)) if txn.has_waited() => {}
            Err(error) => return Err(error),
        }
    }
    txn.wait();
    Ok(None)
}
