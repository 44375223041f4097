//! Random members.

use std::collections::BTreeSet;

use super::SortedSet;
use super::listing::Listing;
use super::span::{Selection, Span};
use crate::command::{Command, Part, Topic, command};
use crate::errors::{NOT_AN_INTEGER, SYNTAX, error_lines};
use crate::{Args, EvalError, Flags as F, KeyFlags as K, Reply, Txn, number};

pub(super) const PART: Part = Part::new(&[ZRANDMEMBER], LINES);

error_lines! {
    /// `ZRANDMEMBER` with the least number as count.
    COUNT_OUT_OF_RANGE = "ERR value is out of range, value must between -9223372036854775807 and \
        9223372036854775807";
    /// `ZRANDMEMBER WITHSCORES` with a count of which Redis cannot make twice as many.
    COUNT_TOO_LARGE = "ERR value is out of range";
}

/// One in so many members is looked for by its rank; more are met on a walk.
const SPARSE: u64 = 64;

const ZRANDMEMBER: Command = command(Topic::SortedSet, "zrandmember")
    .syntax("key [options(count [WITHSCORES])]")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(zrandmember)
    .tips(&["nondeterministic_output"])
    .hints("key=zset-key count=few reply=random")
    .docs(
        "6.2.0",
        "O(N) where N is the number of elements returned",
        "Returns random members of a sorted set.",
    );

/// `ZRANDMEMBER key [count [WITHSCORES]]`: a member, or null; with a count so many members, each
/// once, or with a count below 0 as often as chance has it. Each member has the same chance.
///
/// O(log n) for each member. Errors: `NOT_AN_INTEGER`, `COUNT_OUT_OF_RANGE`, `SYNTAX`,
/// `COUNT_TOO_LARGE`, `WRONG_TYPE`, `ReplyTooLong`. Source: Redis `t_zset.c`,
/// `zrandmemberCommand`.
fn zrandmember(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let Some(count) = args.get(2) else {
        let mut set = txn.zset(args.bytes(1))?;
        let len = set.len()?;
        if len == 0 {
            return Ok(Reply::Null);
        }
        let nth = txn.random() % len;
        let item = set.select(txn, nth)?;
        return Ok(Reply::bulk_or_null(item.map(|item| item.member)));
    };
    let count = number::parse_int(count).ok_or(NOT_AN_INTEGER)?;
    if count == i64::MIN {
        return Err(COUNT_OUT_OF_RANGE.into());
    }
    let with_scores = args.is(3, "withscores");
    if args.len() > 4 || (args.len() == 4 && !with_scores) {
        return Err(SYNTAX.into());
    }
    if with_scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(COUNT_TOO_LARGE.into());
    }
    let mut set = txn.zset(args.bytes(1))?;
    let mut listing = Listing::of_reply(with_scores);
    if set.len()? > 0 {
        choose(txn, &mut set, count, &mut listing)?;
    }
    Ok(listing.reply())
}

fn choose(
    txn: &mut Txn<'_>,
    set: &mut SortedSet,
    count: i64,
    listing: &mut Listing,
) -> Result<(), EvalError> {
    let (len, wanted) = (set.len()?, count.unsigned_abs());
    if count < 0 {
        for _ in 0..wanted {
            let nth = txn.random() % len;
            if let Some(item) = set.select(txn, nth)? {
                listing.add(txn, item)?;
            }
        }
        return Ok(());
    }
    if wanted < len / SPARSE {
        for nth in some_ranks(txn, len, wanted) {
            if let Some(item) = set.select(txn, nth)? {
                listing.add(txn, item)?;
            }
        }
        return Ok(());
    }
    // Each member is taken by the chance that is left for it.
    let (mut left, mut needed) = (len, wanted.min(len));
    set.walk(txn, &Selection::of(Span::All), &mut |txn, item| {
        let is_taken = needed == left || txn.random() % left < needed;
        left -= 1;
        if is_taken {
            needed -= 1;
            listing.add(txn, item)?;
        }
        Ok(needed > 0)
    })
}

/// So many ranks below `len`, each once, each set of them with the same chance (Floyd).
fn some_ranks(txn: &mut Txn<'_>, len: u64, wanted: u64) -> BTreeSet<u64> {
    let mut ranks = BTreeSet::new();
    for end in len - wanted..len {
        let rank = txn.random() % (end + 1);
        if !ranks.insert(rank) {
            ranks.insert(end);
        }
    }
    ranks
}
