//! Setting the counters of a stream.

use super::id::{NO_SUCH_KEY, StreamId};
use crate::command::{Command, Part, Topic, command};
use crate::errors::{SYNTAX, error_lines};
use crate::{Args, Classes, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[XSETID], LINES);

error_lines! {
    ADDED_NEGATIVE = "ERR entries_added must be positive";
    MAX_DELETED_TOO_LARGE = "ERR The ID specified in XSETID is smaller than the provided \
        max_deleted_entry_id";
    BEFORE_DELETED = "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id";
    BEFORE_LAST = "ERR The ID specified in XSETID is smaller than the target stream top item";
    ADDED_TOO_SMALL = "ERR The entries_added specified in XSETID is smaller than the target stream \
        length";
}

const XSETID: Command = command(Topic::Stream, "xsetid")
    .syntax("key last-id [ENTRIESADDED entries_added:integer] [MAXDELETEDID max_deleted_entry_id]")
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_UPDATE.at(1)])
    .runs(xsetid)
    .hints(
        "weight=4 key=stream-key last-id=stream-top-id entries_added=stream-count \
        max_deleted_entry_id=stream-id",
    )
    .docs("5.0.0", "O(1)", "Sets the last id of a stream.");

/// `XSETID key last-id [ENTRIESADDED n] [MAXDELETEDID id]`: OK. O(1).
///
/// Errors: `INVALID_ID`, `NOT_AN_INTEGER`, `ADDED_NEGATIVE`, `MAX_DELETED_TOO_LARGE`, `SYNTAX`,
/// `NO_SUCH_KEY`, `WRONG_TYPE`, `BEFORE_DELETED`, `BEFORE_LAST`, `ADDED_TOO_SMALL`. Source: Redis
/// 7.2 `t_stream.c`, `xsetidCommand`.
fn xsetid(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let id = StreamId::parse(args.bytes(2))?;
    let (added, max_deleted) = parse(args, id)?;
    let key = args.bytes(1);
    let mut stream = txn.stream(key)?.ok_or(NO_SUCH_KEY)?;
    let head = &mut stream.head;
    if id < head.max_deleted {
        return Err(BEFORE_DELETED.into());
    }
    if head.length > 0 {
        if id < head.last_entry {
            return Err(BEFORE_LAST.into());
        }
        if added.is_some_and(|added| added < head.length) {
            return Err(ADDED_TOO_SMALL.into());
        }
    }
    head.last = id;
    head.added = added.unwrap_or(head.added);
    if max_deleted != StreamId::MIN {
        head.max_deleted = max_deleted;
    }
    txn.put_stream(key.clone(), &stream)?;
    txn.notify(Classes::STREAM, "xsetid", key);
    Ok(Reply::OK)
}

fn parse(args: &Args<'_>, id: StreamId) -> Result<(Option<u64>, StreamId), CommandError> {
    let (mut added, mut max_deleted) = (None, StreamId::MIN);
    let mut words = args.options(3);
    while let Some(word) = words.next() {
        match word.keyword().as_str() {
            "entriesadded" if words.left() > 0 => {
                let count = u64::try_from(words.int()?);
                added = Some(count.map_err(|_| ADDED_NEGATIVE)?);
            }
            "maxdeletedid" if words.left() > 0 => {
                max_deleted = StreamId::parse(words.value()?)?;
                if id < max_deleted {
                    return Err(MAX_DELETED_TOO_LARGE);
                }
            }
            _ => return Err(SYNTAX),
        }
    }
    Ok((added, max_deleted))
}
