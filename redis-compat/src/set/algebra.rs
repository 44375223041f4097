//! Intersections, unions and differences of sets, and how many members they have.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::Set;
use crate::command::{Command, Part, Topic, command};
use crate::errors::{SYNTAX, error_lines};
use crate::txn::members::Member;
use crate::{Args, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn, number};

pub(super) const PART: Part = Part::new(
    &[SINTER, SUNION, SDIFF, SINTERCARD, SUNIONCARD, SDIFFCARD],
    LINES,
);

error_lines! {
    /// A number of keys that is none, or not above zero.
    pub(crate) NUMKEYS_NOT_POSITIVE = "ERR numkeys should be greater than 0";
    /// A number of keys above that of the words.
    pub(crate) TOO_MANY_KEYS = "ERR Number of keys can't be greater than number of args";
    /// A limit below zero, or no number.
    pub(crate) LIMIT_BELOW_ZERO = "ERR LIMIT can't be negative";
}

/// What is made of several sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Intersection,
    Union,
    Difference,
}

/// How a member of the result is visited; returns false to end the walk.
type Visit<'v> = dyn FnMut(&mut Txn<'_>, Bytes) -> Result<bool, EvalError> + 'v;

impl Operation {
    /// Visits each member of the result once. Errors: `WRONG_TYPE`.
    pub(super) fn visit(
        self,
        txn: &mut Txn<'_>,
        keys: &[Bytes],
        visit: &mut Visit<'_>,
    ) -> Result<(), EvalError> {
        let mut sets = Vec::with_capacity(keys.len());
        for key in keys {
            sets.push(txn.set(key)?);
        }
        match self {
            Self::Intersection => {
                let mut by_len = Vec::with_capacity(sets.len());
                for set in sets {
                    by_len.push((set.len(txn)?, set));
                }
                by_len.sort_by_key(|(len, _)| *len);
                let sets = by_len.into_iter().map(|(_, set)| set).collect();
                filter(txn, sets, true, visit)
            }
            Self::Difference => filter(txn, sets, false, visit),
            Self::Union => union(txn, &sets, visit),
        }
    }
}

/// Members of the first set that are in all others, or in none of them.
fn filter(
    txn: &mut Txn<'_>,
    mut sets: Vec<Set>,
    in_others: bool,
    visit: &mut Visit<'_>,
) -> Result<(), EvalError> {
    let Some((first, others)) = sets.split_first_mut() else {
        return Ok(());
    };
    first.0.each(txn, &mut |txn, Member { name, .. }| {
        for other in others.iter_mut() {
            if other.contains(txn, &name)? != in_others {
                return Ok(true);
            }
        }
        visit(txn, name)
    })
}

fn union(txn: &mut Txn<'_>, sets: &[Set], visit: &mut Visit<'_>) -> Result<(), EvalError> {
    let mut seen = BTreeSet::new();
    let mut goes_on = true;
    for set in sets {
        set.0.each(txn, &mut |txn, Member { name, .. }| {
            if seen.insert(name.clone()) {
                goes_on = visit(txn, name)?;
            }
            Ok(goes_on)
        })?;
        if !goes_on {
            break;
        }
    }
    Ok(())
}

const SINTER: Command = command(Topic::Set, "sinter")
    .syntax("key ...")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1).every(1)])
    .runs(|txn, args| list(txn, args, Operation::Intersection))
    .tips(&["nondeterministic_output_order"])
    .hints("key=set-key reply=any-order")
    .docs(
        "1.0.0",
        "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of \
        sets",
        "Returns the members that all sets have.",
    )
    .deviation("All keys must be in the same group; otherwise the reply is CROSSGROUP.");

const SUNION: Command = command(Topic::Set, "sunion")
    .syntax("key ...")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1).every(1)])
    .runs(|txn, args| list(txn, args, Operation::Union))
    .tips(&["nondeterministic_output_order"])
    .hints("key=set-key reply=any-order")
    .docs(
        "1.0.0",
        "O(N) where N is the total number of members of all sets",
        "Returns the members that any set has.",
    )
    .deviation("All keys must be in the same group; otherwise the reply is CROSSGROUP.");

const SDIFF: Command = command(Topic::Set, "sdiff")
    .syntax("key ...")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1).every(1)])
    .runs(|txn, args| list(txn, args, Operation::Difference))
    .tips(&["nondeterministic_output_order"])
    .hints("key=set-key reply=any-order")
    .docs(
        "1.0.0",
        "O(N*M) where N is the cardinality of the first set and M is the number of sets",
        "Returns the members of the first set that no other set has.",
    )
    .deviation("All keys must be in the same group; otherwise the reply is CROSSGROUP.");

/// `SINTER key [key ...]`, `SUNION`, `SDIFF`: the members; an array in RESP2, a set in RESP3.
///
/// Errors: `WRONG_TYPE`, `ReplyTooLong`. Source: Redis `t_set.c`, `sinterGenericCommand` and
/// `sunionDiffGenericCommand`.
fn list(txn: &mut Txn<'_>, args: &Args<'_>, of: Operation) -> Result<Reply, EvalError> {
    let mut members = Vec::new();
    of.visit(txn, args.rest(1), &mut |txn, member| {
        txn.take_reply_room(member.len())?;
        members.push(Reply::Bulk(member));
        Ok(true)
    })?;
    Ok(Reply::Set(members))
}

const SINTERCARD: Command = command(Topic::Set, "sintercard")
    .syntax("numkeys key ... [LIMIT limit]")
    .flags(F::READ.with(F::MOVABLE_KEYS))
    .keys(&[K::RO_ACCESS.at(1).counted()])
    .runs(|txn, args| count(txn, args, Operation::Intersection))
    .check(|args| Counted::parse(args, Operation::Intersection).map(drop))
    .hints("weight=5 key=set-key numkeys=numkeys limit=limit")
    .docs(
        "7.0.0",
        "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of \
        sets",
        "Returns how many members all sets have in common.",
    )
    .deviation("All keys must be in the same group; otherwise the reply is CROSSGROUP.");

const SUNIONCARD: Command = command(Topic::Set, "sunioncard")
    .syntax("numkeys key ... [APPROX] [LIMIT limit]")
    .flags(F::READ.with(F::MOVABLE_KEYS))
    .keys(&[K::RO_ACCESS.at(1).counted()])
    .runs(|txn, args| count(txn, args, Operation::Union))
    .check(|args| Counted::parse(args, Operation::Union).map(drop))
    .hints("key=set-key numkeys=numkeys limit=limit")
    .docs(
        "8.10.0",
        "O(N) where N is the total number of members of all sets",
        "Returns how many members the union of sets has.",
    )
    .deviation(
        "All keys must be in the same group; otherwise the reply is CROSSGROUP. The count is exact \
        with APPROX, too.",
    );

const SDIFFCARD: Command = command(Topic::Set, "sdiffcard")
    .syntax("numkeys key ... [LIMIT limit]")
    .flags(F::READ.with(F::MOVABLE_KEYS))
    .keys(&[K::RO_ACCESS.at(1).counted()])
    .runs(|txn, args| count(txn, args, Operation::Difference))
    .check(|args| Counted::parse(args, Operation::Difference).map(drop))
    .hints("key=set-key numkeys=numkeys limit=limit")
    .docs(
        "8.10.0",
        "O(N*M) where N is the cardinality of the first set and M is the number of sets",
        "Returns how many members of the first set no other set has.",
    )
    .deviation("All keys must be in the same group; otherwise the reply is CROSSGROUP.");

/// `SINTERCARD numkeys key [key ...] [LIMIT limit]`, `SUNIONCARD`, `SDIFFCARD`: how many members
/// the result has, at most the limit; a limit of 0 is none.
///
/// Errors: `NUMKEYS_NOT_POSITIVE`, `TOO_MANY_KEYS`, `LIMIT_BELOW_ZERO`, `SYNTAX`, `WRONG_TYPE`.
/// Source: Redis `t_set.c`, `sinterCardCommand`.
fn count(txn: &mut Txn<'_>, args: &Args<'_>, of: Operation) -> Result<Reply, EvalError> {
    let Counted { keys, limit } = Counted::parse(args, of)?;
    let mut found = 0;
    of.visit(txn, keys, &mut |_, _| {
        found += 1;
        Ok(found != limit)
    })?;
    Ok(Reply::Integer(found as i64))
}

/// The words of a command that counts.
struct Counted<'a> {
    keys: &'a [Bytes],
    /// 0 is none.
    limit: u64,
}

impl<'a> Counted<'a> {
    fn parse(args: &Args<'a>, of: Operation) -> Result<Self, CommandError> {
        let positive = |count: &i64| (1..=i64::from(i32::MAX)).contains(count);
        let count = number::parse_int(args.bytes(1)).filter(positive);
        let count = count.ok_or(NUMKEYS_NOT_POSITIVE)? as usize;
        let keys = args.rest(2).get(..count).ok_or(TOO_MANY_KEYS)?;
        let mut limit = 0;
        let mut words = args.options(2 + count);
        while let Some(word) = words.next() {
            match word.keyword().as_str() {
                "limit" => {
                    let found = number::parse_int(words.value()?);
                    let found = found.and_then(|limit| u64::try_from(limit).ok());
                    limit = found.ok_or(LIMIT_BELOW_ZERO)?;
                }
                "approx" if of == Operation::Union => {}
                _ => return Err(SYNTAX),
            }
        }
        Ok(Self { keys, limit })
    }
}
