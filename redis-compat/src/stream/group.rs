//! The groups of a stream: a group remembers up to where it has read, and which entries were
//! delivered to its consumers and not yet acknowledged.
//!
//! ```text
//! varint      its number: no two groups of a stream ever have the same
//! 2 varints   the last id that was delivered
//! varint      how many entries were read, and 1; 0 = not known
//! varint      how many entries are pending
//! varint      how many consumers it has
//! varint      the number of the last consumer that was made; the first is 1
//! 2 varints   no pending entry is before this id
//! ```

use std::collections::BTreeMap;

use bytes::{Buf, Bytes};
use coterie_types::varint;

use super::Stream;
use super::body::{
    CONSUMER_NAMES, CONSUMERS, GROUPS, PENDING, PENDING_BY_TIME, PENDING_OF_CONSUMERS, corrupt,
};
use super::consumer::Consumer;
use super::id::StreamId;
use crate::errors::COLLECTION_TOO_LARGE;
use crate::txn::spread::COPY_BYTES_MAX;
use crate::{EvalError, Fault, Txn};

/// The families of elements whose keys begin with the number of a group.
const OF_GROUPS: [u8; 5] = [
    PENDING,
    PENDING_OF_CONSUMERS,
    CONSUMER_NAMES,
    CONSUMERS,
    PENDING_BY_TIME,
];

/// A group, and the consumers that the command has looked at.
pub(super) struct Group {
    pub(super) name: Bytes,
    pub(super) number: u32,
    pub(super) last: StreamId,
    /// How many entries it has read, if that is known.
    pub(super) reads: Option<i64>,
    pub(super) pending: u64,
    pub(super) consumers: u64,
    last_consumer: u32,
    /// No pending entry is before it.
    pub(super) first_pending: StreamId,
    opened: BTreeMap<u32, Consumer>,
    /// The bytes that it was read from.
    stored: Option<Bytes>,
}

/// The value of a new group with so many pending entries and consumers.
pub(super) fn encode_new(
    number: u32,
    (last, reads): (StreamId, Option<i64>),
    (pending, consumers): (u64, u32),
    first_pending: StreamId,
) -> Vec<u8> {
    let group = Group {
        name: Bytes::new(),
        number,
        last,
        reads,
        pending,
        consumers: consumers.into(),
        last_consumer: consumers,
        first_pending,
        opened: BTreeMap::new(),
        stored: None,
    };
    group.encode()
}

pub(super) fn take_u32(input: &mut impl Buf) -> Option<u32> {
    u32::try_from(varint::take(input)?).ok()
}

/// The key of elements that belong to a group, or to a consumer of it.
pub(super) fn key(numbers: &[u32], rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(4 * numbers.len() + rest.len());
    for number in numbers {
        key.extend(number.to_be_bytes());
    }
    key.extend_from_slice(rest);
    key
}

impl Group {
    fn decode(name: Bytes, mut value: Bytes) -> Option<Self> {
        let group = Self {
            stored: Some(value.clone()),
            name,
            number: take_u32(&mut value)?,
            last: StreamId::take(&mut value)?,
            reads: match varint::take(&mut value)? {
                0 => None,
                reads => Some((reads - 1) as i64),
            },
            pending: varint::take(&mut value)?,
            consumers: varint::take(&mut value)?,
            last_consumer: take_u32(&mut value)?,
            first_pending: StreamId::take(&mut value)?,
            opened: BTreeMap::new(),
        };
        (!value.has_remaining()).then_some(group)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32);
        varint::put(&mut out, self.number.into());
        self.last.put(&mut out);
        varint::put(
            &mut out,
            self.reads.map_or(0, |reads| (reads as u64).wrapping_add(1)),
        );
        varint::put(&mut out, self.pending);
        varint::put(&mut out, self.consumers);
        varint::put(&mut out, self.last_consumer.into());
        self.first_pending.put(&mut out);
        out
    }

    /// Whether it, or a consumer, differs from what is stored.
    pub(super) fn is_changed(&self) -> bool {
        self.stored
            .as_ref()
            .is_none_or(|stored| **stored != *self.encode())
            || self.opened.values().any(Consumer::is_changed)
    }

    /// The number of the consumer of this name.
    pub(super) fn find_consumer(
        &mut self,
        stream: &Stream,
        txn: &Txn<'_>,
        name: &[u8],
    ) -> Result<Option<u32>, Fault> {
        let key = key(&[self.number], name);
        let Some(mut number) = stream.body.get(txn, CONSUMER_NAMES, &key)? else {
            return Ok(None);
        };
        Ok(Some(take_u32(&mut number).ok_or_else(corrupt)?))
    }

    /// The number of the consumer of this name, which is made if it is not there; and whether it
    /// was made.
    pub(super) fn consumer_or_new(
        &mut self,
        stream: &mut Stream,
        txn: &mut Txn<'_>,
        name: &Bytes,
    ) -> Result<(u32, bool), EvalError> {
        if let Some(number) = self.find_consumer(stream, txn, name)? {
            return Ok((number, false));
        }
        let number = self
            .last_consumer
            .checked_add(1)
            .ok_or(COLLECTION_TOO_LARGE)?;
        self.last_consumer = number;
        self.consumers += 1;
        let mut value = Vec::new();
        varint::put(&mut value, number.into());
        let key = key(&[self.number], name);
        stream.body.put(txn, CONSUMER_NAMES, &key, value);
        self.opened
            .insert(number, Consumer::new(name.clone(), txn.now().0));
        Ok((number, true))
    }

    /// A consumer, to be read and changed.
    pub(super) fn consumer(
        &mut self,
        stream: &Stream,
        txn: &Txn<'_>,
        number: u32,
    ) -> Result<&mut Consumer, Fault> {
        if !self.opened.contains_key(&number) {
            let key = key(&[self.number, number], &[]);
            let value = stream.body.get(txn, CONSUMERS, &key)?;
            let consumer = value.and_then(Consumer::decode).ok_or_else(corrupt)?;
            self.opened.insert(number, consumer);
        }
        self.opened.get_mut(&number).ok_or_else(corrupt)
    }

    /// The numbers of all consumers, in the order of their names.
    pub(super) fn all_consumers(
        &self,
        stream: &Stream,
        txn: &mut Txn<'_>,
    ) -> Result<Vec<u32>, EvalError> {
        let mut numbers = Vec::new();
        let prefix = key(&[self.number], &[]);
        stream
            .body
            .each(txn, (CONSUMER_NAMES, &prefix), &mut |_, _, number| {
                numbers.push(take_u32(&mut number.clone()).ok_or_else(corrupt)?);
                Ok(())
            })?;
        Ok(numbers)
    }

    /// Removes a consumer and its pending entries; returns how many there were. Errors:
    /// `COLLECTION_TOO_LARGE`.
    pub(super) fn remove_consumer(
        &mut self,
        stream: &mut Stream,
        txn: &mut Txn<'_>,
        number: u32,
    ) -> Result<u64, EvalError> {
        let (name, pending) = {
            let consumer = self.consumer(stream, txn, number)?;
            (consumer.name.clone(), consumer.pending)
        };
        check_removable(pending)?;
        let mut from = StreamId::MIN;
        loop {
            let page = self.some_of_consumer(stream, txn, number, from, usize::MAX)?;
            let Some(last) = page.last() else {
                break;
            };
            from = last.next().unwrap_or(StreamId::MAX);
            for id in page {
                self.acknowledge(stream, txn, id)?;
            }
        }
        self.opened.remove(&number);
        self.consumers = self.consumers.saturating_sub(1);
        stream
            .body
            .remove(txn, CONSUMERS, &key(&[self.number, number], &[]));
        stream
            .body
            .remove(txn, CONSUMER_NAMES, &key(&[self.number], &name));
        Ok(pending)
    }
}

/// Refuses to remove more pending entries than a log entry holds. Errors: `COLLECTION_TOO_LARGE`.
fn check_removable(pending: u64) -> Result<(), EvalError> {
    // Three elements with their keys for each.
    if pending.saturating_mul(128) > COPY_BYTES_MAX as u64 {
        Err(super::xgroup::TOO_MANY_PENDING.into())
    } else {
        Ok(())
    }
}

impl Stream {
    /// The group of this name.
    pub(super) fn group(&self, txn: &Txn<'_>, name: &Bytes) -> Result<Option<Group>, Fault> {
        if self.head.groups == 0 {
            return Ok(None);
        }
        let value = self.body.get(txn, GROUPS, name)?;
        let decode = |value| Group::decode(name.clone(), value).ok_or_else(corrupt);
        value.map(decode).transpose()
    }

    /// All groups, in the order of their names.
    pub(super) fn all_groups(&self, txn: &mut Txn<'_>) -> Result<Vec<Group>, EvalError> {
        let mut groups = Vec::new();
        if self.head.groups > 0 {
            self.body.each(txn, (GROUPS, &[]), &mut |_, name, value| {
                let group = Group::decode(name.clone(), value.clone());
                groups.push(group.ok_or_else(corrupt)?);
                Ok(())
            })?;
        }
        Ok(groups)
    }

    /// A new group; there is none of its name. Errors: `COLLECTION_TOO_LARGE`.
    pub(super) fn new_group(
        &mut self,
        name: &Bytes,
        last: StreamId,
        reads: Option<i64>,
    ) -> Result<Group, EvalError> {
        let number = self.head.last_group + 1;
        let group = Group {
            name: name.clone(),
            number: u32::try_from(number).map_err(|_| COLLECTION_TOO_LARGE)?,
            last,
            reads,
            pending: 0,
            consumers: 0,
            last_consumer: 0,
            first_pending: StreamId::MIN,
            opened: BTreeMap::new(),
            stored: None,
        };
        self.head.last_group = number;
        self.head.groups += 1;
        Ok(group)
    }

    /// Stores a group that was changed, and those of its consumers that the command has looked at.
    pub(super) fn put_group(&mut self, txn: &mut Txn<'_>, group: &Group) {
        for (number, consumer) in &group.opened {
            if consumer.is_changed() {
                let key = key(&[group.number, *number], &[]);
                self.body.put(txn, CONSUMERS, &key, consumer.encode());
            }
        }
        self.body.put(txn, GROUPS, &group.name, group.encode());
    }

    /// Removes a group with all that belongs to it. Errors: `COLLECTION_TOO_LARGE`.
    pub(super) fn remove_group(
        &mut self,
        txn: &mut Txn<'_>,
        group: &Group,
    ) -> Result<(), EvalError> {
        check_removable(group.pending.saturating_add(group.consumers))?;
        let prefix = key(&[group.number], &[]);
        for family in OF_GROUPS {
            let mut keys = Vec::new();
            self.body.each(txn, (family, &prefix), &mut |_, key, _| {
                keys.push(key.clone());
                Ok(())
            })?;
            for key in keys {
                self.body.remove(txn, family, &key);
            }
        }
        self.body.remove(txn, GROUPS, &group.name);
        self.head.groups = self.head.groups.saturating_sub(1);
        Ok(())
    }
}
