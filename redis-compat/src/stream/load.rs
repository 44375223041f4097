//! Streams out of the payloads of `RESTORE`; the layout stands in [`super::payload`].
//!
//! The bytes come from strangers: reading never panics, and makes no more than there are bytes. A
//! stream is taken as it would be made: ids that do not grow, or counters that do not fit the
//! entries, are refused.

use std::collections::BTreeMap;

use bytes::{Buf, Bytes};

use super::Stream;
use super::body::{
    Body, CONSUMER_NAMES, CONSUMERS, ENTRIES, GROUPS, PENDING, PENDING_BY_TIME,
    PENDING_OF_CONSUMERS, Packed,
};
use super::consumer::Consumer;
use super::entry::Entry;
use super::group;
use super::head::Head;
use super::id::StreamId;
use super::node::Tail;
use super::payload::{DELETED, SAME_FIELDS, TYPE_STREAM, TYPE_STREAM_3};
use super::pel::Pending;
use crate::number;
use crate::rdb::{self, listpack};
use crate::txn::spread::COPY_BYTES_MAX;

/// Takes a stream of this type off the front of `input`; `None` if it is none. A field or a value
/// has at most `max` bytes.
pub(crate) fn take_payload(of: u8, input: &mut Bytes, max: usize) -> Option<Stream> {
    let mut loader = Loader {
        of,
        max: max.saturating_mul(2).saturating_add(64),
        room: COPY_BYTES_MAX,
        head: Head::default(),
        packed: Packed::default(),
    };
    loader.take(input)?;
    let Loader { head, packed, .. } = loader;
    Some(Stream::restored(head, Body::Packed(packed)))
}

struct Loader {
    of: u8,
    /// The longest string.
    max: usize,
    /// Bytes that all strings may still have.
    room: usize,
    head: Head,
    packed: Packed,
}

impl Loader {
    fn take(&mut self, input: &mut Bytes) -> Option<()> {
        for _ in 0..rdb::take_len(input)? {
            self.take_node(input)?;
        }
        self.take_head(input)?;
        for _ in 0..rdb::take_len(input)? {
            self.take_group(input)?;
        }
        Some(())
    }

    fn take_string(&mut self, input: &mut Bytes) -> Option<Bytes> {
        let string = rdb::take_string(input, self.max.min(self.room))?;
        self.room = self.room.checked_sub(string.len())?;
        Some(string)
    }

    fn take_head(&mut self, input: &mut Bytes) -> Option<()> {
        let head = &mut self.head;
        let length = take_number(input)?;
        head.last = take_id(input)?;
        if self.of == TYPE_STREAM {
            head.added = length;
        } else {
            // The first entry is known.
            take_id(input)?;
            head.max_deleted = take_id(input)?;
            head.added = take_number(input)?;
        }
        (length == head.length && head.last_entry <= head.last).then_some(())
    }

    fn take_node(&mut self, input: &mut Bytes) -> Option<()> {
        let first = StreamId::of_bytes(&self.take_string(input)?)?;
        let packed = self.take_string(input)?;
        let bytes = packed.len();
        let elements = listpack::unpack(packed)?;
        let mut elements = elements.into_iter();
        let count = take_int(&mut elements)?.checked_add(take_int(&mut elements)?)?;
        let fields = usize::try_from(take_int(&mut elements)?).ok()?;
        let fields = take_words(&mut elements, fields)?;
        if take_int(&mut elements)? != 0 {
            return None;
        }
        self.head.last_node += 1;
        let (mut live, mut deleted) = (0, 0);
        let mut last = None;
        for _ in 0..count {
            let (id, words) = take_entry(&mut elements, first, &fields)?;
            let is_behind = last.is_none_or(|last| id > last) && id > self.head.last_entry;
            if !is_behind || id == StreamId::MIN {
                return None;
            }
            last = Some(id);
            match words {
                None => deleted += 1,
                Some(words) => {
                    live += 1;
                    self.add(id, &words);
                }
            }
        }
        if elements.next().is_some() {
            return None;
        }
        let ends = (first, last?);
        let number = self.head.last_node;
        let tail = Tail::restored(number, (live, deleted), bytes, ends, &fields);
        self.head.tail = Some(tail);
        Some(())
    }

    fn add(&mut self, id: StreamId, words: &[Bytes]) {
        if self.head.length == 0 {
            self.head.first_entry = id;
        }
        self.head.length += 1;
        self.head.last_entry = id;
        let value = Entry::pack(self.head.last_node, words);
        self.packed.insert(ENTRIES, id.to_bytes().to_vec(), value);
    }

    fn take_group(&mut self, input: &mut Bytes) -> Option<()> {
        let name = self.take_string(input)?;
        let last = take_id(input)?;
        let reads = match self.of {
            TYPE_STREAM => self.head.reads_up_to(last),
            _ => Some(take_number(input)? as i64).filter(|reads| *reads >= 0),
        };
        let mut pending = self.take_pending(input)?;
        let mut consumers: Vec<Consumer> = Vec::new();
        for _ in 0..rdb::take_len(input)? {
            let number = u32::try_from(consumers.len() + 1).ok()?;
            let consumer = self.take_consumer(input, number, &mut pending)?;
            consumers.push(consumer);
        }
        self.put_group((name, last, reads), &pending, &consumers)
    }

    fn take_pending(&mut self, input: &mut Bytes) -> Option<BTreeMap<StreamId, Pending>> {
        let mut all = BTreeMap::new();
        for _ in 0..rdb::take_len(input)? {
            let id = take_raw_id(input)?;
            // Three elements for each.
            self.room = self.room.checked_sub(3 * StreamId::BYTES)?;
            let pending = Pending {
                consumer: 0,
                delivered_at: take_time(input)?.unwrap_or(0),
                deliveries: take_number(input)?,
            };
            if all.insert(id, pending).is_some() {
                return None;
            }
        }
        Some(all)
    }

    fn take_consumer(
        &mut self,
        input: &mut Bytes,
        number: u32,
        pending: &mut BTreeMap<StreamId, Pending>,
    ) -> Option<Consumer> {
        let name = self.take_string(input)?;
        let seen_at = take_time(input)?;
        let mut consumer = Consumer::new(name, seen_at.unwrap_or(0));
        consumer.active_at = match self.of {
            TYPE_STREAM_3 => take_time(input)?,
            _ => seen_at,
        };
        for _ in 0..rdb::take_len(input)? {
            let id = take_raw_id(input)?;
            let pending = pending
                .get_mut(&id)
                .filter(|pending| pending.consumer == 0)?;
            pending.consumer = number;
            consumer.own(id);
        }
        Some(consumer)
    }

    fn put_group(
        &mut self,
        (name, last, reads): (Bytes, StreamId, Option<i64>),
        pending: &BTreeMap<StreamId, Pending>,
        consumers: &[Consumer],
    ) -> Option<()> {
        self.head.last_group += 1;
        self.head.groups += 1;
        let of_group = u32::try_from(self.head.last_group).ok()?;
        let first = pending.keys().next().copied().unwrap_or_default();
        let counts = (pending.len() as u64, consumers.len() as u32);
        let value = group::encode_new(of_group, (last, reads), counts, first);
        if self.packed.insert(GROUPS, name.to_vec(), value) {
            return None;
        }
        let key = group::key;
        for (id, pending) in pending {
            let bytes = id.to_bytes();
            let by_time = [&pending.delivered_at.to_be_bytes()[..], &bytes[..]].concat();
            let packed = &mut self.packed;
            packed.insert(PENDING, key(&[of_group], &bytes), pending.encode());
            packed.insert(PENDING_BY_TIME, key(&[of_group], &by_time), Vec::new());
            if pending.consumer != 0 {
                let numbers = [of_group, pending.consumer];
                packed.insert(PENDING_OF_CONSUMERS, key(&numbers, &bytes), Vec::new());
            }
        }
        for (number, consumer) in (1..).zip(consumers) {
            let mut value = Vec::new();
            coterie_types::varint::put(&mut value, u64::from(number));
            let name = key(&[of_group], &consumer.name);
            if self.packed.insert(CONSUMER_NAMES, name, value) {
                return None;
            }
            let place = key(&[of_group, number], &[]);
            self.packed.insert(CONSUMERS, place, consumer.encode());
        }
        Some(())
    }
}

fn take_number(input: &mut Bytes) -> Option<u64> {
    rdb::take_len(input).map(|number| number as u64)
}

fn take_id(input: &mut Bytes) -> Option<StreamId> {
    Some(StreamId::new(take_number(input)?, take_number(input)?))
}

fn take_raw_id(input: &mut Bytes) -> Option<StreamId> {
    let fits = input.len() >= StreamId::BYTES;
    StreamId::of_bytes(&input.split_to(if fits { StreamId::BYTES } else { return None }))
}

/// A time; `Some(None)` is one below 0.
fn take_time(input: &mut Bytes) -> Option<Option<u64>> {
    Some(u64::try_from(input.try_get_i64_le().ok()?).ok())
}

fn take_int(elements: &mut impl Iterator<Item = Bytes>) -> Option<i64> {
    number::parse_int(&elements.next()?)
}

fn take_words(elements: &mut std::vec::IntoIter<Bytes>, count: usize) -> Option<Vec<Bytes>> {
    (count <= elements.len()).then(|| elements.by_ref().take(count).collect())
}

/// The id of an entry, and its fields and values unless it is deleted.
fn take_entry(
    elements: &mut std::vec::IntoIter<Bytes>,
    first: StreamId,
    fields: &[Bytes],
) -> Option<(StreamId, Option<Vec<Bytes>>)> {
    let before = elements.len();
    let flags = take_int(elements)?;
    let ms = first.ms.wrapping_add(take_int(elements)? as u64);
    let seq = first.seq.wrapping_add(take_int(elements)? as u64);
    let words: Vec<Bytes> = if flags & SAME_FIELDS != 0 {
        let values = take_words(elements, fields.len())?;
        let pairs = fields.iter().cloned().zip(values);
        pairs.flat_map(|(field, value)| [field, value]).collect()
    } else {
        let count = usize::try_from(take_int(elements)?).ok()?;
        take_words(elements, count.checked_mul(2)?)?
    };
    let taken = (before - elements.len()) as i64;
    if take_int(elements)? != taken {
        return None;
    }
    let is_deleted = flags & DELETED != 0;
    Some((StreamId::new(ms, seq), (!is_deleted).then_some(words)))
}
