//! `SORT` and `SORT_RO`: the elements of a list, a set or a sorted set in another order.
//!
//! ```text
//! options.rs    the words
//! elements.rs   the elements of a key, whatever its type
//! pattern.rs    values under keys that a pattern and an element name
//! order.rs      the order of the elements
//! lines.rs      error lines
//! ```
//!
//! The keys that patterns name are not known before the elements are. A command may read those that
//! lie in ranges of its own group ([`Txn::set_whole_ranges`]).
//!
//! Source: Redis `sort.c`.

mod elements;
mod lines;
mod options;
mod order;
mod pattern;

use bytes::Bytes;

use self::elements::{Source, elements_of};
use self::options::{Options, parse, place_of_store};
use self::pattern::Pattern;
use crate::command::{Command, Part, Topic, command};
use crate::{Args, Categories, EvalError, Flags as F, KeyFlags as K, KeySpec, Reply, Txn};

pub(super) const PART: Part = Part::new(&[SORT, SORT_RO], lines::SORT_LINES);

const SORT_COST: &str = "O(N+M*log(M)) where N is the number of elements in the list or set to \
    sort, and M the number of returned elements. When the elements are not sorted, complexity is \
    O(N).";

const CATEGORIES: Categories = Categories::SET
    .with(Categories::SORTEDSET)
    .with(Categories::LIST)
    .with(Categories::DANGEROUS);

/// The keys that patterns name.
const NAMED: KeySpec = K::RO_ACCESS.unknown().notes(
    "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from \
    the content of the key we sort",
);

const SORT: Command = command(Topic::Generic, "sort")
    .syntax(
        "key [BY pattern] [LIMIT offset_count(offset count)] [GET pattern] ... \
        [order(ASC|DESC)] [sorting=ALPHA] [STORE destination]",
    )
    .flags(F::WRITE_ROOM)
    .categories(CATEGORIES)
    .keys(&[
        K::RO_ACCESS.at(1),
        NAMED,
        K::OW_UPDATE.unknown().found_by(place_of_store).notes(
            "For the optional STORE keyword. It is marked 'unknown' because the keyword can appear \
            anywhere in the argument array",
        ),
    ])
    .runs(sort)
    .check(|args| parse(args, true).map(drop))
    .hints("weight=4 key=sort-key offset=index without=BY without=ALPHA without=GET")
    .docs(
        "1.0.0",
        SORT_COST,
        "Sorts the elements of a list, a set or a sorted set, and returns or stores them.",
    )
    .deviation(
        "BY and GET patterns may name only keys of the group that holds the sorted key; otherwise \
        the reply is an error. A sorted set keeps its encoding.",
    );

/// `SORT key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC|DESC] [ALPHA] [STORE key]`:
/// the elements in order, or the values that `GET` names; or how many were stored.
///
/// O(n log n). Errors: `NOT_AN_INTEGER`, `SYNTAX`, `WRONG_TYPE`, `TOO_MANY_ELEMENTS`,
/// `FOREIGN_KEY`, `NO_NUMBER`, `ReplyTooLong`, `COLLECTION_TOO_LARGE`.
fn sort(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    run(txn, args.bytes(1), parse(args, true)?)
}

const SORT_RO: Command = command(Topic::Generic, "sort_ro")
    .syntax(
        "key [BY pattern] [LIMIT offset_count(offset count)] [GET pattern] ... \
        [order(ASC|DESC)] [sorting=ALPHA]",
    )
    .flags(F::READ)
    .categories(CATEGORIES)
    .keys(&[K::RO_ACCESS.at(1), NAMED])
    .runs(sort_ro)
    .check(|args| parse(args, false).map(drop))
    .hints("weight=2 key=sort-key offset=index without=BY without=ALPHA without=GET")
    .docs(
        "7.0.0",
        SORT_COST,
        "Sorts the elements of a list, a set or a sorted set, and returns them.",
    )
    .deviation(
        "BY and GET patterns may name only keys of the group that holds the sorted key; otherwise \
        the reply is an error. A sorted set keeps its encoding.",
    );

/// `SORT_RO key ...`: as `SORT`, and stores nothing.
fn sort_ro(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    run(txn, args.bytes(1), parse(args, false)?)
}

fn run(txn: &mut Txn<'_>, key: &Bytes, options: Options) -> Result<Reply, EvalError> {
    let mut options = options;
    let source = Source::of(txn, key)?;
    if options.is_unsorted && source == Source::Set && options.store.is_some() {
        // The order of a set is nobody's: what is stored must not depend on it.
        (options.is_unsorted, options.is_alpha, options.by) = (false, true, None);
    }
    let mut elements = elements_of(txn, key, source, &options)?;
    if !options.is_unsorted {
        elements = order::sorted(txn, elements, &options)?;
    }
    let Some(destination) = &options.store else {
        return reply(txn, &elements, &options.get);
    };
    let mut stored = Vec::new();
    for element in &elements {
        if options.get.is_empty() {
            stored.push(element.clone());
        }
        for pattern in &options.get {
            let value = pattern.value(txn, element)?;
            stored.push(value.unwrap_or_default());
        }
    }
    let count = stored.len();
    elements::store(txn, destination, &stored)?;
    Ok(Reply::Integer(count as i64))
}

fn reply(txn: &mut Txn<'_>, elements: &[Bytes], get: &[Pattern]) -> Result<Reply, EvalError> {
    let mut replies = Vec::new();
    for element in elements {
        if get.is_empty() {
            txn.take_reply_room(element.len())?;
            replies.push(Reply::Bulk(element.clone()));
        }
        for pattern in get {
            let value = pattern.value(txn, element)?;
            txn.take_reply_room(value.as_ref().map_or(0, Bytes::len))?;
            replies.push(Reply::bulk_or_null(value));
        }
    }
    Ok(Reply::Array(replies))
}
