//! Popping elements off the ends.

use bytes::Bytes;

use super::place::End;
use super::value::List;
use crate::command::{Command, Part, Topic, command};
use crate::errors::{SYNTAX, error_lines};
use crate::{
    Args, Classes, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn, Words, number,
};

pub(super) const PART: Part = Part::new(&[LPOP, RPOP, LMPOP], LINES);

/// Elements that are popped before the room of the reply is looked at.
const POPPED_AT_ONCE: u64 = 1000;

error_lines! {
    /// `LPOP` or `RPOP` with a count that is no number from 0 on.
    NOT_POSITIVE = "ERR value is out of range, must be positive";
    /// `LMPOP` without keys.
    NO_KEYS = "ERR numkeys should be greater than 0";
    /// A count that is no number from 1 on.
    pub(super) COUNT_NOT_POSITIVE = "ERR count should be greater than 0";
}

const LPOP: Command = command(Topic::List, "lpop")
    .syntax("key [count]")
    .flags(F::WRITE_FAST)
    .keys(&[K::RW_ACCESS_DELETE.at(1)])
    .runs(lpop)
    .hints("weight=3 key=list-key count=list-count")
    .docs(
        "1.0.0",
        "O(N) where N is the number of elements returned",
        "Returns the first elements of a list and removes them.",
    );

/// `LPOP key [count]`: the first element, or the first elements; null if the list is absent. O(1)
/// for each. Errors: `WrongArity`, `NOT_POSITIVE`, `WRONG_TYPE`, `ReplyTooLong`.
fn lpop(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    pop(txn, args, End::Left)
}

const RPOP: Command = command(Topic::List, "rpop")
    .syntax("key [count]")
    .flags(F::WRITE_FAST)
    .keys(&[K::RW_ACCESS_DELETE.at(1)])
    .runs(rpop)
    .hints("weight=3 key=list-key count=list-count")
    .docs(
        "1.0.0",
        "O(N) where N is the number of elements returned",
        "Returns the last elements of a list and removes them.",
    );

/// `RPOP key [count]`: the last element, or the last elements, backwards; null if the list is
/// absent. O(1) for each. Errors: `WrongArity`, `NOT_POSITIVE`, `WRONG_TYPE`, `ReplyTooLong`.
fn rpop(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    pop(txn, args, End::Right)
}

/// The event of a pop off an end.
pub(super) fn popped_from(end: End) -> &'static str {
    match end {
        End::Left => "lpop",
        End::Right => "rpop",
    }
}

fn pop(txn: &mut Txn<'_>, args: &Args<'_>, end: End) -> Result<Reply, EvalError> {
    if args.len() > 3 {
        return Err(CommandError::WrongArity(args.name()).into());
    }
    let count = match args.get(2) {
        None => None,
        Some(word) => Some(at_least(word, 0, NOT_POSITIVE)?),
    };
    let mut list = txn.list(args.bytes(1))?;
    let Some(count) = count else {
        let mut popped = list.pop(txn, end, 1)?;
        if !popped.is_empty() {
            txn.notify(Classes::LIST, popped_from(end), args.bytes(1));
            txn.put_list(&list)?;
        }
        return Ok(Reply::bulk_or_null(popped.pop()));
    };
    if list.len() == 0 {
        return Ok(Reply::NullArray);
    }
    let popped = pop_some(txn, &mut list, end, count)?;
    if count > 0 {
        txn.notify(Classes::LIST, popped_from(end), args.bytes(1));
        txn.put_list(&list)?;
    }
    Ok(elements(popped))
}

const LMPOP: Command = command(Topic::List, "lmpop")
    .syntax("numkeys key ... where(LEFT|RIGHT) [COUNT count]")
    .flags(F::WRITE.with(F::MOVABLE_KEYS))
    .keys(&[K::RW_ACCESS_DELETE.at(1).counted()])
    .runs(lmpop)
    .check(|args| parse(args, 1).map(drop))
    .hints("weight=2 key=list-key count=list-count")
    .docs(
        "7.0.0",
        "O(N+M) where N is the number of provided keys and M is the number of elements returned.",
        "Returns elements of the first list that has any, and removes them.",
    )
    .deviation("All keys must be in the same group; otherwise the reply is CROSSGROUP.");

/// `LMPOP numkeys key [key ...] LEFT|RIGHT [COUNT n]`: the first key that holds a list, and its
/// elements; null if there is none.
///
/// O(keys), and O(1) for each element. Errors: `NO_KEYS`, `SYNTAX`, `COUNT_NOT_POSITIVE`,
/// `WRONG_TYPE`, `ReplyTooLong`. Source: Redis `t_list.c`, `lmpopGenericCommand`.
fn lmpop(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (keys, end, count) = parse(args, 1)?;
    let Some((key, popped)) = pop_from(txn, keys, end, count)? else {
        return Ok(Reply::NullArray);
    };
    Ok(Reply::Array(vec![Reply::Bulk(key), elements(popped)]))
}

/// Pops up to `count` elements off the first of `keys` that holds a list; `None` if none does.
/// Errors: `WRONG_TYPE`, `ReplyTooLong`, `UNDECLARED_KEY`.
pub(crate) fn pop_from(
    txn: &mut Txn<'_>,
    keys: &[Bytes],
    end: End,
    count: u64,
) -> Result<Option<(Bytes, Vec<Bytes>)>, EvalError> {
    for key in keys {
        let mut list = txn.list(key)?;
        if list.len() > 0 {
            let popped = pop_some(txn, &mut list, end, count)?;
            txn.notify(Classes::LIST, popped_from(end), key);
            txn.put_list(&list)?;
            return Ok(Some((key.clone(), popped)));
        }
    }
    Ok(None)
}

/// Reads the words from the count of keys on, which is word `at`.
pub(super) fn parse<'a>(
    args: &Args<'a>,
    at: usize,
) -> Result<(&'a [Bytes], End, u64), CommandError> {
    let keys = at_least(args.bytes(at), 1, NO_KEYS)?;
    let keys = usize::try_from(keys).ok();
    let (keys, rest) = keys
        .and_then(|keys| args.rest(at + 1).split_at_checked(keys))
        .ok_or(SYNTAX)?;
    let mut words = Words::new(rest);
    let (end, mut count) = (End::parse(words.value()?)?, None);
    while let Some(word) = words.next() {
        if word.keyword().as_str() != "count" || count.is_some() {
            return Err(SYNTAX);
        }
        count = Some(at_least(words.value()?, 1, COUNT_NOT_POSITIVE)?);
    }
    Ok((keys, end, count.unwrap_or(1)))
}

/// A number that is at least `min`. Errors: `refusal`.
pub(super) fn at_least(word: &[u8], min: u64, refusal: CommandError) -> Result<u64, CommandError> {
    let number = number::parse_int(word).and_then(|number| u64::try_from(number).ok());
    number.filter(|number| *number >= min).ok_or(refusal)
}

/// Pops up to `count` elements, which the reply will have; no more are held than it has room for.
/// Errors: `ReplyTooLong`.
pub(super) fn pop_some(
    txn: &mut Txn<'_>,
    list: &mut List,
    end: End,
    count: u64,
) -> Result<Vec<Bytes>, EvalError> {
    let mut popped = Vec::new();
    while (popped.len() as u64) < count && list.len() > 0 {
        let left = count - popped.len() as u64;
        for element in list.pop(txn, end, left.min(POPPED_AT_ONCE))? {
            txn.take_reply_room(element.len())?;
            popped.push(element);
        }
    }
    Ok(popped)
}

pub(super) fn elements(elements: Vec<Bytes>) -> Reply {
    Reply::Array(elements.into_iter().map(Reply::Bulk).collect())
}
