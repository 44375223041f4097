//! Setting, inserting and removing elements anywhere.

use super::place::{End, place_of};
use crate::command::{Command, Part, Topic, command};
use crate::errors::{NO_SUCH_KEY, SYNTAX, error_lines};
use crate::{Args, Classes, EvalError, Flags as F, KeyFlags as K, Reply, Txn, Word};

pub(super) const PART: Part = Part::new(&[LSET, LINSERT, LREM], LINES);

error_lines! {
    /// `LSET` of a place that the list does not have.
    INDEX_OUT_OF_RANGE = "ERR index out of range";
}

const LSET: Command = command(Topic::List, "lset")
    .syntax("key index element")
    .flags(F::WRITE_ROOM)
    .keys(&[K::RW_UPDATE.at(1)])
    .runs(lset)
    .hints("weight=3 key=list-key index=list-index element=list-element")
    .docs(
        "1.0.0",
        "O(log(N)) where N is the length of the list",
        "Sets an element of a list by its index.",
    );

/// `LSET key index element`: OK; an index below 0 counts from the end. O(log n). Errors:
/// `NO_SUCH_KEY`, `WRONG_TYPE`, `NOT_AN_INTEGER`, `INDEX_OUT_OF_RANGE`, `STRING_TOO_LONG`.
fn lset(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let mut list = txn.list(args.bytes(1))?;
    if list.len() == 0 {
        return Err(NO_SUCH_KEY.into());
    }
    let at = u64::try_from(place_of(args.int(2)?, list.len()));
    let at = at.map_err(|_| INDEX_OUT_OF_RANGE)?;
    if !list.set(txn, at, args.bytes(3))? {
        return Err(INDEX_OUT_OF_RANGE.into());
    }
    txn.put_list(&list)?;
    txn.notify(Classes::LIST, "lset", args.bytes(1));
    Ok(Reply::OK)
}

const LINSERT: Command = command(Topic::List, "linsert")
    .syntax("key where(BEFORE|AFTER) pivot element")
    .flags(F::WRITE_ROOM)
    .keys(&[K::RW_INSERT.at(1)])
    .runs(linsert)
    .hints("weight=3 key=list-key pivot=list-element element=list-element")
    .docs(
        "2.2.0",
        "O(N) where N is the number of elements to traverse before seeing the value pivot. This \
        means that inserting somewhere on the left end on the list (head) can be considered O(1) \
        and inserting somewhere on the right end (tail) is O(N).",
        "Inserts an element before or after another.",
    );

/// `LINSERT key BEFORE|AFTER pivot element`: the length; -1 without such a pivot, 0 without a list.
///
/// O(elements before the pivot), and O(log n) to insert. Errors: `SYNTAX`, `WRONG_TYPE`,
/// `STRING_TOO_LONG`.
fn linsert(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let behind = match Word(args.bytes(2)).keyword().as_str() {
        "before" => 0,
        "after" => 1,
        _ => return Err(SYNTAX.into()),
    };
    let (pivot, element) = (args.bytes(3), args.bytes(4));
    let mut list = txn.list(args.bytes(1))?;
    if list.len() == 0 {
        return Ok(Reply::Integer(0));
    }
    let mut place = None;
    list.scan(txn, 0, End::Right, &mut |_, at, found| {
        if found == pivot {
            place = Some(at);
        }
        Ok(place.is_none())
    })?;
    let Some(place) = place else {
        return Ok(Reply::Integer(-1));
    };
    list.insert(txn, place + behind, element)?;
    txn.put_list(&list)?;
    txn.notify(Classes::LIST, "linsert", args.bytes(1));
    Ok(Reply::Integer(list.len() as i64))
}

const LREM: Command = command(Topic::List, "lrem")
    .syntax("key count element")
    .flags(F::WRITE)
    .keys(&[K::RW.with(K::DELETE).at(1)])
    .runs(lrem)
    .hints("weight=2 key=list-key count=list-index element=list-element")
    .docs(
        "1.0.0",
        "O(N+M) where N is the length of the list and M is the number of elements removed.",
        "Removes equal elements from a list.",
    )
    .deviation(
        "A call that would change more than 16 MiB of a list is refused; a smaller count does less \
        at a time.",
    );

/// `LREM key count element`: how many equal elements were removed; at most `count` from the start,
/// or from the end if it is below 0, or all if it is 0.
///
/// O(n), and O(log n) for each leaf that changes. Errors: `NOT_AN_INTEGER`, `WRONG_TYPE`,
/// `COLLECTION_TOO_LARGE`.
fn lrem(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (count, element) = (args.int(2)?, args.bytes(3));
    let mut list = txn.list(args.bytes(1))?;
    let (max, from) = match count {
        0 => (u64::MAX, End::Left),
        1.. => (count.unsigned_abs(), End::Left),
        _ => (count.unsigned_abs(), End::Right),
    };
    let removed = list.remove_equal(txn, element, max, from)?;
    if removed > 0 {
        txn.notify(Classes::LIST, "lrem", args.bytes(1));
        txn.put_list(&list)?;
    }
    Ok(Reply::Integer(removed as i64))
}
