//! Reading elements by their places.

use super::place::{End, place_of, places_between};
use crate::command::{Command, Part, Topic, command};
use crate::{Args, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[LLEN, LINDEX, LRANGE], &[]);

const LLEN: Command = command(Topic::List, "llen")
    .syntax("key")
    .flags(F::READ_FAST)
    .keys(&[K::RO.at(1)])
    .runs(llen)
    .hints("key=list-key")
    .docs("1.0.0", "O(1)", "Returns the length of a list.");

/// `LLEN key`: how many elements there are, 0 if absent. O(1). Errors: `WRONG_TYPE`.
fn llen(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let list = txn.list(args.bytes(1))?;
    Ok(Reply::Integer(list.len() as i64))
}

const LINDEX: Command = command(Topic::List, "lindex")
    .syntax("key index")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(lindex)
    .hints("weight=2 key=list-key index=list-index")
    .docs(
        "1.0.0",
        "O(log(N)) where N is the length of the list",
        "Returns an element of a list by its index.",
    );

/// `LINDEX key index`: the element, or null; an index below 0 counts from the end. O(log n).
/// Errors: `WRONG_TYPE`, `NOT_AN_INTEGER`.
fn lindex(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let list = txn.list(args.bytes(1))?;
    if list.len() == 0 {
        return Ok(Reply::Null);
    }
    let at = u64::try_from(place_of(args.int(2)?, list.len()));
    let element = at.map_or(Ok(None), |at| list.get(txn, at))?;
    Ok(Reply::bulk_or_null(element))
}

const LRANGE: Command = command(Topic::List, "lrange")
    .syntax("key start stop")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(lrange)
    .hints("weight=4 key=list-key")
    .docs(
        "1.0.0",
        "O(log(N)+M) where N is the length of the list and M the number of elements returned",
        "Returns elements of a list by their indexes.",
    );

/// `LRANGE key start stop`: the elements from one index to another, both included. O(log n), and
/// O(1) for each element. Errors: `NOT_AN_INTEGER`, `WRONG_TYPE`, `ReplyTooLong`.
fn lrange(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (start, stop) = (args.int(2)?, args.int(3)?);
    let list = txn.list(args.bytes(1))?;
    let places = places_between(start, stop, list.len());
    if places.is_empty() {
        return Ok(Reply::Array(Vec::new()));
    }
    let mut elements = Vec::new();
    list.scan(txn, places.start, End::Right, &mut |txn, at, element| {
        txn.take_reply_room(element.len())?;
        elements.push(Reply::Bulk(element));
        Ok(at + 1 < places.end)
    })?;
    Ok(Reply::Array(elements))
}
