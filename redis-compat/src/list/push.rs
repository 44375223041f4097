//! Pushing elements to the ends.

use super::place::End;
use crate::command::{Command, Part, Topic, command};
use crate::{Args, Classes, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[LPUSH, RPUSH, LPUSHX, RPUSHX], &[]);

const LPUSH: Command = command(Topic::List, "lpush")
    .syntax("key element ...")
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_INSERT.at(1)])
    .runs(lpush)
    .hints("weight=5 key=list-key element=list-element")
    .docs(
        "1.0.0",
        "O(1) for each element added, so O(N) to add N elements when the command is called with \
        multiple arguments.",
        "Puts elements before the first of a list.",
    );

/// `LPUSH key element [element ...]`: the length. The last word becomes the first element. O(1) for
/// each. Errors: `WRONG_TYPE`, `STRING_TOO_LONG`.
fn lpush(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    push(txn, args, End::Left, true)
}

const RPUSH: Command = command(Topic::List, "rpush")
    .syntax("key element ...")
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_INSERT.at(1)])
    .runs(rpush)
    .hints("weight=5 key=list-key element=list-element")
    .docs(
        "1.0.0",
        "O(1) for each element added, so O(N) to add N elements when the command is called with \
        multiple arguments.",
        "Puts elements behind the last of a list.",
    );

/// `RPUSH key element [element ...]`: the length. O(1) for each. Errors: `WRONG_TYPE`,
/// `STRING_TOO_LONG`.
fn rpush(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    push(txn, args, End::Right, true)
}

const LPUSHX: Command = command(Topic::List, "lpushx")
    .syntax("key element ...")
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_INSERT.at(1)])
    .runs(lpushx)
    .hints("key=list-key element=list-element")
    .docs(
        "2.2.0",
        "O(1) for each element added, so O(N) to add N elements when the command is called with \
        multiple arguments.",
        "Puts elements before the first of a list that exists.",
    );

/// `LPUSHX key element [element ...]`: the length; 0 if the list is absent, which stays so. O(1)
/// for each. Errors: `WRONG_TYPE`, `STRING_TOO_LONG`.
fn lpushx(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    push(txn, args, End::Left, false)
}

const RPUSHX: Command = command(Topic::List, "rpushx")
    .syntax("key element ...")
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_INSERT.at(1)])
    .runs(rpushx)
    .hints("key=list-key element=list-element")
    .docs(
        "2.2.0",
        "O(1) for each element added, so O(N) to add N elements when the command is called with \
        multiple arguments.",
        "Puts elements behind the last of a list that exists.",
    );

/// `RPUSHX key element [element ...]`: the length; 0 if the list is absent, which stays so. O(1)
/// for each. Errors: `WRONG_TYPE`, `STRING_TOO_LONG`.
fn rpushx(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    push(txn, args, End::Right, false)
}

/// The event of a push to an end.
pub(super) fn pushed(end: End) -> &'static str {
    match end {
        End::Left => "lpush",
        End::Right => "rpush",
    }
}

fn push(
    txn: &mut Txn<'_>,
    args: &Args<'_>,
    end: End,
    may_create: bool,
) -> Result<Reply, EvalError> {
    let mut list = txn.list(args.bytes(1))?;
    if list.len() == 0 && !may_create {
        return Ok(Reply::Integer(0));
    }
    list.push(txn, end, args.rest(2))?;
    txn.put_list(&list)?;
    txn.notify(Classes::LIST, pushed(end), args.bytes(1));
    Ok(Reply::Integer(list.len() as i64))
}
