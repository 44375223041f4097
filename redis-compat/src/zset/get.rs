//! Scores, ranks and counts.

use super::span::{Members, Scores, Span};
use crate::command::{Command, Part, Topic, command};
use crate::errors::SYNTAX;
use crate::{Args, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(
    &[ZSCORE, ZMSCORE, ZCARD, ZRANK, ZREVRANK, ZCOUNT, ZLEXCOUNT],
    &[],
);

const ZSCORE: Command = command(Topic::SortedSet, "zscore")
    .syntax("key member")
    .flags(F::READ_FAST)
    .keys(&[K::RO_ACCESS.at(1)])
    .leaves_orders()
    .runs(zscore)
    .hints("key=zset-key member=zset-member reply=scores")
    .docs(
        "1.2.0",
        "O(1)",
        "Returns the score of a member of a sorted set.",
    );

/// `ZSCORE key member`: the score, or null. O(log n). Errors: `WRONG_TYPE`.
fn zscore(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let set = txn.zset(args.bytes(1))?;
    Ok(shown(set.score(txn, args.bytes(2))?))
}

fn shown(score: Option<f64>) -> Reply {
    score.map_or(Reply::Null, Reply::Double)
}

const ZMSCORE: Command = command(Topic::SortedSet, "zmscore")
    .syntax("key member ...")
    .flags(F::READ_FAST)
    .keys(&[K::RO_ACCESS.at(1)])
    .leaves_orders()
    .runs(zmscore)
    .hints("key=zset-key member=zset-member reply=scores")
    .docs(
        "6.2.0",
        "O(N) where N is the number of members being requested.",
        "Returns the scores of several members of a sorted set.",
    );

/// `ZMSCORE key member [member ...]`: the scores in the order of the words, null for a member that
/// is absent. O(log n) for each. Errors: `WRONG_TYPE`.
fn zmscore(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let set = txn.zset(args.bytes(1))?;
    let scores = args.rest(2).iter();
    let scores = scores.map(|member| Ok(shown(set.score(txn, member)?)));
    Ok(Reply::Array(scores.collect::<Result<_, EvalError>>()?))
}

const ZCARD: Command = command(Topic::SortedSet, "zcard")
    .syntax("key")
    .flags(F::READ_FAST)
    .keys(&[K::RO.at(1)])
    .leaves_orders()
    .runs(zcard)
    .hints("key=zset-key")
    .docs(
        "1.2.0",
        "O(1)",
        "Returns the number of members of a sorted set.",
    );

/// `ZCARD key`: how many members there are, 0 if absent. O(1). Errors: `WRONG_TYPE`.
fn zcard(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    Ok(Reply::Integer(txn.zset(args.bytes(1))?.len()? as i64))
}

const ZRANK: Command = command(Topic::SortedSet, "zrank")
    .syntax("key member [WITHSCORE]")
    .flags(F::READ_FAST)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(zrank)
    .hints("key=zset-key member=zset-member newer=WITHSCORE")
    .docs(
        "2.0.0",
        "O(log(N))",
        "Returns the rank of a member of a sorted set, from the lowest score.",
    );

/// `ZRANK key member [WITHSCORE]`: how many members are before it, or null; with its score if
/// asked. O(log n). Errors: `SYNTAX`, `WRONG_TYPE`. Source: Redis `t_zset.c`,
/// `zrankGenericCommand`.
fn zrank(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    rank(txn, args, false)
}

const ZREVRANK: Command = command(Topic::SortedSet, "zrevrank")
    .syntax("key member [WITHSCORE]")
    .flags(F::READ_FAST)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(zrevrank)
    .hints("key=zset-key member=zset-member newer=WITHSCORE")
    .docs(
        "2.0.0",
        "O(log(N))",
        "Returns the rank of a member of a sorted set, from the highest score.",
    );

/// `ZREVRANK key member [WITHSCORE]`: how many members are behind it; else as `ZRANK`.
fn zrevrank(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    rank(txn, args, true)
}

fn rank(txn: &mut Txn<'_>, args: &Args<'_>, from_end: bool) -> Result<Reply, EvalError> {
    if args.len() > 4 {
        return Err(CommandError::WrongArity(args.name()).into());
    }
    let with_score = args.is(3, "withscore");
    if args.len() == 4 && !with_score {
        return Err(SYNTAX.into());
    }
    let (mut set, member) = (txn.zset(args.bytes(1))?, args.bytes(2));
    let Some(score) = set.score(txn, member)? else {
        return Ok(if with_score {
            Reply::NullArray
        } else {
            Reply::Null
        });
    };
    let mut rank = set.rank(txn, member, score)?;
    if from_end {
        rank = set.len()?.saturating_sub(rank + 1);
    }
    let rank = Reply::Integer(rank as i64);
    Ok(if with_score {
        Reply::Array(vec![rank, Reply::Double(score)])
    } else {
        rank
    })
}

const ZCOUNT: Command = command(Topic::SortedSet, "zcount")
    .syntax("key min:double max:double")
    .flags(F::READ_FAST)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(zcount)
    .hints("key=zset-key min=score-bound max=score-bound")
    .docs(
        "2.0.0",
        "O(log(N)) with N being the number of elements in the sorted set.",
        "Returns the number of members of a sorted set within a range of scores.",
    );

/// `ZCOUNT key min max`: how many members have such scores. O(log n). Errors: `NOT_A_FLOAT_RANGE`,
/// `WRONG_TYPE`.
fn zcount(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let scores = Scores::parse(args.bytes(2), args.bytes(3))?;
    count(txn, args, &Span::Scores(scores))
}

const ZLEXCOUNT: Command = command(Topic::SortedSet, "zlexcount")
    .syntax("key min max")
    .flags(F::READ_FAST)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(zlexcount)
    .hints("key=lex-key min=lex-bound max=lex-bound")
    .docs(
        "2.8.9",
        "O(log(N)) with N being the number of elements in the sorted set.",
        "Returns the number of members of a sorted set within a range of members.",
    );

/// `ZLEXCOUNT key min max`: how many members are between the two; all should have the same score.
/// O(log n). Errors: `NOT_A_LEX_RANGE`, `WRONG_TYPE`.
fn zlexcount(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let members = Members::parse(args.bytes(2), args.bytes(3))?;
    count(txn, args, &Span::Members(members))
}

fn count(txn: &mut Txn<'_>, args: &Args<'_>, span: &Span) -> Result<Reply, EvalError> {
    let mut set = txn.zset(args.bytes(1))?;
    if set.len()? == 0 {
        return Ok(Reply::Integer(0));
    }
    Ok(Reply::Integer(set.count(txn, span)? as i64))
}
