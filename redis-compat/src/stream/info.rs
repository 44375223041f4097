//! What there is to know of a stream, its groups and consumers.

use bytes::Bytes;

use super::entry::Range;
use super::group::Group;
use super::id::{NO_SUCH_KEY, StreamId};
use super::pel::Pending;
use super::pending::of_consumer;
use super::{Stream, no_group, wrong_subcommand};
use crate::command::{Command, Part, Topic, command};
use crate::{Args, EvalError, Fault, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[XINFO, STREAM, GROUPS, CONSUMERS, HELP], &[]);

const XINFO: Command = command(Topic::Stream, "xinfo").container().docs(
    "5.0.0",
    "Depends on subcommand.",
    "A container for commands that describe streams.",
);

/// The fields of a reply.
type Fields = Vec<(Reply, Reply)>;

fn field(name: &'static str, value: Reply) -> (Reply, Reply) {
    (Reply::text(name), value)
}

fn count(value: u64) -> Reply {
    Reply::Integer(value as i64)
}

const STREAM: Command = command(Topic::Stream, "xinfo|stream")
    .syntax("key [FULL full([COUNT count])]")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(2)])
    .runs(stream)
    .hints("weight=3 key=stream-key reply=moments")
    .docs("5.0.0", "O(1)", "Describes a stream.")
    .deviation(
        "The radix tree that it describes is that of Redis: it counts the nodes between the first \
        and the last, also those without entries.",
    );

/// `XINFO STREAM key [FULL [COUNT n]]`: its counters and its first and last entry; with `FULL` also
/// entries, groups, consumers and what is pending, at most `n` of each (10; 0 = all).
///
/// O(1), or O(length of the reply). Errors: `NO_SUCH_KEY`, `WRONG_TYPE`, wrong subcommand,
/// `NOT_AN_INTEGER`, `ReplyTooLong`. Source: Redis 7.2 `t_stream.c`, `xinfoReplyWithStreamInfo`.
fn stream(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let stream = txn.stream(args.bytes(2))?.ok_or(NO_SUCH_KEY)?;
    let max = full_count(args)?;
    let head = &stream.head;
    let node = match stream.entry(txn, head.first_entry)? {
        Some(first) => head.nodes(first.node),
        None => 0,
    };
    let mut fields = vec![
        field("length", count(head.length)),
        field("radix-tree-keys", count(node)),
        field("radix-tree-nodes", count(node + 1)),
        field("last-generated-id", head.last.reply()),
        field("max-deleted-entry-id", head.max_deleted.reply()),
        field("entries-added", count(head.added)),
        field("recorded-first-entry-id", head.first_entry.reply()),
    ];
    let Some(max) = max else {
        fields.push(field("groups", count(head.groups)));
        for (name, range) in [
            ("first-entry", Range::ALL),
            ("last-entry", Range::ALL.down()),
        ] {
            let entry = stream.replies(txn, range, 1)?.pop();
            fields.push(field(name, entry.unwrap_or(Reply::Null)));
        }
        return Ok(Reply::Map(fields));
    };
    let entries = stream.replies(txn, Range::ALL, max)?;
    fields.push(field("entries", Reply::Array(entries)));
    let mut groups = Vec::new();
    for group in stream.all_groups(txn)? {
        groups.push(full_group(txn, &stream, group, max)?);
    }
    fields.push(field("groups", Reply::Array(groups)));
    Ok(Reply::Map(fields))
}

/// The most of each that `FULL` shows; `None` without it.
fn full_count(args: &Args<'_>) -> Result<Option<usize>, EvalError> {
    const DEFAULT: i64 = 10;
    let wrong = || wrong_subcommand("XINFO", args.bytes(1));
    match args.len() {
        3 => Ok(None),
        4 if args.is(3, "full") => Ok(Some(DEFAULT as usize)),
        6 if args.is(3, "full") && args.is(4, "count") => {
            let count = match args.int(5)? {
                ..0 => DEFAULT,
                0 => i64::MAX,
                count => count,
            };
            Ok(Some(usize::try_from(count).unwrap_or(usize::MAX)))
        }
        _ => Err(wrong().into()),
    }
}

/// How many entries a group has not read; null if that is not known. Source: Redis `t_stream.c`,
/// `streamReplyWithCGLag`.
fn lag(stream: &Stream, group: &Group) -> Reply {
    let head = &stream.head;
    if head.added == 0 {
        return Reply::Integer(0);
    }
    let reads = match group.reads {
        Some(reads) if !head.has_gaps_from(group.last) => Some(reads),
        _ => head.reads_up_to(group.last),
    };
    let lag = reads.map(|reads| (head.added as i64).wrapping_sub(reads));
    lag.map_or(Reply::Null, Reply::Integer)
}

fn reads(group: &Group) -> Reply {
    group.reads.map_or(Reply::Null, Reply::Integer)
}

fn full_group(
    txn: &mut Txn<'_>,
    stream: &Stream,
    mut group: Group,
    max: usize,
) -> Result<Reply, EvalError> {
    txn.take_reply_room(group.name.len() + 200)?;
    let mut pending = Vec::new();
    each_pending(txn, max, &mut |txn, from, left| {
        let page = group.some_pending(stream, txn, from, left)?;
        for (id, entry) in &page {
            let name = name_of(&mut group, stream, txn, entry.consumer)?;
            txn.take_reply_room(name.len() + 80)?;
            pending.push(Reply::Array(vec![
                id.reply(),
                Reply::Bulk(name),
                count(entry.delivered_at),
                count(entry.deliveries),
            ]));
        }
        Ok(page)
    })?;
    let mut consumers = Vec::new();
    for number in group.all_consumers(stream, txn)? {
        consumers.push(full_consumer(txn, stream, &mut group, number, max)?);
    }
    Ok(Reply::Map(vec![
        field("name", Reply::Bulk(group.name.clone())),
        field("last-delivered-id", group.last.reply()),
        field("entries-read", reads(&group)),
        field("lag", lag(stream, &group)),
        field("pel-count", count(group.pending)),
        field("pending", Reply::Array(pending)),
        field("consumers", Reply::Array(consumers)),
    ]))
}

/// The name of a consumer; none of an entry that was given back.
fn name_of(group: &mut Group, stream: &Stream, txn: &Txn<'_>, number: u32) -> Result<Bytes, Fault> {
    match number {
        0 => Ok(Bytes::new()),
        number => Ok(group.consumer(stream, txn, number)?.name.clone()),
    }
}

/// Pending entries.
type Page = Vec<(StreamId, Pending)>;

/// Reads page after page, until there are `max` entries.
fn each_pending(
    txn: &mut Txn<'_>,
    max: usize,
    read: &mut dyn FnMut(&mut Txn<'_>, StreamId, usize) -> Result<Page, EvalError>,
) -> Result<(), EvalError> {
    let (mut from, mut left) = (Some(StreamId::MIN), max);
    while let Some(start) = from
        && left > 0
    {
        let page = read(txn, start, left.min(256))?;
        left -= page.len();
        from = page.last().and_then(|(last, _)| last.next());
    }
    Ok(())
}

fn full_consumer(
    txn: &mut Txn<'_>,
    stream: &Stream,
    group: &mut Group,
    number: u32,
    max: usize,
) -> Result<Reply, EvalError> {
    let consumer = group.consumer(stream, txn, number)?.clone();
    txn.take_reply_room(consumer.name.len() + 120)?;
    let mut pending = Vec::new();
    each_pending(txn, max, &mut |txn, from, left| {
        let page = of_consumer(txn, stream, group, number, from, left)?;
        for (id, entry) in &page {
            txn.take_reply_room(80)?;
            pending.push(Reply::Array(vec![
                id.reply(),
                count(entry.delivered_at),
                count(entry.deliveries),
            ]));
        }
        Ok(page)
    })?;
    let active_at = consumer.active_at.map_or(Reply::Integer(-1), count);
    Ok(Reply::Map(vec![
        field("name", Reply::Bulk(consumer.name)),
        field("seen-time", count(consumer.seen_at)),
        field("active-time", active_at),
        field("pel-count", count(consumer.pending)),
        field("pending", Reply::Array(pending)),
    ]))
}

const GROUPS: Command = command(Topic::Stream, "xinfo|groups")
    .syntax("key")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(2)])
    .runs(groups)
    .hints("weight=4 key=stream-key")
    .docs("5.0.0", "O(1)", "Describes the groups of a stream.");

/// `XINFO GROUPS key`: the counters of each group. O(groups). Errors: `NO_SUCH_KEY`, `WRONG_TYPE`,
/// `ReplyTooLong`.
fn groups(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let stream = txn.stream(args.bytes(2))?.ok_or(NO_SUCH_KEY)?;
    let mut replies = Vec::new();
    for group in stream.all_groups(txn)? {
        txn.take_reply_room(group.name.len() + 200)?;
        let fields: Fields = vec![
            field("name", Reply::Bulk(group.name.clone())),
            field("consumers", count(group.consumers)),
            field("pending", count(group.pending)),
            field("last-delivered-id", group.last.reply()),
            field("entries-read", reads(&group)),
            field("lag", lag(&stream, &group)),
        ];
        replies.push(Reply::Map(fields));
    }
    Ok(Reply::Array(replies))
}

const CONSUMERS: Command = command(Topic::Stream, "xinfo|consumers")
    .syntax("key groupname")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(2)])
    .runs(consumers)
    .tips(&["nondeterministic_output"])
    .hints("weight=2 key=stream-key groupname=stream-group reply=moments")
    .docs("5.0.0", "O(1)", "Describes the consumers of a group.");

/// `XINFO CONSUMERS key group`: of each consumer how many entries are pending, and how long ago it
/// was seen and got entries. O(consumers).
///
/// Errors: `NO_SUCH_KEY`, `WRONG_TYPE`, `NOGROUP`, `ReplyTooLong`.
fn consumers(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (key, name) = (args.bytes(2), args.bytes(3));
    let stream = txn.stream(key)?.ok_or(NO_SUCH_KEY)?;
    let group = stream.group(txn, name)?;
    let mut group = group.ok_or_else(|| no_group(key, name))?;
    let now = txn.read_now().0;
    let mut replies = Vec::new();
    for number in group.all_consumers(&stream, txn)? {
        let consumer = group.consumer(&stream, txn, number)?;
        let inactive = consumer.active_at.map(|at| now as i64 - at as i64);
        txn.take_reply_room(consumer.name.len() + 100)?;
        replies.push(Reply::Map(vec![
            field("name", Reply::Bulk(consumer.name.clone())),
            field("pending", count(consumer.pending)),
            field("idle", count(now.saturating_sub(consumer.seen_at))),
            field("inactive", Reply::Integer(inactive.unwrap_or(-1))),
        ]));
    }
    Ok(Reply::Array(replies))
}

const HELP: Command = command(Topic::Stream, "xinfo|help")
    .flags(F::ANY_TIME)
    .runs(help)
    .docs("5.0.0", "O(1)", "Lists the subcommands.");

/// `XINFO HELP`: the subcommands.
fn help(_: &mut Txn<'_>, _: &Args<'_>) -> Result<Reply, EvalError> {
    Ok(Reply::help(
        "XINFO",
        &[
            "CONSUMERS <key> <groupname>",
            "    Show consumers of <groupname>.",
            "GROUPS <key>",
            "    Show the stream consumer groups.",
            "STREAM <key> [FULL [COUNT <count>]",
            "    Show information about the stream.",
        ],
    ))
}
