//! Looking at pending entries.

use bytes::Bytes;

use super::Stream;
use super::group::Group;
use super::id::StreamId;
use super::no_key_or_group;
use super::pel::Pending;
use crate::command::{Command, Part, Topic, command};
use crate::errors::SYNTAX;
use crate::{Args, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[XPENDING], &[]);

const XPENDING: Command = command(Topic::Stream, "xpending")
    .syntax(
        "key group [filters([IDLE min-idle-time:integer] start:string end:string count \
        [consumer])]",
    )
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(xpending)
    .tips(&["nondeterministic_output"])
    .hints(
        "weight=4 key=stream-key group=stream-group min-idle-time=stream-idle start=stream-start \
        end=stream-end consumer=stream-consumer reply=moments",
    )
    .docs(
        "5.0.0",
        "O(N) with N being the number of elements returned, so asking for a small fixed number of \
        entries per call is O(1). O(M), where M is the total number of entries scanned when used \
        with the IDLE filter.",
        "Returns the pending entries of a group.",
    );

/// `XPENDING key group [[IDLE ms] start end count [consumer]]`: how many entries are pending, the
/// first and the last, and how many each consumer has; or entries, each with its consumer, for how
/// long it has been pending, and how often it was delivered.
///
/// O(consumers), or O(entries looked at). Errors: `SYNTAX`, `NOT_AN_INTEGER`, `INVALID_ID`,
/// `INVALID_START`, `INVALID_END`, `WRONG_TYPE`, `NOGROUP`, `ReplyTooLong`. Source: Redis
/// `t_stream.c`, `xpendingCommand`.
fn xpending(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let filter = parse(args)?;
    let (key, name) = (args.bytes(1), args.bytes(2));
    let no_group = || no_key_or_group(key, name, "");
    let stream = txn.stream(key)?.ok_or_else(no_group)?;
    let group = stream.group(txn, name)?.ok_or_else(no_group)?;
    match filter {
        None => summary(txn, &stream, group),
        Some(filter) => entries(txn, &stream, group, &filter),
    }
}

struct Filter<'a> {
    idle: i64,
    start: StreamId,
    end: StreamId,
    max: usize,
    consumer: Option<&'a Bytes>,
}

fn parse<'a>(args: &Args<'a>) -> Result<Option<Filter<'a>>, CommandError> {
    if args.len() == 3 {
        return Ok(None);
    }
    if !(6..=9).contains(&args.len()) {
        return Err(SYNTAX);
    }
    let (mut at, mut idle) = (3, 0);
    if args.is(3, "idle") {
        idle = args.int(4)?;
        if args.len() < 8 {
            return Err(SYNTAX);
        }
        at = 5;
    }
    let max = usize::try_from(args.int(at + 2)?).unwrap_or(0);
    Ok(Some(Filter {
        idle,
        start: StreamId::parse_start(args.bytes(at))?,
        end: StreamId::parse_end(args.bytes(at + 1))?,
        max,
        consumer: args.get(at + 3),
    }))
}

fn summary(txn: &mut Txn<'_>, stream: &Stream, mut group: Group) -> Result<Reply, EvalError> {
    let Some((first, last)) = group.pending_ends(stream, txn)? else {
        let none = [
            Reply::Integer(0),
            Reply::Null,
            Reply::Null,
            Reply::NullArray,
        ];
        return Ok(Reply::Array(none.to_vec()));
    };
    let mut consumers = Vec::new();
    for number in group.all_consumers(stream, txn)? {
        let consumer = group.consumer(stream, txn, number)?;
        if consumer.pending > 0 {
            let count = Bytes::from(consumer.pending.to_string());
            let name = consumer.name.clone();
            txn.take_reply_room(name.len() + count.len() + 16)?;
            consumers.push(Reply::Array(vec![Reply::Bulk(name), Reply::Bulk(count)]));
        }
    }
    Ok(Reply::Array(vec![
        Reply::Integer(group.pending as i64),
        first.reply(),
        last.reply(),
        Reply::Array(consumers),
    ]))
}

fn entries(
    txn: &mut Txn<'_>,
    stream: &Stream,
    mut group: Group,
    filter: &Filter<'_>,
) -> Result<Reply, EvalError> {
    let mut replies = Vec::new();
    let number = match filter.consumer {
        None => None,
        Some(name) => match group.find_consumer(stream, txn, name)? {
            None => return Ok(Reply::Array(replies)),
            number => number,
        },
    };
    let now = txn.read_now().0;
    let mut from = Some(filter.start);
    while let Some(start) = from.filter(|start| *start <= filter.end)
        && replies.len() < filter.max
    {
        let left = (filter.max - replies.len()).clamp(1, 256);
        let page = match number {
            None => group.some_pending(stream, txn, start, left)?,
            Some(number) => of_consumer(txn, stream, &mut group, number, start, left)?,
        };
        from = page.last().and_then(|(last, _)| last.next());
        for (id, pending) in page {
            if id > filter.end {
                break;
            }
            if filter.idle != 0 && now as i64 - pending.delivered_at as i64 - filter.idle < 0 {
                continue;
            }
            let reply = entry(txn, stream, &mut group, (id, pending), now)?;
            replies.push(reply);
        }
    }
    Ok(Reply::Array(replies))
}

/// The pending entries of a consumer.
pub(super) fn of_consumer(
    txn: &Txn<'_>,
    stream: &Stream,
    group: &mut Group,
    number: u32,
    from: StreamId,
    max: usize,
) -> Result<Vec<(StreamId, Pending)>, EvalError> {
    let ids = group.some_of_consumer(stream, txn, number, from, max)?;
    let mut page = Vec::with_capacity(ids.len());
    for id in ids {
        let pending = group.pending(stream, txn, id)?;
        page.push((id, pending.ok_or_else(super::body::corrupt)?));
    }
    Ok(page)
}

fn entry(
    txn: &mut Txn<'_>,
    stream: &Stream,
    group: &mut Group,
    (id, pending): (StreamId, Pending),
    now: u64,
) -> Result<Reply, EvalError> {
    let (name, idle) = match pending.consumer {
        // It was given back.
        0 => (Bytes::new(), -1),
        number => {
            let consumer = group.consumer(stream, txn, number)?;
            (consumer.name.clone(), pending.idle(now) as i64)
        }
    };
    txn.take_reply_room(name.len() + 64)?;
    Ok(Reply::Array(vec![
        id.reply(),
        Reply::Bulk(name),
        Reply::Integer(idle),
        Reply::Integer(pending.deliveries as i64),
    ]))
}
