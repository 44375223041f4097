//! Deleting entries.

use super::id::StreamId;
use super::refs::{References, Refs};
use crate::command::{Command, Part, Topic, command};
use crate::errors::{SYNTAX, error_lines};
use crate::{Args, Classes, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[XDEL, XDELEX, XACKDEL], LINES);

error_lines! {
    IDS_MISSING = "ERR The `numids` parameter must match the number of arguments";
    IDS_NOT_POSITIVE = "ERR Number of IDs must be a positive integer";
}

/// The reply for an id that is not there.
const ABSENT: i64 = -1;
const DELETED: i64 = 1;
/// The reply for an entry that others have yet to acknowledge.
const KEPT: i64 = 2;

const XDEL: Command = command(Topic::Stream, "xdel")
    .syntax("key id ...")
    .flags(F::WRITE_FAST)
    .keys(&[K::RW.with(K::DELETE).at(1)])
    .runs(xdel)
    .hints("weight=2 key=stream-key id=stream-id")
    .docs(
        "5.0.0",
        "O(1) for each single item to delete in the stream, regardless of the stream size.",
        "Deletes entries of a stream.",
    );

/// `XDEL key id [id ...]`: how many were there. Pending entries stay. O(1) for each. Errors:
/// `WRONG_TYPE`, `INVALID_ID`.
fn xdel(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    let Some(mut stream) = txn.stream(key)? else {
        return Ok(Reply::Integer(0));
    };
    let mut deleted = 0;
    for id in StreamId::parse_all(args.rest(2))? {
        deleted += i64::from(stream.delete(txn, id)?);
    }
    if deleted > 0 {
        txn.put_stream(key.clone(), &stream)?;
        txn.notify(Classes::STREAM, "xdel", key);
    }
    Ok(Reply::Integer(deleted))
}

const XDELEX: Command = command(Topic::Stream, "xdelex")
    .syntax("key [condition(KEEPREF|DELREF|ACKED)] IDS ids(numids:integer id ...)")
    .flags(F::WRITE_FAST)
    .keys(&[K::RW.with(K::DELETE).at(1)])
    .runs(xdelex)
    .hints("key=stream-key id=stream-id")
    .docs(
        "8.2.0",
        "O(1) for each single item to delete in the stream, regardless of the stream size.",
        "Deletes entries of a stream, and says what becomes of pending entries.",
    );

/// `XDELEX key [KEEPREF|DELREF|ACKED] IDS n id [id ...]`: for each id 1 if it was deleted, 2 if it
/// stays because a group has not acknowledged it, -1 if it is not there.
///
/// O(groups) for each. Errors: `WRONG_TYPE`, `SYNTAX`, `IDS_NOT_POSITIVE`, `IDS_MISSING`,
/// `INVALID_ID`.
fn xdelex(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (refs, ids) = parse(args, 2)?;
    let key = args.bytes(1);
    let Some(mut stream) = txn.stream(key)? else {
        return Ok(all_absent(ids.len()));
    };
    let mut references = References::new(&stream, txn, refs)?;
    let mut replies = Vec::with_capacity(ids.len());
    for id in ids {
        let exists = stream.entry(txn, id)?.is_some();
        let goes = references.let_go(&mut stream, txn, id)?;
        replies.push(Reply::Integer(match (exists, goes) {
            (false, _) => ABSENT,
            (true, false) => KEPT,
            (true, true) => {
                stream.delete(txn, id)?;
                DELETED
            }
        }));
    }
    let has_deleted = replies.contains(&Reply::Integer(DELETED));
    if references.finish(&mut stream, txn) || has_deleted {
        txn.put_stream(key.clone(), &stream)?;
    }
    if has_deleted {
        txn.notify(Classes::STREAM, "xdel", key);
    }
    Ok(Reply::Array(replies))
}

const XACKDEL: Command = command(Topic::Stream, "xackdel")
    .syntax("key group [condition(KEEPREF|DELREF|ACKED)] IDS ids(numids:integer id ...)")
    .flags(F::WRITE_FAST)
    .keys(&[K::RW.with(K::UPDATE).with(K::DELETE).at(1)])
    .runs(xackdel)
    .hints("key=stream-key group=stream-group id=stream-id")
    .docs(
        "8.2.0",
        "O(1) for each entry ID processed.",
        "Acknowledges and deletes entries of a stream.",
    );

/// `XACKDEL key group [KEEPREF|DELREF|ACKED] IDS n id [id ...]`: for each id 1 if it was
/// acknowledged and deleted, 2 if it was acknowledged and stays for other groups, -1 if it was not
/// pending in this group.
///
/// O(groups) for each. Errors: as those of `XDELEX`.
fn xackdel(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (refs, ids) = parse(args, 3)?;
    let key = args.bytes(1);
    let Some(mut stream) = txn.stream(key)? else {
        return Ok(all_absent(ids.len()));
    };
    let mut references = References::with_group(&stream, txn, refs, args.bytes(2))?;
    let mut replies = Vec::with_capacity(ids.len());
    for id in ids {
        let was_pending = references.acknowledge(&mut stream, txn, args.bytes(2), id)?;
        let goes = references.let_go(&mut stream, txn, id)?;
        replies.push(Reply::Integer(match (was_pending, goes) {
            (false, _) => ABSENT,
            (true, false) => KEPT,
            (true, true) => {
                stream.delete(txn, id)?;
                DELETED
            }
        }));
    }
    let has_deleted = replies.contains(&Reply::Integer(DELETED));
    if references.finish(&mut stream, txn) || has_deleted {
        txn.put_stream(key.clone(), &stream)?;
    }
    if has_deleted {
        txn.notify(Classes::STREAM, "xdel", key);
    }
    Ok(Reply::Array(replies))
}

fn all_absent(count: usize) -> Reply {
    Reply::Array(vec![Reply::Integer(ABSENT); count])
}

/// The option, and the ids behind `IDS`.
fn parse(args: &Args<'_>, from: usize) -> Result<(Refs, Vec<StreamId>), CommandError> {
    let (mut refs, mut ids) = (None, None);
    let mut words = args.options(from);
    while let Some(word) = words.next() {
        let keyword = word.keyword();
        if let Some(named) = Refs::of_keyword(keyword.as_str()) {
            if refs.replace(named).is_some() {
                return Err(SYNTAX);
            }
            continue;
        }
        if keyword.as_str() != "ids" || ids.is_some() {
            return Err(SYNTAX);
        }
        ids = Some(take_ids(&mut words)?);
    }
    Ok((refs.unwrap_or_default(), ids.ok_or(SYNTAX)?))
}

/// The ids behind their number. Errors: `IDS_NOT_POSITIVE`, `IDS_MISSING`, `INVALID_ID`.
pub(super) fn take_ids(words: &mut crate::Words<'_>) -> Result<Vec<StreamId>, CommandError> {
    let count = words.int().map_err(|_| IDS_NOT_POSITIVE)?;
    let count = usize::try_from(count).ok().filter(|count| *count > 0);
    let count = count.ok_or(IDS_NOT_POSITIVE)?;
    if count > words.left() {
        return Err(IDS_MISSING);
    }
    let ids = words.by_ref().take(count);
    ids.map(|word| StreamId::parse(word.0)).collect()
}
