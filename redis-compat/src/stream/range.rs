//! Reading ranges of entries.

use super::entry::Range;
use super::id::StreamId;
use crate::command::{Command, Part, Topic, command};
use crate::errors::SYNTAX;
use crate::{Args, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[XRANGE, XREVRANGE, XLEN], &[]);

const XRANGE: Command = command(Topic::Stream, "xrange")
    .syntax("key start:string end:string [COUNT count]")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(xrange)
    .hints("weight=2 key=stream-key start=stream-start end=stream-end")
    .docs(
        "5.0.0",
        "O(N) with N being the number of elements being returned.",
        "Returns the entries of a range of ids.",
    );

/// `XRANGE key start end [COUNT n]`: entries in the order of their ids. O(entries of the reply).
///
/// Errors: `INVALID_ID`, `INVALID_START`, `INVALID_END`, `NOT_AN_INTEGER`, `SYNTAX`, `WRONG_TYPE`,
/// `ReplyTooLong`.
fn xrange(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let start = StreamId::parse_start(args.bytes(2))?;
    let end = StreamId::parse_end(args.bytes(3))?;
    entries(txn, args, Range::up(start, end))
}

const XREVRANGE: Command = command(Topic::Stream, "xrevrange")
    .syntax("key end:string start:string [COUNT count]")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(xrevrange)
    .hints("key=stream-key start=stream-start end=stream-end")
    .docs(
        "5.0.0",
        "O(N) with N being the number of elements returned.",
        "Returns the entries of a range of ids, the last first.",
    );

/// `XREVRANGE key end start [COUNT n]`: as `XRANGE`, from the end on.
fn xrevrange(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let start = StreamId::parse_start(args.bytes(3))?;
    let end = StreamId::parse_end(args.bytes(2))?;
    entries(txn, args, Range::up(start, end).down())
}

fn entries(txn: &mut Txn<'_>, args: &Args<'_>, range: Range) -> Result<Reply, EvalError> {
    let mut max = usize::MAX;
    let mut words = args.options(4);
    while let Some(word) = words.next() {
        match word.keyword().as_str() {
            "count" if words.left() > 0 => max = words.int()?.max(0) as usize,
            _ => return Err(SYNTAX.into()),
        }
    }
    match txn.stream(args.bytes(1))? {
        None => Ok(Reply::Array(Vec::new())),
        Some(_) if max == 0 => Ok(Reply::NullArray),
        Some(stream) => Ok(Reply::Array(stream.replies(txn, range, max)?)),
    }
}

const XLEN: Command = command(Topic::Stream, "xlen")
    .syntax("key")
    .flags(F::READ_FAST)
    .keys(&[K::RO.at(1)])
    .runs(xlen)
    .hints("key=stream-key")
    .docs(
        "5.0.0",
        "O(1)",
        "Returns the number of entries of a stream.",
    );

/// `XLEN key`: how many entries there are, 0 if absent. O(1). Errors: `WRONG_TYPE`.
fn xlen(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let stream = txn.stream(args.bytes(1))?;
    let length = stream.map_or(0, |stream| stream.head.length);
    Ok(Reply::Integer(length as i64))
}
