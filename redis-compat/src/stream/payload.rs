//! Streams as RDB files hold them: nodes of entries, then groups with what is pending.
//!
//! ```text
//! length      how many nodes; each: the id it begins with (string of 16 bytes), its listpack
//!             (string)
//! lengths     how many entries; last id, first id, greatest deleted id, entries ever added
//! length      how many groups; each: name (string), last id, entries read, and
//!   length    how many pending entries; each: id (16 bytes), time of delivery (8 bytes, little
//!             endian), deliveries (length)
//!   length    how many consumers; each: name (string), when seen (8 bytes), and
//!     length  how many pending entries; each: id (16 bytes)
//! ```
//!
//! Type 19 is that of Redis 7.0. Type 15 lacks what was added in 7.0 (first id, greatest deleted
//! id, entries added, entries read). Type 21 has another time behind that when a consumer was seen.
//!
//! A listpack: how many entries, how many deleted, how many fields, the fields of the first entry,
//! 0; then of each entry: flags (1 deleted, 2 has the fields of the first), id less the node's,
//! and unless it has these fields how many and each before its value; values; how many elements.
//!
//! Source: Redis `rdb.c`, `rdbSaveObject` and `rdbLoadObject`.

use bytes::{BufMut, Bytes};

use super::Stream;
use super::entry::{Entry, Range};
use super::group::Group;
use super::id::StreamId;
use crate::rdb::{self, listpack};
use crate::{EvalError, Txn, number};

pub(super) const TYPE_STREAM: u8 = 15;
pub(super) const TYPE_STREAM_2: u8 = 19;
pub(super) const TYPE_STREAM_3: u8 = 21;

pub(super) const DELETED: i64 = 1;
pub(super) const SAME_FIELDS: i64 = 2;

/// Whether a value of this RDB type is a stream.
pub(crate) fn is_payload(of: u8) -> bool {
    matches!(of, TYPE_STREAM | TYPE_STREAM_2 | TYPE_STREAM_3)
}

/// Appends the type and the value of the stream under this key. Errors: `ReplyTooLong`.
pub(crate) fn put_payload(
    out: &mut Vec<u8>,
    txn: &mut Txn<'_>,
    key: &Bytes,
    stream: Stream,
) -> Result<(), EvalError> {
    let stream = stream.under(txn.table(), key);
    out.push(TYPE_STREAM_2);
    put_nodes(out, txn, &stream)?;
    let head = &stream.head;
    put_number(out, head.length);
    put_id(out, head.last);
    put_id(out, head.first_entry);
    put_id(out, head.max_deleted);
    put_number(out, head.added);
    put_number(out, head.groups);
    for group in stream.all_groups(txn)? {
        put_group(out, txn, &stream, group)?;
    }
    Ok(())
}

fn put_number(out: &mut Vec<u8>, number: u64) {
    rdb::put_len(out, number as usize);
}

fn put_id(out: &mut Vec<u8>, id: StreamId) {
    put_number(out, id.ms);
    put_number(out, id.seq);
}

fn put_nodes(out: &mut Vec<u8>, txn: &mut Txn<'_>, stream: &Stream) -> Result<(), EvalError> {
    let (mut nodes, mut count) = (Vec::new(), 0);
    let mut node: Vec<Entry> = Vec::new();
    stream.each_entry(txn, Range::ALL, usize::MAX, &mut |txn, entry| {
        txn.take_reply_room(entry.bytes())?;
        if node.first().is_some_and(|first| first.node != entry.node) {
            count += 1;
            put_node(&mut nodes, &node)?;
            node.clear();
        }
        node.push(entry);
        Ok(true)
    })?;
    if !node.is_empty() {
        count += 1;
        put_node(&mut nodes, &node)?;
    }
    rdb::put_len(out, count);
    out.extend(nodes);
    Ok(())
}

fn put_node(out: &mut Vec<u8>, entries: &[Entry]) -> Result<(), EvalError> {
    let int = number::format_int;
    let Some((first, words)) = entries.first().map(|first| (first.id, first.words())) else {
        return Ok(());
    };
    let fields: Vec<_> = words?.into_iter().step_by(2).collect();
    let mut elements = vec![int(entries.len() as i64), int(0), int(fields.len() as i64)];
    elements.extend(fields.iter().cloned());
    elements.push(int(0));
    for entry in entries {
        let words = entry.words()?;
        let is_same = words.iter().step_by(2).eq(&fields);
        let before = elements.len();
        elements.push(int(if is_same { SAME_FIELDS } else { 0 }));
        elements.push(int(entry.id.ms.wrapping_sub(first.ms) as i64));
        elements.push(int(entry.id.seq.wrapping_sub(first.seq) as i64));
        if is_same {
            elements.extend(words.into_iter().skip(1).step_by(2));
        } else {
            elements.push(int(words.len() as i64 / 2));
            elements.extend(words);
        }
        elements.push(int((elements.len() - before) as i64));
    }
    let packed = listpack::pack(elements.iter()).ok_or_else(super::body::corrupt)?;
    rdb::put_string(out, &first.to_bytes());
    rdb::put_string(out, &packed);
    Ok(())
}

fn put_group(
    out: &mut Vec<u8>,
    txn: &mut Txn<'_>,
    stream: &Stream,
    mut group: Group,
) -> Result<(), EvalError> {
    rdb::put_string(out, &group.name);
    put_id(out, group.last);
    put_number(out, group.reads.unwrap_or(-1) as u64);
    put_number(out, group.pending);
    let (mut from, mut unowned) = (Some(StreamId::MIN), Vec::new());
    while let Some(start) = from {
        let page = group.some_pending(stream, txn, start, usize::MAX)?;
        from = page.last().and_then(|(last, _)| last.next());
        for (id, pending) in page {
            txn.take_reply_room(StreamId::BYTES)?;
            out.extend(id.to_bytes());
            out.put_u64_le(pending.delivered_at);
            put_number(out, pending.deliveries);
            if pending.consumer == 0 {
                unowned.push(id);
            }
        }
    }
    let consumers = group.all_consumers(stream, txn)?;
    // Each pending entry must have a consumer. What was given back is said to be of one without a
    // name.
    let nameless = group.find_consumer(stream, txn, b"")?;
    let is_added = !unowned.is_empty() && nameless.is_none();
    rdb::put_len(out, consumers.len() + usize::from(is_added));
    for number in consumers {
        let others = if nameless == Some(number) {
            &unowned[..]
        } else {
            &[]
        };
        put_consumer(out, txn, stream, (&mut group, number), others)?;
    }
    if is_added {
        rdb::put_string(out, b"");
        out.put_u64_le(0);
        put_ids(out, &unowned);
    }
    Ok(())
}

fn put_consumer(
    out: &mut Vec<u8>,
    txn: &mut Txn<'_>,
    stream: &Stream,
    (group, number): (&mut Group, u32),
    others: &[StreamId],
) -> Result<(), EvalError> {
    let consumer = group.consumer(stream, txn, number)?.clone();
    txn.take_reply_room(consumer.name.len())?;
    rdb::put_string(out, &consumer.name);
    out.put_u64_le(consumer.seen_at);
    let (mut from, mut ids) = (Some(StreamId::MIN), others.to_vec());
    while let Some(start) = from {
        let page = group.some_of_consumer(stream, txn, number, start, usize::MAX)?;
        from = page.last().and_then(|last| last.next());
        ids.extend(page);
    }
    put_ids(out, &ids);
    Ok(())
}

fn put_ids(out: &mut Vec<u8>, ids: &[StreamId]) {
    rdb::put_len(out, ids.len());
    ids.iter().for_each(|id| out.extend(id.to_bytes()));
}
