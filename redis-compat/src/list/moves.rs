//! Moving elements from an end of a list to an end of another, or of the same.

use bytes::Bytes;

use super::place::End;
use super::pop::{COUNT_NOT_POSITIVE, at_least, elements, pop_some, popped_from};
use super::push::pushed;
use super::rope::check_room;
use crate::command::{Command, Part, Topic, command};
use crate::errors::SYNTAX;
use crate::{
    Args, Classes, CommandError, EvalError, Flags as F, KeyFlags as K, KeySpec, Reply, Txn,
};

pub(super) const PART: Part = Part::new(&[LMOVE, LMOVEM, RPOPLPUSH], &[]);

const KEYS: &[KeySpec] = &[K::RW_ACCESS_DELETE.at(1), K::RW_INSERT.at(2)];

const LMOVE: Command = command(Topic::List, "lmove")
    .syntax("source destination wherefrom(LEFT|RIGHT) whereto(LEFT|RIGHT)")
    .flags(F::WRITE_ROOM)
    .keys(KEYS)
    .runs(lmove)
    .check(|args| parse_ends(args).map(drop))
    .hints("weight=2 source=list-key destination=list-key")
    .docs(
        "6.2.0",
        "O(1)",
        "Pops an element off a list and pushes it to another.",
    )
    .deviation("Both keys must be in the same group; otherwise the reply is CROSSGROUP.");

/// `LMOVE source destination LEFT|RIGHT LEFT|RIGHT`: the element, or null without a source. O(1).
///
/// Errors: `SYNTAX`, `WRONG_TYPE`. Source: Redis `t_list.c`, `lmoveGenericCommand`.
fn lmove(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    move_one(txn, args, parse_ends(args)?)
}

const RPOPLPUSH: Command = command(Topic::List, "rpoplpush")
    .syntax("source destination")
    .flags(F::WRITE_ROOM)
    .keys(KEYS)
    .runs(rpoplpush)
    .hints("source=list-key destination=list-key")
    .docs(
        "1.2.0",
        "O(1)",
        "Pops the last element off a list and puts it before the first of another.",
    )
    .deviation("Both keys must be in the same group; otherwise the reply is CROSSGROUP.");

/// `RPOPLPUSH source destination`: as `LMOVE source destination RIGHT LEFT`. O(1). Errors:
/// `WRONG_TYPE`.
fn rpoplpush(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    move_one(txn, args, (End::Right, End::Left))
}

const LMOVEM: Command = command(Topic::List, "lmovem")
    .syntax(
        "source destination wherefrom(LEFT|RIGHT) whereto(LEFT|RIGHT) \
        [how-many(selector(COUNT count|EXACTLY exactly:integer) ordering(OBO|BULK))]",
    )
    .flags(F::WRITE_ROOM)
    .keys(KEYS)
    .runs(lmovem)
    .check(|args| parse_several(args).map(drop))
    .hints("source=list-key destination=list-key count=list-count exactly=list-count")
    .docs(
        "8.10.0",
        "O(N) where N is the number of elements moved.",
        "Pops elements off a list and pushes them to another.",
    )
    .deviation("Both keys must be in the same group; otherwise the reply is CROSSGROUP.");

/// `LMOVEM source destination LEFT|RIGHT LEFT|RIGHT [COUNT n|EXACTLY n OBO|BULK]`: the elements in
/// the order that they have in the destination; null without a source, or if it has fewer than
/// `EXACTLY` so many. `OBO` pushes them in turn in the order of the pops, `BULK` keeps the order
/// that they have in the source.
///
/// O(1) for each element. Errors: `SYNTAX`, `COUNT_NOT_POSITIVE`, `WRONG_TYPE`, `ReplyTooLong`,
/// `COLLECTION_TOO_LARGE`.
fn lmovem(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (ends, several) = parse_several(args)?;
    match move_between(txn, (args.bytes(1), args.bytes(2)), ends, &several)? {
        None => Ok(Reply::NullArray),
        Some(moved) => Ok(elements(moved)),
    }
}

/// How many elements are moved, and in which order they arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Several {
    pub(crate) count: u64,
    /// Nothing is moved unless there are so many.
    pub(crate) is_exact: bool,
    /// They keep their order, instead of being pushed in turn.
    pub(crate) in_bulk: bool,
}

impl Several {
    pub(crate) const ONE: Self = Self {
        count: 1,
        is_exact: false,
        in_bulk: false,
    };
}

fn move_one(txn: &mut Txn<'_>, args: &Args<'_>, ends: (End, End)) -> Result<Reply, EvalError> {
    let keys = (args.bytes(1), args.bytes(2));
    let moved = move_between(txn, keys, ends, &Several::ONE)?;
    Ok(Reply::bulk_or_null(moved.and_then(|mut moved| moved.pop())))
}

/// Moves elements from a list to another, or within a list; returns them in the order that they
/// have there. `None` if the source does not have them. Errors: `WRONG_TYPE`, `ReplyTooLong`,
/// `COLLECTION_TOO_LARGE`, `UNDECLARED_KEY`.
pub(crate) fn move_between(
    txn: &mut Txn<'_>,
    (source, destination): (&Bytes, &Bytes),
    (from, to): (End, End),
    several: &Several,
) -> Result<Option<Vec<Bytes>>, EvalError> {
    let mut list = txn.list(source)?;
    if list.len() == 0 || (several.is_exact && list.len() < several.count) {
        return Ok(None);
    }
    let mut other = match source == destination {
        true => None,
        false => Some(txn.list(destination)?),
    };
    let before = txn.changed_bytes();
    let mut moved = pop_some(txn, &mut list, from, several.count)?;
    // Pushes to the end from which the elements came turn their order round.
    if several.in_bulk && from == to {
        moved.reverse();
    }
    other.as_mut().unwrap_or(&mut list).push(txn, to, &moved)?;
    if let Some(other) = &other {
        txn.put_list(other)?;
    }
    // The push first, as in Redis: the source goes behind it when it is empty.
    txn.notify(Classes::LIST, pushed(to), destination);
    txn.notify(Classes::LIST, popped_from(from), source);
    txn.put_list(&list)?;
    check_room(txn, before)?;
    if to == End::Left {
        moved.reverse();
    }
    Ok(Some(moved))
}

pub(super) fn parse_ends(args: &Args<'_>) -> Result<(End, End), CommandError> {
    Ok((End::parse(args.bytes(3))?, End::parse(args.bytes(4))?))
}

fn parse_several(args: &Args<'_>) -> Result<((End, End), Several), CommandError> {
    let ends = parse_ends(args)?;
    let mut words = args.options(5);
    let Some(selector) = words.next() else {
        return Ok((ends, Several::ONE));
    };
    let is_exact = match selector.keyword().as_str() {
        "count" => false,
        "exactly" => true,
        _ => return Err(SYNTAX),
    };
    let [count, order] = words.values()?;
    let in_bulk = match crate::Word(order).keyword().as_str() {
        "obo" => false,
        "bulk" => true,
        _ => return Err(SYNTAX),
    };
    if words.left() > 0 {
        return Err(SYNTAX);
    }
    let several = Several {
        count: at_least(count, 1, COUNT_NOT_POSITIVE)?,
        is_exact,
        in_bulk,
    };
    Ok((ends, several))
}
