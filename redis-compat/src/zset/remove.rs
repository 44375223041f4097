//! Removing members: by name, rank, score, or in their own order.

use super::span::{Members, Scores, Selection, Span};
use crate::command::{Command, Part, Topic, command};
use crate::{Args, Classes, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(
    &[ZREM, ZREMRANGEBYRANK, ZREMRANGEBYSCORE, ZREMRANGEBYLEX],
    &[],
);

const ZREM: Command = command(Topic::SortedSet, "zrem")
    .syntax("key member ...")
    .flags(F::WRITE_FAST)
    .keys(&[K::RW.with(K::DELETE).at(1)])
    .leaves_orders()
    .runs(zrem)
    .hints("weight=2 key=zset-key member=zset-member")
    .docs(
        "1.2.0",
        "O(M*log(N)) with N being the number of elements in the sorted set and M the number of \
        elements to be removed.",
        "Removes members of a sorted set.",
    );

/// `ZREM key member [member ...]`: how many were there. A set without members is removed.
///
/// O(log n) for each member. Errors: `WRONG_TYPE`.
fn zrem(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    let mut set = txn.zset(key)?;
    let mut removed = 0;
    for member in args.rest(2) {
        removed += i64::from(set.remove(txn, member)?.is_some());
    }
    if removed > 0 {
        txn.notify(Classes::SORTED_SET, args.name(), key);
        txn.put_zset(key.clone(), set)?;
    }
    Ok(Reply::Integer(removed))
}

const ZREMRANGEBYRANK: Command = command(Topic::SortedSet, "zremrangebyrank")
    .syntax("key start stop")
    .flags(F::WRITE)
    .keys(&[K::RW.with(K::DELETE).at(1)])
    .runs(zremrangebyrank)
    .hints("key=zset-key start=rank stop=rank")
    .docs(
        "2.0.0",
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of \
        elements removed by the operation.",
        "Removes the members of a sorted set within a range of ranks.",
    )
    .deviation(TOO_MANY);

/// How removals of large parts differ from Redis'.
const TOO_MANY: &str = "Unless all members go, it removes at most some 16 MiB of elements, each \
    counted twice with its key; more are refused.";

/// `ZREMRANGEBYRANK key start stop`: how many were removed. Ranks below 0 count from the end.
///
/// O(log n + m) for m members. Errors: `NOT_AN_INTEGER`, `WRONG_TYPE`, `TOO_MANY_REMOVED`. Source:
/// Redis `t_zset.c`, `zremrangeGenericCommand`.
fn zremrangebyrank(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (start, stop) = (args.int(2)?, args.int(3)?);
    remove(txn, args, |len| Selection::ranks(start, stop, len))
}

const ZREMRANGEBYSCORE: Command = command(Topic::SortedSet, "zremrangebyscore")
    .syntax("key min:double max:double")
    .flags(F::WRITE)
    .keys(&[K::RW.with(K::DELETE).at(1)])
    .runs(zremrangebyscore)
    .hints("key=zset-key min=score-bound max=score-bound")
    .docs(
        "1.2.0",
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of \
        elements removed by the operation.",
        "Removes the members of a sorted set within a range of scores.",
    )
    .deviation(TOO_MANY);

/// `ZREMRANGEBYSCORE key min max`: how many were removed.
///
/// O(log n + m) for m members. Errors: `NOT_A_FLOAT_RANGE`, `WRONG_TYPE`, `TOO_MANY_REMOVED`.
fn zremrangebyscore(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let scores = Scores::parse(args.bytes(2), args.bytes(3))?;
    remove(txn, args, |_| Some(Selection::of(Span::Scores(scores))))
}

const ZREMRANGEBYLEX: Command = command(Topic::SortedSet, "zremrangebylex")
    .syntax("key min max")
    .flags(F::WRITE)
    .keys(&[K::RW.with(K::DELETE).at(1)])
    .runs(zremrangebylex)
    .hints("key=lex-key min=lex-bound max=lex-bound")
    .docs(
        "2.8.9",
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of \
        elements removed by the operation.",
        "Removes the members of a sorted set within a range of members.",
    )
    .deviation(TOO_MANY);

/// `ZREMRANGEBYLEX key min max`: how many were removed. All members should have the same score.
///
/// O(log n + m) for m members. Errors: `NOT_A_LEX_RANGE`, `WRONG_TYPE`, `TOO_MANY_REMOVED`.
fn zremrangebylex(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let members = Members::parse(args.bytes(2), args.bytes(3))?;
    remove(txn, args, |_| Some(Selection::of(Span::Members(members))))
}

fn remove(
    txn: &mut Txn<'_>,
    args: &Args<'_>,
    selection: impl FnOnce(u64) -> Option<Selection>,
) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    let mut set = txn.zset(key)?;
    let len = set.len()?;
    let Some(selection) = selection(len).filter(|_| len > 0) else {
        return Ok(Reply::Integer(0));
    };
    let removed = set.remove_all(txn, &selection)?;
    if removed > 0 {
        txn.notify(Classes::SORTED_SET, args.name(), key);
        txn.put_zset(key.clone(), set)?;
    }
    Ok(Reply::Integer(removed as i64))
}
