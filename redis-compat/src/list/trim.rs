//! `LTRIM`: keeping a part.

use super::place::places_between;
use crate::command::{Command, Part, Topic, command};
use crate::{Args, Classes, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[LTRIM], &[]);

const LTRIM: Command = command(Topic::List, "ltrim")
    .syntax("key start stop")
    .flags(F::WRITE)
    .keys(&[K::RW.with(K::DELETE).at(1)])
    .runs(ltrim)
    .hints("key=list-key start=trim-start stop=trim-stop")
    .docs(
        "1.0.0",
        "O(N) where N is the number of elements to be removed by the operation.",
        "Keeps the elements between two indexes and removes the others.",
    );

/// `LTRIM key start stop`: OK; the elements from one index to another stay, both included. A list
/// without elements is removed.
///
/// O(elements removed), or O(elements kept) if these are far fewer. Errors: `NOT_AN_INTEGER`,
/// `WRONG_TYPE`, `COLLECTION_TOO_LARGE`.
fn ltrim(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (start, stop) = (args.int(2)?, args.int(3)?);
    let mut list = txn.list(args.bytes(1))?;
    let (len, kept) = (list.len(), places_between(start, stop, list.len()));
    if kept != (0..len) {
        list.trim(txn, kept)?;
    }
    if len > 0 {
        txn.notify(Classes::LIST, "ltrim", args.bytes(1));
    }
    // As in Redis, a watcher is told even if all stays.
    txn.put_list(&list)?;
    Ok(Reply::OK)
}
