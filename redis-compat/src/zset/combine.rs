//! Unions, intersections and differences of sorted sets and sets.

mod aggregate;
mod run;
mod source;

use bytes::Bytes;

use super::listing::Listing;
use super::score::parse_score;
use super::store::{STORE_MAX, store as store_items};
use crate::command::{Command, Part, Topic, command};
use crate::errors::{SYNTAX, error_lines};
use crate::{Args, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn, Words, number};

use aggregate::Aggregate;
use run::{card, difference, intersection, union};

pub(super) const PART: Part = Part::new(
    &[
        ZUNION,
        ZINTER,
        ZDIFF,
        ZUNIONSTORE,
        ZINTERSTORE,
        ZDIFFSTORE,
        ZINTERCARD,
    ],
    LINES,
);

error_lines! {
    /// A weight that is no number.
    WEIGHT_NOT_A_FLOAT = "ERR weight value is not a float";
    /// `ZINTERCARD` with a limit below 0.
    LIMIT_BELOW_0 = "ERR LIMIT can't be negative";
}

const UNION_COST: &str = "O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted \
    sets, and M being the number of elements in the resulting sorted set.";
const INTER_COST: &str = "O(N*K*log(N))+O(M*log(M)) worst case with N being the smallest input \
    sorted set, K being the number of input sorted sets and M being the number of elements in the \
    resulting sorted set.";
const DIFF_COST: &str = "O(N*K*log(N)) worst case where N is the size of the first set, and K the \
    number of sets.";
/// Newer than the version of Redis that commands are tracked against.
const COUNT_IS_NEWER: &str = "AGGREGATE COUNT of Redis 8.8 is there: the score of a member is the \
    sum of the weights of the sets that have it.";
/// The same of commands that store.
const COUNT_AND_STORE_MAX: &str = "AGGREGATE COUNT of Redis 8.8 is there: the score of a member is \
    the sum of the weights of the sets that have it. A result of more than some 16 MiB of elements, \
    each counted twice with its key, is refused.";

const ZUNION: Command = command(Topic::SortedSet, "zunion")
    .syntax(
        "numkeys key ... [WEIGHTS weight:integer ...] [AGGREGATE \
        aggregate(SUM|MIN|MAX|COUNT)] [WITHSCORES]",
    )
    .flags(F::READ.with(F::MOVABLE_KEYS))
    .keys(&[K::RO_ACCESS.at(1).counted()])
    .runs(zunion)
    .check(read_check)
    .hints("weight=2 key=zset-or-set weight=score newer=COUNT reply=scores")
    .docs(
        "6.2.0",
        UNION_COST,
        "Returns the union of several sorted sets.",
    )
    .deviation(COUNT_IS_NEWER);

/// `ZUNION numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE SUM|MIN|MAX|COUNT] [WITHSCORES]`:
/// the members of any of the sets, by the score that is made of theirs.
///
/// O(n + m log m) for m members in the result. Errors: `NOT_AN_INTEGER`,
/// `CommandError::no_input_key`, `SYNTAX`,
/// `WRONG_TYPE`, `WEIGHT_NOT_A_FLOAT`, `ReplyTooLong`. Source: Redis `t_zset.c`,
/// `zunionInterDiffGenericCommand`.
fn zunion(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    list(txn, args, Operation::Union)
}

const ZINTER: Command = command(Topic::SortedSet, "zinter")
    .syntax(
        "numkeys key ... [WEIGHTS weight:integer ...] [AGGREGATE \
        aggregate(SUM|MIN|MAX|COUNT)] [WITHSCORES]",
    )
    .flags(F::READ.with(F::MOVABLE_KEYS))
    .keys(&[K::RO_ACCESS.at(1).counted()])
    .runs(zinter)
    .check(read_check)
    .hints("weight=2 key=zset-or-set weight=score newer=COUNT reply=scores")
    .docs(
        "6.2.0",
        INTER_COST,
        "Returns the intersection of several sorted sets.",
    )
    .deviation(COUNT_IS_NEWER);

/// `ZINTER numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE SUM|MIN|MAX|COUNT] [WITHSCORES]`:
/// the members of all of the sets; else as `ZUNION`. O(n k log n) for n members of the smallest.
fn zinter(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    list(txn, args, Operation::Inter)
}

const ZDIFF: Command = command(Topic::SortedSet, "zdiff")
    .syntax("numkeys key ... [WITHSCORES]")
    .flags(F::READ.with(F::MOVABLE_KEYS))
    .keys(&[K::RO_ACCESS.at(1).counted()])
    .runs(zdiff)
    .check(diff_check)
    .hints("weight=2 key=zset-or-set reply=scores")
    .docs(
        "6.2.0",
        DIFF_COST,
        "Returns the difference between sorted sets.",
    );

/// `ZDIFF numkeys key [key ...] [WITHSCORES]`: the members of the first set that are in no other.
///
/// O(n k log n) for n members of the first. Errors: as `ZUNION`.
fn zdiff(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    list(txn, args, Operation::Diff)
}

const ZUNIONSTORE: Command = command(Topic::SortedSet, "zunionstore")
    .syntax(
        "destination numkeys key ... [WEIGHTS weight:integer ...] [AGGREGATE \
        aggregate(SUM|MIN|MAX|COUNT)]",
    )
    .flags(F::WRITE_ROOM.with(F::MOVABLE_KEYS))
    .keys(&[K::OW_UPDATE.at(1), K::RO_ACCESS.at(2).counted()])
    .runs(zunionstore)
    .check(store_check)
    .hints("weight=2 destination=zset-dst key=zset-or-set weight=score newer=COUNT")
    .docs(
        "2.0.0",
        UNION_COST,
        "Stores the union of several sorted sets.",
    )
    .deviation(COUNT_AND_STORE_MAX);

/// `ZUNIONSTORE destination numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE
/// SUM|MIN|MAX|COUNT]`: how many members were stored; none removes the destination. Errors: as
/// `ZUNION`, and `COLLECTION_TOO_LARGE`.
fn zunionstore(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    store(txn, args, Operation::Union)
}

const ZINTERSTORE: Command = command(Topic::SortedSet, "zinterstore")
    .syntax(
        "destination numkeys key ... [WEIGHTS weight:integer ...] [AGGREGATE \
        aggregate(SUM|MIN|MAX|COUNT)]",
    )
    .flags(F::WRITE_ROOM.with(F::MOVABLE_KEYS))
    .keys(&[K::OW_UPDATE.at(1), K::RO_ACCESS.at(2).counted()])
    .runs(zinterstore)
    .check(store_check)
    .hints("weight=2 destination=zset-dst key=zset-or-set weight=score newer=COUNT")
    .docs(
        "2.0.0",
        INTER_COST,
        "Stores the intersection of several sorted sets.",
    )
    .deviation(COUNT_AND_STORE_MAX);

/// `ZINTERSTORE destination numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE
/// SUM|MIN|MAX|COUNT]`: as `ZUNIONSTORE`, of the members of `ZINTER`.
fn zinterstore(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    store(txn, args, Operation::Inter)
}

const ZDIFFSTORE: Command = command(Topic::SortedSet, "zdiffstore")
    .syntax("destination numkeys key ...")
    .flags(F::WRITE_ROOM.with(F::MOVABLE_KEYS))
    .keys(&[K::OW_UPDATE.at(1), K::RO_ACCESS.at(2).counted()])
    .runs(zdiffstore)
    .check(diffstore_check)
    .hints("weight=2 destination=zset-dst key=zset-or-set")
    .docs(
        "6.2.0",
        DIFF_COST,
        "Stores the difference between sorted sets.",
    )
    .deviation(STORE_MAX);

/// `ZDIFFSTORE destination numkeys key [key ...]`: as `ZUNIONSTORE`, of the members of `ZDIFF`.
fn zdiffstore(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    store(txn, args, Operation::Diff)
}

const ZINTERCARD: Command = command(Topic::SortedSet, "zintercard")
    .syntax("numkeys key ... [LIMIT limit]")
    .flags(F::READ.with(F::MOVABLE_KEYS))
    .keys(&[K::RO_ACCESS.at(1).counted()])
    .runs(zintercard)
    .check(card_check)
    .hints("weight=2 key=zset-or-set limit=limit")
    .docs(
        "7.0.0",
        "O(N*K*log(N)) worst case with N being the smallest input sorted set, K being the number \
        of input sorted sets.",
        "Returns the number of members of the intersection of sorted sets.",
    );

/// `ZINTERCARD numkeys key [key ...] [LIMIT limit]`: how many members are in all of the sets, up to
/// the limit if that is not 0. Errors: as `ZUNION`, and `LIMIT_BELOW_0`.
fn zintercard(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (keys, words) = keys(args, 1)?;
    let sources = source::read(txn, keys)?;
    let options = Options::parse(words, keys.len(), Form::Card)?;
    let limit = if options.limit == 0 {
        u64::MAX
    } else {
        options.limit
    };
    let count = card(txn, options.inputs(sources), limit)?;
    Ok(Reply::Integer(count as i64))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Inter,
    Diff,
}

/// The options that a command takes.
#[derive(Debug, Clone, Copy)]
enum Form {
    List(Operation),
    Store(Operation),
    Card,
}

#[derive(Debug)]
struct Options {
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    limit: u64,
}

fn list(txn: &mut Txn<'_>, args: &Args<'_>, operation: Operation) -> Result<Reply, EvalError> {
    let (keys, words) = keys(args, 1)?;
    let sources = source::read(txn, keys)?;
    let options = Options::parse(words, keys.len(), Form::List(operation))?;
    let mut listing = Listing::of_reply(options.with_scores);
    run(txn, operation, &options, sources, &mut listing)?;
    listing.sort();
    Ok(listing.reply())
}

fn store(txn: &mut Txn<'_>, args: &Args<'_>, operation: Operation) -> Result<Reply, EvalError> {
    let (keys, words) = keys(args, 2)?;
    let sources = source::read(txn, keys)?;
    let options = Options::parse(words, keys.len(), Form::Store(operation))?;
    let mut listing = Listing::of_store();
    run(txn, operation, &options, sources, &mut listing)?;
    store_items(txn, args.bytes(1), listing.into_items(), args.name())
}

fn run(
    txn: &mut Txn<'_>,
    operation: Operation,
    options: &Options,
    sources: Vec<source::Source>,
    listing: &mut Listing,
) -> Result<(), EvalError> {
    let inputs = options.inputs(sources);
    match operation {
        Operation::Union => union(txn, inputs, options.aggregate, listing),
        Operation::Inter => intersection(txn, inputs, options.aggregate, listing),
        Operation::Diff => difference(txn, inputs, listing),
    }
}

fn read_check(args: &Args<'_>) -> Result<(), CommandError> {
    check(args, 1, Form::List(Operation::Union))
}

fn diff_check(args: &Args<'_>) -> Result<(), CommandError> {
    check(args, 1, Form::List(Operation::Diff))
}

fn store_check(args: &Args<'_>) -> Result<(), CommandError> {
    check(args, 2, Form::Store(Operation::Union))
}

fn diffstore_check(args: &Args<'_>) -> Result<(), CommandError> {
    check(args, 2, Form::Store(Operation::Diff))
}

fn card_check(args: &Args<'_>) -> Result<(), CommandError> {
    check(args, 1, Form::Card)
}

fn check(args: &Args<'_>, at: usize, form: Form) -> Result<(), CommandError> {
    let (keys, words) = keys(args, at)?;
    Options::parse(words, keys.len(), form).map(drop)
}

/// The keys behind their count, and the words behind them.
fn keys<'a>(args: &Args<'a>, at: usize) -> Result<(&'a [Bytes], &'a [Bytes]), CommandError> {
    let count = args.int(at)?;
    if count < 1 {
        return Err(CommandError::no_input_key(args.name()));
    }
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    args.rest(at + 1).split_at_checked(count).ok_or(SYNTAX)
}

impl Options {
    fn parse(words: &[Bytes], keys: usize, form: Form) -> Result<Self, CommandError> {
        let mut options = Self {
            weights: vec![1.0; keys],
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: 0,
        };
        let weighs = match form {
            Form::List(operation) | Form::Store(operation) => operation != Operation::Diff,
            Form::Card => false,
        };
        let mut words = Words::new(words);
        while let Some(word) = words.next() {
            match (word.keyword().as_str(), form) {
                ("weights", _) if weighs && words.left() >= keys => {
                    for weight in &mut options.weights {
                        let word = words.value()?;
                        *weight = parse_score(word).ok_or(WEIGHT_NOT_A_FLOAT)?;
                    }
                }
                ("aggregate", _) if weighs => {
                    let word = crate::Word(words.value()?);
                    options.aggregate = Aggregate::of(word.keyword().as_str())?;
                }
                ("withscores", Form::List(_)) => options.with_scores = true,
                ("limit", Form::Card) => {
                    let limit = number::parse_int(words.value()?);
                    let limit = limit.and_then(|limit| u64::try_from(limit).ok());
                    options.limit = limit.ok_or(LIMIT_BELOW_0)?;
                }
                _ => return Err(SYNTAX),
            }
        }
        Ok(options)
    }

    fn inputs(&self, sources: Vec<source::Source>) -> Vec<run::Input> {
        let weighted = sources.into_iter().zip(&self.weights);
        let input = |(source, weight): (_, &f64)| run::Input {
            source,
            weight: *weight,
        };
        weighted.map(input).collect()
    }
}
