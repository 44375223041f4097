//! Removing the members with the lowest or highest scores.

use bytes::Bytes;

use super::order::Item;
use crate::command::{Command, Part, Topic, command};
use crate::errors::{SYNTAX, error_lines};
use crate::{
    Args, Classes, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn, number,
};

pub(super) const PART: Part = Part::new(&[ZPOPMIN, ZPOPMAX, ZMPOP], LINES);

error_lines! {
    /// A count of members to pop that is no number, or below 0.
    NOT_POSITIVE = "ERR value is out of range, must be positive";
    /// A count of keys below 1.
    NUMKEYS_BELOW_1 = "ERR numkeys should be greater than 0";
    /// `ZMPOP` with a count below 1.
    COUNT_BELOW_1 = "ERR count should be greater than 0";
}

const ZPOPMIN: Command = command(Topic::SortedSet, "zpopmin")
    .syntax("key [count]")
    .flags(F::WRITE_FAST)
    .keys(&[K::RW_ACCESS_DELETE.at(1)])
    .runs(zpopmin)
    .hints("key=zset-key count=few reply=scores")
    .docs(
        "5.0.0",
        "O(log(N)*M) with N being the number of elements in the sorted set, and M being the \
        number of elements popped.",
        "Removes the members of a sorted set with the lowest scores and returns them.",
    );

/// `ZPOPMIN key [count]`: the members that were removed, each with its score, the lowest first.
///
/// O(m) for m members, and O(log n) each. Errors: `SYNTAX`, `NOT_POSITIVE`, `WRONG_TYPE`,
/// `TOO_MANY_REMOVED`, `ReplyTooLong`. Source: Redis `t_zset.c`, `genericZpopCommand`.
fn zpopmin(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    pop_end(txn, args, false)
}

const ZPOPMAX: Command = command(Topic::SortedSet, "zpopmax")
    .syntax("key [count]")
    .flags(F::WRITE_FAST)
    .keys(&[K::RW_ACCESS_DELETE.at(1)])
    .runs(zpopmax)
    .hints("key=zset-key count=few reply=scores")
    .docs(
        "5.0.0",
        "O(log(N)*M) with N being the number of elements in the sorted set, and M being the \
        number of elements popped.",
        "Removes the members of a sorted set with the highest scores and returns them.",
    );

/// `ZPOPMAX key [count]`: the members that were removed, each with its score, the highest first;
/// else as `ZPOPMIN`.
fn zpopmax(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    pop_end(txn, args, true)
}

fn pop_end(txn: &mut Txn<'_>, args: &Args<'_>, highest: bool) -> Result<Reply, EvalError> {
    let count = match (args.len(), args.get(2)) {
        (4.., _) => return Err(SYNTAX.into()),
        (_, Some(word)) => Some(number_from(word, 0).ok_or(NOT_POSITIVE)?),
        (_, None) => None,
    };
    let popped = pop_from(txn, args.bytes(1), highest, count.unwrap_or(1))?;
    let pairs = popped.into_iter().map(pair);
    Ok(match count {
        Some(_) => Reply::Pairs(pairs.collect()),
        None => Reply::Array(pairs.flat_map(|(member, score)| [member, score]).collect()),
    })
}

const ZMPOP: Command = command(Topic::SortedSet, "zmpop")
    .syntax("numkeys key ... where(MIN|MAX) [COUNT count]")
    .flags(F::WRITE.with(F::MOVABLE_KEYS))
    .keys(&[K::RW_ACCESS_DELETE.at(1).counted()])
    .runs(zmpop)
    .check(zmpop_check)
    .hints("key=zset-key count=few reply=scores")
    .docs(
        "7.0.0",
        "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of \
        elements in the sorted set, and M being the number of elements popped.",
        "Removes members of the first sorted set that has any and returns them.",
    );

/// `ZMPOP numkeys key [key ...] MIN|MAX [COUNT count]`: the key and the members that were removed,
/// each with its score; null if no key has any.
///
/// O(keys + m) for m members, and O(log n) each. Errors: `NUMKEYS_BELOW_1`, `SYNTAX`,
/// `COUNT_BELOW_1`, `WRONG_TYPE`, `TOO_MANY_REMOVED`, `ReplyTooLong`. Source: Redis `t_zset.c`,
/// `zmpopGenericCommand`.
fn zmpop(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let Pops {
        keys,
        highest,
        count,
    } = Pops::parse(args, 1)?;
    Ok(match pop_first(txn, keys, highest, count)? {
        Some((key, popped)) => reply_of(key, popped),
        None => Reply::NullArray,
    })
}

fn zmpop_check(args: &Args<'_>) -> Result<(), CommandError> {
    Pops::parse(args, 1).map(drop)
}

/// The words of `ZMPOP` and `BZMPOP`.
pub(crate) struct Pops<'a> {
    pub(crate) keys: &'a [Bytes],
    pub(crate) highest: bool,
    pub(crate) count: u64,
}

impl<'a> Pops<'a> {
    /// Reads the words from the count of keys on, which is at `at`. Errors: `NUMKEYS_BELOW_1`,
    /// `SYNTAX`, `COUNT_BELOW_1`.
    pub(crate) fn parse(args: &Args<'a>, at: usize) -> Result<Self, CommandError> {
        let numkeys = number_from(args.bytes(at), 1).ok_or(NUMKEYS_BELOW_1)?;
        let numkeys = usize::try_from(numkeys).unwrap_or(usize::MAX);
        let words = args.rest(at + 1);
        let (keys, words) = words.split_at_checked(numkeys).ok_or(SYNTAX)?;
        let mut words = crate::Words::new(words);
        let end = words.next().ok_or(SYNTAX)?;
        let highest = is_highest(end.keyword().as_str()).ok_or(SYNTAX)?;
        let mut count = None;
        while let Some(word) = words.next() {
            if word.keyword().as_str() != "count" || count.is_some() {
                return Err(SYNTAX);
            }
            count = Some(number_from(words.value()?, 1).ok_or(COUNT_BELOW_1)?);
        }
        Ok(Self {
            keys,
            highest,
            count: count.unwrap_or(1),
        })
    }
}

/// An integer that is at least `min`.
fn number_from(word: &[u8], min: u64) -> Option<u64> {
    let number = number::parse_int(word)?;
    u64::try_from(number).ok().filter(|number| *number >= min)
}

/// Removes the members with the lowest or highest scores from a key, and stores it; none if the key
/// is absent. Errors: `WRONG_TYPE`, `TOO_MANY_REMOVED`, `ReplyTooLong`.
pub(crate) fn pop_from(
    txn: &mut Txn<'_>,
    key: &Bytes,
    highest: bool,
    count: u64,
) -> Result<Vec<Item>, EvalError> {
    let mut set = txn.zset(key)?;
    if count == 0 || set.len()? == 0 {
        return Ok(Vec::new());
    }
    let popped = set.pop(txn, highest, count)?;
    let name = if highest { "zpopmax" } else { "zpopmin" };
    txn.notify(Classes::SORTED_SET, name, key);
    txn.put_zset(key.clone(), set)?;
    Ok(popped)
}

/// The same from the first key that is there. Errors: as [`pop_from`]; `WRONG_TYPE` counts for the
/// keys up to that one.
pub(crate) fn pop_first<'k>(
    txn: &mut Txn<'_>,
    keys: &'k [Bytes],
    highest: bool,
    count: u64,
) -> Result<Option<(&'k Bytes, Vec<Item>)>, EvalError> {
    for key in keys {
        let popped = pop_from(txn, key, highest, count)?;
        if !popped.is_empty() {
            return Ok(Some((key, popped)));
        }
    }
    Ok(None)
}

/// The reply of `ZMPOP` and `BZMPOP`.
pub(crate) fn reply_of(key: &Bytes, popped: Vec<Item>) -> Reply {
    let items = popped.into_iter().map(|item| {
        let (member, score) = pair(item);
        Reply::Array(vec![member, score])
    });
    Reply::Array(vec![
        Reply::Bulk(key.clone()),
        Reply::Array(items.collect()),
    ])
}

fn pair(item: Item) -> (Reply, Reply) {
    (Reply::Bulk(item.member), Reply::Double(item.score))
}

/// Whether the word asks for the highest scores; `None` if it asks for neither end.
pub(super) fn is_highest(word: &str) -> Option<bool> {
    match word {
        "min" => Some(false),
        "max" => Some(true),
        _ => None,
    }
}
