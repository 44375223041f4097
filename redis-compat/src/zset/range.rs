//! The items within a range: of ranks, scores or members; listed, or stored under another key.

use super::listing::Listing;
use super::span::{Members, Scores, Selection, Span};
use super::store::{STORE_MAX, store_set};
use super::value::SortedSet;
use crate::command::{Command, Part, Topic, command};
use crate::errors::{NOT_AN_INTEGER, SYNTAX, error_lines};
use crate::{Args, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn, number};

pub(super) const PART: Part = Part::new(
    &[
        ZRANGE,
        ZREVRANGE,
        ZRANGEBYSCORE,
        ZREVRANGEBYSCORE,
        ZRANGEBYLEX,
        ZREVRANGEBYLEX,
        ZRANGESTORE,
    ],
    LINES,
);

error_lines! {
    /// `LIMIT` of a range of ranks.
    LIMIT_OF_RANKS = "ERR syntax error, LIMIT is only supported in combination with either BYSCORE \
        or BYLEX";
    /// `WITHSCORES` of a range of members.
    SCORES_OF_MEMBERS = "ERR syntax error, WITHSCORES not supported in combination with BYLEX";
}

const COST: &str = "O(log(N)+M) with N being the number of elements in the sorted set and M the \
    number of elements returned.";

const ZRANGE: Command = command(Topic::SortedSet, "zrange")
    .syntax(
        "key start:string stop:string [sortby(BYSCORE|BYLEX)] [REV] [LIMIT offset_count(offset \
        count)] [WITHSCORES]",
    )
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(zrange)
    .hints("weight=4 key=zset-key start=range-bound stop=range-bound count=limit reply=scores")
    .docs(
        "1.2.0",
        COST,
        "Returns the members of a sorted set within a range.",
    );

/// `ZRANGE key start stop [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]`: members in
/// order, or backwards with `REV`; then the greater bound comes first, unless it is a rank.
///
/// O(log n + m) for m members. Errors: `SYNTAX`, `NOT_AN_INTEGER`, `LIMIT_OF_RANKS`,
/// `SCORES_OF_MEMBERS`, `NOT_A_FLOAT_RANGE`, `NOT_A_LEX_RANGE`, `WRONG_TYPE`, `ReplyTooLong`.
/// Source: Redis `t_zset.c`, `zrangeGenericCommand`.
fn zrange(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    list(txn, args, Form::default())
}

const ZREVRANGE: Command = command(Topic::SortedSet, "zrevrange")
    .syntax("key start stop [WITHSCORES]")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(zrevrange)
    .hints("key=zset-key start=rank stop=rank reply=scores")
    .docs(
        "1.2.0",
        COST,
        "Returns the members of a sorted set within a range of ranks, backwards.",
    );

/// `ZREVRANGE key start stop [WITHSCORES]`: as `ZRANGE ... REV`.
fn zrevrange(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    list(txn, args, Form::named(By::Rank, true))
}

const ZRANGEBYSCORE: Command = command(Topic::SortedSet, "zrangebyscore")
    .syntax("key min:double max:double [WITHSCORES] [LIMIT offset_count(offset count)]")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(zrangebyscore)
    .hints("key=zset-key min=score-bound max=score-bound count=limit reply=scores")
    .docs(
        "1.0.5",
        COST,
        "Returns the members of a sorted set within a range of scores.",
    );

/// `ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]`: as `ZRANGE ... BYSCORE`.
fn zrangebyscore(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    list(txn, args, Form::named(By::Score, false))
}

const ZREVRANGEBYSCORE: Command = command(Topic::SortedSet, "zrevrangebyscore")
    .syntax("key max:double min:double [WITHSCORES] [LIMIT offset_count(offset count)]")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(zrevrangebyscore)
    .hints("key=zset-key min=score-bound max=score-bound count=limit reply=scores")
    .docs(
        "2.2.0",
        COST,
        "Returns the members of a sorted set within a range of scores, backwards.",
    );

/// `ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]`: as `ZRANGE ... BYSCORE REV`.
fn zrevrangebyscore(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    list(txn, args, Form::named(By::Score, true))
}

const ZRANGEBYLEX: Command = command(Topic::SortedSet, "zrangebylex")
    .syntax("key min max [LIMIT offset_count(offset count)]")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(zrangebylex)
    .hints("key=lex-key min=lex-bound max=lex-bound count=limit")
    .docs(
        "2.8.9",
        COST,
        "Returns the members of a sorted set within a range of members.",
    );

/// `ZRANGEBYLEX key min max [LIMIT offset count]`: as `ZRANGE ... BYLEX`.
fn zrangebylex(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    list(txn, args, Form::named(By::Lex, false))
}

const ZREVRANGEBYLEX: Command = command(Topic::SortedSet, "zrevrangebylex")
    .syntax("key max min [LIMIT offset_count(offset count)]")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(zrevrangebylex)
    .hints("key=lex-key min=lex-bound max=lex-bound count=limit")
    .docs(
        "2.8.9",
        COST,
        "Returns the members of a sorted set within a range of members, backwards.",
    );

/// `ZREVRANGEBYLEX key max min [LIMIT offset count]`: as `ZRANGE ... BYLEX REV`.
fn zrevrangebylex(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    list(txn, args, Form::named(By::Lex, true))
}

const ZRANGESTORE: Command = command(Topic::SortedSet, "zrangestore")
    .syntax(
        "dst:key src:key min max [sortby(BYSCORE|BYLEX)] [REV] [LIMIT offset_count(offset count)]",
    )
    .flags(F::WRITE_ROOM)
    .keys(&[K::OW_UPDATE.at(1), K::RO_ACCESS.at(2)])
    .runs(zrangestore)
    .check(zrangestore_check)
    .hints("dst=zset-dst src=zset-key min=range-bound max=range-bound count=limit")
    .docs(
        "6.2.0",
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of \
        elements stored into the destination key.",
        "Stores the members of a sorted set within a range under another key.",
    )
    .deviation(STORE_MAX);

/// `ZRANGESTORE dst src min max [BYSCORE|BYLEX] [REV] [LIMIT offset count]`: how many members were
/// stored; none removes the destination.
///
/// O(log n + m log m) for m members. Errors: as `ZRANGE`, and `COLLECTION_TOO_LARGE`.
fn zrangestore(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let range = Range::parse(args, Form::of_store())?;
    let mut source = txn.zset(args.bytes(2))?;
    let mut listing = Listing::of_store();
    if let Some(selection) = range.selection(source.len()?) {
        source.walk(txn, &selection, &mut |txn, item| {
            listing.add(txn, item)?;
            Ok(true)
        })?;
    }
    let is_counted = matches!(range.bounds, Bounds::Ranks(..));
    let set = SortedSet::of_added_items(listing.into_items(), is_counted);
    store_set(txn, args.bytes(1), set, args.name())
}

fn zrangestore_check(args: &Args<'_>) -> Result<(), CommandError> {
    Range::parse(args, Form::of_store()).map(drop)
}

fn list(txn: &mut Txn<'_>, args: &Args<'_>, form: Form) -> Result<Reply, EvalError> {
    let range = Range::parse(args, form)?;
    let mut set = txn.zset(args.bytes(1))?;
    let mut listing = Listing::of_reply(range.with_scores);
    if let Some(selection) = range.selection(set.len()?) {
        set.walk(txn, &selection, &mut |txn, item| {
            listing.add(txn, item)?;
            Ok(true)
        })?;
    }
    Ok(listing.reply())
}

/// The kind of the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// The part of a range that the name of a command says.
#[derive(Debug, Clone, Copy, Default)]
struct Form {
    /// `None` if options say it.
    by: Option<By>,
    down: Option<bool>,
    stores: bool,
}

impl Form {
    fn named(by: By, down: bool) -> Self {
        Self {
            by: Some(by),
            down: Some(down),
            stores: false,
        }
    }

    fn of_store() -> Self {
        Self {
            stores: true,
            ..Self::default()
        }
    }
}

/// The words of a range, read.
#[derive(Debug)]
struct Range {
    bounds: Bounds,
    down: bool,
    offset: i64,
    /// Below 0: all.
    limit: i64,
    with_scores: bool,
}

#[derive(Debug)]
enum Bounds {
    Ranks(i64, i64),
    Span(Span),
}

impl Range {
    fn parse(args: &Args<'_>, form: Form) -> Result<Self, CommandError> {
        let at = 2 + usize::from(form.stores);
        let (mut by, mut down) = (form.by, form.down);
        let (mut offset, mut limit, mut with_scores) = (0, -1, false);
        let mut words = args.options(at + 2);
        while let Some(word) = words.next() {
            match word.keyword().as_str() {
                "withscores" if !form.stores => with_scores = true,
                "limit" => {
                    let [first, second] = words.values()?;
                    let int = |word: &[u8]| number::parse_int(word).ok_or(NOT_AN_INTEGER);
                    (offset, limit) = (int(first)?, int(second)?);
                }
                "rev" if form.down.is_none() && down.is_none() => down = Some(true),
                "bylex" if by.is_none() => by = Some(By::Lex),
                "byscore" if by.is_none() => by = Some(By::Score),
                _ => return Err(SYNTAX),
            }
        }
        let (by, down) = (by.unwrap_or(By::Rank), down.unwrap_or(false));
        if limit != -1 && by == By::Rank {
            return Err(LIMIT_OF_RANKS);
        }
        if with_scores && by == By::Lex {
            return Err(SCORES_OF_MEMBERS);
        }
        let (first, second) = (args.bytes(at), args.bytes(at + 1));
        // Backwards, the greater bound comes first.
        let (min, max) = if down {
            (second, first)
        } else {
            (first, second)
        };
        let bounds = match by {
            By::Rank => Bounds::Ranks(args.int(at)?, args.int(at + 1)?),
            By::Score => Bounds::Span(Span::Scores(Scores::parse(min, max)?)),
            By::Lex => Bounds::Span(Span::Members(Members::parse(min, max)?)),
        };
        Ok(Self {
            bounds,
            down,
            offset,
            limit,
            with_scores,
        })
    }

    /// The items of a set of `len` items; `None` if there are none.
    fn selection(&self, len: u64) -> Option<Selection> {
        let down = self.down;
        if len == 0 {
            return None;
        }
        match &self.bounds {
            Bounds::Ranks(start, stop) => {
                let ranks = Selection::ranks(*start, *stop, len)?;
                Some(Selection { down, ..ranks })
            }
            Bounds::Span(span) => Some(Selection {
                span: span.clone(),
                down,
                // Redis passes over all for an offset below 0.
                offset: u64::try_from(self.offset).ok()?,
                count: u64::try_from(self.limit).unwrap_or(u64::MAX),
            }),
        }
    }
}
