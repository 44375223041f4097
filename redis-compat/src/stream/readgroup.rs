//! Reading as a consumer of a group.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::Stream;
use super::entry::{Entry, Range};
use super::group::Group;
use super::id::{StreamId, until_nul};
use super::pel::Pending;
use super::read::{LAST_OF_XREADGROUP, Read, TOP_OF_XREADGROUP, of_streams};
use super::refusal::no_key_or_group;
use super::xgroup::CONSUMER_CREATED;
use crate::command::{Command, Part, Topic, command};
use crate::waits::{Timeout, WaitQueue};
use crate::{Args, Classes, CommandError, EvalError, Flags as F, KeyFlags as K, Kind, Reply, Txn};

pub(super) const PART: Part = Part::new(&[XREADGROUP], &[]);

const XREADGROUP: Command = command(Topic::Stream, "xreadgroup")
    .syntax(
        "GROUP group_consumer(group consumer) [COUNT count] [BLOCK milliseconds] [NOACK] \
        STREAMS streams(key ... id ...)",
    )
    .flags(F::WRITE.with(F::BLOCKING).with(F::MOVABLE_KEYS))
    .keys(&[K::RO_ACCESS.behind("STREAMS", 4).every(1).halved()])
    .runs(xreadgroup)
    .check(check)
    .waits(Timeout::Block, consumers)
    .hints(
        "weight=14 key=stream-key group=stream-group consumer=stream-consumer id=stream-read-id \
        milliseconds=stream-block",
    )
    .docs(
        "5.0.0",
        "For each stream mentioned: O(M) with M being the number of elements returned.",
        "Returns new or pending entries of several streams to a consumer of a group.",
    )
    .deviation(
        "It takes CLAIM of Redis 8.4 and MAXCOUNT and MAXSIZE of 8.10, too. A client that watches the key notices the read, which \
        changes the group.",
    );

/// `XREADGROUP GROUP group consumer [COUNT n] [BLOCK ms] [NOACK] [CLAIM idle] STREAMS key ... id
/// ...`: for `>` the entries that nobody of the group has got, for an id the consumer's pending
/// entries behind it. O(entries of the reply).
///
/// Errors: `SYNTAX`, those of the options, `WRONG_TYPE`, `NOGROUP`, `INVALID_ID`, `ReplyTooLong`.
/// Source: Redis 7.2 `t_stream.c`, `xreadCommand`.
fn xreadgroup(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let mut read = Read::parse(args, txn.now().0)?;
    let Some((name, consumer)) = read.group else {
        return Err(super::read::GROUP_MISSING.into());
    };
    let mut behind = Vec::with_capacity(read.ids.len());
    for (key, word) in read.keys.iter().zip(read.ids) {
        let (stream, group) = stream_and_group(txn, key, name)?;
        drop((stream, group));
        behind.push(parse_id(word)?);
    }
    let mut replies = Vec::new();
    for (key, behind) in read.keys.iter().zip(behind) {
        let (stream, group) = stream_and_group(txn, key, name)?;
        let mut reader = Reader::new(txn, stream, group, (key, consumer))?;
        let entries = match behind {
            Some(behind) => Some(reader.history(txn, behind, &mut read)?),
            None => reader.new_entries(txn, &mut read)?,
        };
        reader.stream.put_group(txn, &reader.group);
        txn.put_stream(key.clone(), &reader.stream)?;
        if let Some(entries) = entries {
            txn.take_reply_room(key.len())?;
            replies.push((Reply::Bulk(key.clone()), Reply::Array(entries)));
        }
    }
    if replies.is_empty() {
        txn.wait();
    }
    Ok(of_streams(replies))
}

/// The words of `XREADGROUP` make sense.
fn check(args: &Args<'_>) -> Result<(), CommandError> {
    Read::parse(args, 0).map(drop)
}

/// The consumers of a group get different entries. Those who wait are told when the stream or the
/// group is gone.
fn consumers(args: &[Bytes]) -> WaitQueue {
    let mut words = args.iter();
    words.find(|word| word.eq_ignore_ascii_case(b"group"));
    WaitQueue {
        kind: Kind::Stream,
        name: words.next().cloned().unwrap_or_default(),
        takes: true,
        ends_with_key: true,
    }
}

fn stream_and_group(
    txn: &mut Txn<'_>,
    key: &Bytes,
    name: &Bytes,
) -> Result<(Stream, Group), EvalError> {
    if let Some(stream) = txn.stream(key)?
        && let Some(group) = stream.group(txn, name)?
    {
        return Ok((stream, group));
    }
    let after = " in XREADGROUP with GROUP option";
    Err(no_key_or_group(key, name, after).into())
}

/// The id of a word; `None` is `>`, and the last id there can be.
fn parse_id(word: &Bytes) -> Result<Option<StreamId>, CommandError> {
    match until_nul(word) {
        b">" => Ok(None),
        b"$" => Err(LAST_OF_XREADGROUP),
        b"+" => Err(TOP_OF_XREADGROUP),
        _ => Ok(Some(StreamId::parse(word)?).filter(|id| *id != StreamId::MAX)),
    }
}

/// A consumer that reads a stream.
struct Reader {
    stream: Stream,
    group: Group,
    consumer: u32,
    now: u64,
}

impl Reader {
    fn new(
        txn: &mut Txn<'_>,
        mut stream: Stream,
        mut group: Group,
        (key, name): (&Bytes, &Bytes),
    ) -> Result<Self, EvalError> {
        let now = txn.now().0;
        let (number, is_new) = group.consumer_or_new(&mut stream, txn, name)?;
        if is_new {
            txn.notify(Classes::STREAM, CONSUMER_CREATED, key);
        }
        group.consumer(&stream, txn, number)?.seen_at = now;
        Ok(Self {
            stream,
            group,
            consumer: number,
            now,
        })
    }

    /// The consumer's pending entries behind an id.
    fn history(
        &mut self,
        txn: &mut Txn<'_>,
        behind: StreamId,
        read: &mut Read<'_>,
    ) -> Result<Vec<Reply>, EvalError> {
        let mut replies = Vec::new();
        let mut from = behind.next();
        while let Some(start) = from
            && replies.len() < read.max
            && !read.budget.is_empty()
        {
            let left = (read.max - replies.len()).min(256);
            let Self {
                stream,
                group,
                consumer,
                ..
            } = self;
            let page = group.some_of_consumer(stream, txn, *consumer, start, left)?;
            from = page.last().and_then(|last| last.next());
            for id in page {
                let entry = self.stream.entry(txn, id)?;
                if !read.budget.take(entry.as_ref().map_or(0, Entry::bytes)) {
                    break;
                }
                replies.push(self.deliver_again(txn, id, entry)?);
            }
        }
        Ok(replies)
    }

    fn deliver_again(
        &mut self,
        txn: &mut Txn<'_>,
        id: StreamId,
        entry: Option<Entry>,
    ) -> Result<Reply, EvalError> {
        let Some(entry) = entry else {
            txn.take_reply_room(40)?;
            return Ok(Reply::Array(vec![id.reply(), Reply::NullArray]));
        };
        if let Some(before) = self.group.pending(&self.stream, txn, id)? {
            let pending = Pending {
                delivered_at: self.now,
                deliveries: before.deliveries.saturating_add(1),
                ..before
            };
            let change = (Some(before), pending);
            self.group.put_pending(&mut self.stream, txn, id, change)?;
        }
        entry.reply(txn)
    }

    /// The entries that the group has not delivered yet, behind those that the consumer claims;
    /// `None` if there are none.
    fn new_entries(
        &mut self,
        txn: &mut Txn<'_>,
        read: &mut Read<'_>,
    ) -> Result<Option<Vec<Reply>>, EvalError> {
        let mut replies = match read.claim {
            Some(idle) => self.claim(txn, idle, read)?,
            None => Vec::new(),
        };
        let mut start = self.group.last.next();
        while let Some(from) = start
            && replies.len() < read.max
            && !read.budget.is_empty()
            && self.stream.has_behind(self.group.last)
        {
            let mut range = Range::up(from, StreamId::MAX);
            let left = (read.max - replies.len()).min(256);
            let page = self.stream.entries(txn, &mut range, left)?;
            start = page.last().and_then(|last| last.id.next());
            for entry in page {
                if !read.budget.take(entry.bytes()) {
                    break;
                }
                self.deliver(txn, entry.id, read.noack)?;
                replies.push(entry.reply(txn)?);
            }
        }
        Ok((!replies.is_empty()).then_some(replies))
    }

    fn deliver(&mut self, txn: &mut Txn<'_>, id: StreamId, noack: bool) -> Result<(), EvalError> {
        let Self { stream, group, .. } = self;
        match group.reads {
            Some(reads) if !stream.head.has_gaps_from(id) => {
                // -1 is not known, however it came to be.
                group.reads = Some(reads.wrapping_add(1)).filter(|reads| *reads != -1);
            }
            _ if stream.head.added > 0 => group.reads = stream.head.reads_up_to(id),
            _ => {}
        }
        group.last = id;
        if noack {
            return Ok(());
        }
        // The group may have been set back, so somebody may have it already.
        let before = group.pending(stream, txn, id)?;
        let pending = Pending {
            consumer: self.consumer,
            delivered_at: self.now,
            deliveries: 1,
        };
        group.put_pending(stream, txn, id, (before, pending))?;
        group.consumer(stream, txn, self.consumer)?.active_at = Some(self.now);
        Ok(())
    }

    /// Claims pending entries that are idle for so long, the longest first. Each has for how long
    /// it was idle, and how often it was delivered.
    fn claim(
        &mut self,
        txn: &mut Txn<'_>,
        idle: u64,
        read: &mut Read<'_>,
    ) -> Result<Vec<Reply>, EvalError> {
        let mut replies = Vec::new();
        let Some(until) = self.now.checked_sub(idle) else {
            return Ok(replies);
        };
        let mut after = (0, StreamId::MIN);
        // A claimed entry has another place, which may be behind.
        let mut claimed = BTreeSet::new();
        while replies.len() < read.max && !read.budget.is_empty() {
            let count = (read.max - replies.len()).min(256);
            let places = (after, until);
            let page = self
                .group
                .longest_pending(&self.stream, txn, places, count)?;
            let Some(last) = page.last() else {
                break;
            };
            after = *last;
            for (_, id) in page {
                if !read.budget.is_empty() && claimed.insert(id) {
                    replies.extend(self.claim_one(txn, id, read)?);
                }
            }
        }
        Ok(replies)
    }

    fn claim_one(
        &mut self,
        txn: &mut Txn<'_>,
        id: StreamId,
        read: &mut Read<'_>,
    ) -> Result<Option<Reply>, EvalError> {
        let Self { stream, group, .. } = self;
        let Some(before) = group.pending(stream, txn, id)? else {
            return Ok(None);
        };
        let Some(entry) = stream.entry(txn, id)? else {
            group.remove_pending(stream, txn, id, before)?;
            return Ok(None);
        };
        if !read.budget.take(entry.bytes()) {
            return Ok(None);
        }
        let pending = Pending {
            consumer: self.consumer,
            delivered_at: self.now,
            deliveries: before.deliveries.saturating_add(1),
        };
        group.put_pending(stream, txn, id, (Some(before), pending))?;
        group.consumer(stream, txn, self.consumer)?.active_at = Some(self.now);
        let Reply::Array(mut reply) = entry.reply(txn)? else {
            return Ok(None);
        };
        reply.push(Reply::Integer(before.idle(self.now) as i64));
        reply.push(Reply::Integer(before.deliveries as i64));
        Ok(Some(Reply::Array(reply)))
    }
}
