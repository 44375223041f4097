//! Adding members, and changing scores.

use bytes::Bytes;

use super::SortedSet;
use super::score::parse_score;
use crate::command::{Command, Part, Topic, command};
use crate::errors::{NOT_A_FLOAT, SYNTAX, error_lines};
use crate::{Args, Classes, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[ZADD, ZINCRBY], LINES);

error_lines! {
    /// `ZADD NX XX`.
    NX_AND_XX = "ERR XX and NX options at the same time are not compatible";
    /// `ZADD GT LT`, or either with `NX`.
    GT_LT_AND_NX = "ERR GT, LT, and/or NX options at the same time are not compatible";
    /// `ZADD INCR` with several members.
    INCR_OF_ONE = "ERR INCR option supports a single increment-element pair";
    /// The sum of both infinities.
    SCORE_IS_NAN = "ERR resulting score is not a number (NaN)";
}

const ZADD: Command = command(Topic::SortedSet, "zadd")
    .syntax(
        "key [condition(NX|XX)] [comparison(GT|LT)] [change=CH] [increment=INCR] \
        score_member(score member) ...",
    )
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_UPDATE.at(1)])
    .leaves_orders()
    .runs(zadd)
    .hints("weight=17 key=zset-key score=score member=zset-member reply=scores")
    .docs(
        "1.2.0",
        "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
        "Adds members to a sorted set, or changes their scores.",
    );

/// `ZADD key [NX|XX] [GT|LT] [CH] [INCR] score member [score member ...]`: how many members are
/// new, or with `CH` have another score; with `INCR` the score, or null where nothing was done.
///
/// O(log n) for each member. Errors: `SYNTAX`, `NX_AND_XX`, `GT_LT_AND_NX`, `INCR_OF_ONE`,
/// `NOT_A_FLOAT`, `WRONG_TYPE`, `SCORE_IS_NAN`. Source: Redis `t_zset.c`, `zaddGenericCommand` and
/// `zsetAdd`.
fn zadd(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    add(txn, args, false)
}

const ZINCRBY: Command = command(Topic::SortedSet, "zincrby")
    .syntax("key increment member")
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_ACCESS_UPDATE.at(1)])
    .leaves_orders()
    .runs(zincrby)
    .hints("weight=3 key=zset-key increment=score member=zset-member reply=scores")
    .docs(
        "1.2.0",
        "O(log(N)) where N is the number of elements in the sorted set.",
        "Adds a number to the score of a member of a sorted set.",
    );

/// `ZINCRBY key increment member`: the score. An absent member counts as 0. O(log n). Errors: as
/// `ZADD INCR`.
fn zincrby(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    add(txn, args, true)
}

#[derive(Debug, Default)]
struct Options {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
    counts_changed: bool,
    increments: bool,
}

/// What was done for a member.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Added(f64),
    Changed(f64),
    /// It has this score already.
    Same(f64),
    /// The options forbid it.
    Nothing,
}

fn add(txn: &mut Txn<'_>, args: &Args<'_>, increments: bool) -> Result<Reply, EvalError> {
    let (mut options, at) = parse(args);
    options.increments |= increments;
    let pairs = args.rest(at);
    options.check(pairs)?;
    let scores = pairs.chunks_exact(2).map(|pair| parse_score(&pair[0]));
    let scores: Option<Vec<f64>> = scores.collect();
    let scores = scores.ok_or(NOT_A_FLOAT)?;
    let key = args.bytes(1);
    let mut set = txn.zset(key)?;
    if !(options.xx && set.len()? == 0) {
        set.expect_members(scores.len(), pairs[1].len());
    }
    let (mut added, mut changed, mut last) = (0, 0, None);
    for (pair, score) in pairs.chunks_exact(2).zip(scores) {
        let outcome = options.apply(txn, &mut set, &pair[1], score)?;
        added += i64::from(matches!(outcome, Outcome::Added(_)));
        changed += i64::from(matches!(outcome, Outcome::Changed(_)));
        last = match outcome {
            Outcome::Added(score) | Outcome::Changed(score) | Outcome::Same(score) => Some(score),
            Outcome::Nothing => None,
        };
    }
    if added + changed > 0 {
        txn.put_zset(key.clone(), set)?;
        let name = if options.increments { "zincr" } else { "zadd" };
        txn.notify(Classes::SORTED_SET, name, key);
    }
    Ok(match (options.increments, last) {
        (true, Some(score)) => Reply::Double(score),
        (true, None) => Reply::Null,
        (false, _) if options.counts_changed => Reply::Integer(added + changed),
        (false, _) => Reply::Integer(added),
    })
}

/// The options, and where the first score is.
fn parse(args: &Args<'_>) -> (Options, usize) {
    let mut options = Options::default();
    let mut at = 2;
    for word in args.options(2) {
        match word.keyword().as_str() {
            "nx" => options.nx = true,
            "xx" => options.xx = true,
            "gt" => options.gt = true,
            "lt" => options.lt = true,
            "ch" => options.counts_changed = true,
            "incr" => options.increments = true,
            _ => break,
        }
        at += 1;
    }
    (options, at)
}

impl Options {
    fn check(&self, pairs: &[Bytes]) -> Result<(), CommandError> {
        if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
            return Err(SYNTAX);
        }
        if self.nx && self.xx {
            return Err(NX_AND_XX);
        }
        if (self.nx && (self.gt || self.lt)) || (self.gt && self.lt) {
            return Err(GT_LT_AND_NX);
        }
        if self.increments && pairs.len() > 2 {
            return Err(INCR_OF_ONE);
        }
        Ok(())
    }

    fn apply(
        &self,
        txn: &mut Txn<'_>,
        set: &mut SortedSet,
        member: &Bytes,
        score: f64,
    ) -> Result<Outcome, EvalError> {
        let before = set.score(txn, member)?;
        let Some(current) = before else {
            if self.xx {
                return Ok(Outcome::Nothing);
            }
            set.put(txn, member, None, score)?;
            return Ok(Outcome::Added(score));
        };
        if self.nx {
            return Ok(Outcome::Nothing);
        }
        let score = if self.increments {
            current + score
        } else {
            score
        };
        if score.is_nan() {
            return Err(SCORE_IS_NAN.into());
        }
        if (self.lt && score >= current) || (self.gt && score <= current) {
            return Ok(Outcome::Nothing);
        }
        if score == current {
            return Ok(Outcome::Same(score));
        }
        set.put(txn, member, before, score)?;
        Ok(Outcome::Changed(score))
    }
}
