//! The pending entries of a group: delivered to a consumer, and not yet acknowledged.
//!
//! ```text
//! varint      the number of its consumer; 0 = none
//! varint      when it was delivered, in Unix ms
//! varint      how often it was delivered
//! ```
//!
//! Each is there three times: by its id, by its consumer and id, by the time of its delivery and
//! id. The group and the consumer count theirs and know the first, so that no walk passes those
//! that were acknowledged.

use std::ops::Bound;

use bytes::{Buf, Bytes};
use coterie_types::varint;

use super::Stream;
use super::body::{PENDING, PENDING_BY_TIME, PENDING_OF_CONSUMERS, corrupt, id_behind};
use super::group::{Group, key, take_u32};
use super::id::StreamId;
use crate::{Fault, Txn, Walk};

/// An entry that was delivered and not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pending {
    /// The number of its consumer; 0 = none.
    pub(super) consumer: u32,
    /// When it was delivered, in Unix ms.
    pub(super) delivered_at: u64,
    /// How often it was delivered.
    pub(super) deliveries: u64,
}

impl Pending {
    /// For how long it has been pending, in ms.
    pub(super) fn idle(&self, now: u64) -> u64 {
        now.saturating_sub(self.delivered_at)
    }

    pub(super) fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(12);
        varint::put(&mut out, self.consumer.into());
        varint::put(&mut out, self.delivered_at);
        varint::put(&mut out, self.deliveries);
        out
    }

    fn decode(mut value: Bytes) -> Option<Self> {
        let pending = Self {
            consumer: take_u32(&mut value)?,
            delivered_at: varint::take(&mut value)?,
            deliveries: varint::take(&mut value)?,
        };
        (!value.has_remaining()).then_some(pending)
    }
}

impl Group {
    /// The pending entry of this id.
    pub(super) fn pending(
        &self,
        stream: &Stream,
        txn: &Txn<'_>,
        id: StreamId,
    ) -> Result<Option<Pending>, Fault> {
        if self.pending == 0 || id < self.first_pending {
            return Ok(None);
        }
        let key = key(&[self.number], &id.to_bytes());
        let value = stream.body.get(txn, PENDING, &key)?;
        value
            .map(|value| Pending::decode(value).ok_or_else(corrupt))
            .transpose()
    }

    /// Makes an entry pending, or changes it; `before` is what it was.
    pub(super) fn put_pending(
        &mut self,
        stream: &mut Stream,
        txn: &mut Txn<'_>,
        id: StreamId,
        (before, pending): (Option<Pending>, Pending),
    ) -> Result<(), Fault> {
        match before {
            Some(before) if before.consumer != pending.consumer => {
                self.disown(stream, txn, id, before.consumer)?;
                self.own(stream, txn, id, pending.consumer)?;
            }
            Some(_) => {}
            None => {
                self.own(stream, txn, id, pending.consumer)?;
                self.first_pending = match self.pending {
                    0 => id,
                    _ => self.first_pending.min(id),
                };
                self.pending += 1;
            }
        }
        if before.is_none_or(|before| before.delivered_at != pending.delivered_at) {
            if let Some(before) = before {
                let key = self.time_key(before.delivered_at, id);
                stream.body.remove(txn, PENDING_BY_TIME, &key);
            }
            let key = self.time_key(pending.delivered_at, id);
            stream.body.put(txn, PENDING_BY_TIME, &key, Vec::new());
        }
        let key = key(&[self.number], &id.to_bytes());
        stream.body.put(txn, PENDING, &key, pending.encode());
        Ok(())
    }

    /// The key of a pending entry in the order of deliveries.
    fn time_key(&self, delivered_at: u64, id: StreamId) -> Vec<u8> {
        let mut key = key(&[self.number], &delivered_at.to_be_bytes());
        key.extend(id.to_bytes());
        key
    }

    fn own(
        &mut self,
        stream: &mut Stream,
        txn: &mut Txn<'_>,
        id: StreamId,
        consumer: u32,
    ) -> Result<(), Fault> {
        if consumer == 0 {
            return Ok(());
        }
        self.consumer(stream, txn, consumer)?.own(id);
        let key = key(&[self.number, consumer], &id.to_bytes());
        stream.body.put(txn, PENDING_OF_CONSUMERS, &key, Vec::new());
        Ok(())
    }

    fn disown(
        &mut self,
        stream: &mut Stream,
        txn: &mut Txn<'_>,
        id: StreamId,
        consumer: u32,
    ) -> Result<(), Fault> {
        if consumer == 0 {
            return Ok(());
        }
        let prefix = key(&[self.number, consumer], &[]);
        let element = key(&[self.number, consumer], &id.to_bytes());
        stream.body.remove(txn, PENDING_OF_CONSUMERS, &element);
        let owner = self.consumer(stream, txn, consumer)?;
        owner.pending = owner.pending.saturating_sub(1);
        if owner.first_pending == id && owner.pending > 0 {
            let walk = Walk::Up(Bound::Excluded(&element));
            let place = (PENDING_OF_CONSUMERS, &prefix[..]);
            let next = stream.body.first_id(txn, place, walk)?;
            owner.first_pending = next.ok_or_else(corrupt)?;
        }
        Ok(())
    }

    /// Removes an entry that is pending.
    pub(super) fn remove_pending(
        &mut self,
        stream: &mut Stream,
        txn: &mut Txn<'_>,
        id: StreamId,
        pending: Pending,
    ) -> Result<(), Fault> {
        self.disown(stream, txn, id, pending.consumer)?;
        let element = key(&[self.number], &id.to_bytes());
        stream.body.remove(txn, PENDING, &element);
        let by_time = self.time_key(pending.delivered_at, id);
        stream.body.remove(txn, PENDING_BY_TIME, &by_time);
        self.pending = self.pending.saturating_sub(1);
        if self.first_pending == id && self.pending > 0 {
            let prefix = key(&[self.number], &[]);
            let walk = Walk::Up(Bound::Excluded(&element));
            let next = stream.body.first_id(txn, (PENDING, &prefix), walk)?;
            self.first_pending = next.ok_or_else(corrupt)?;
        }
        Ok(())
    }

    /// Removes the entry if it is pending; returns whether it was.
    pub(super) fn acknowledge(
        &mut self,
        stream: &mut Stream,
        txn: &mut Txn<'_>,
        id: StreamId,
    ) -> Result<bool, Fault> {
        let pending = self.pending(stream, txn, id)?;
        if let Some(pending) = pending {
            self.remove_pending(stream, txn, id, pending)?;
        }
        Ok(pending.is_some())
    }

    /// The first and the last pending entry.
    pub(super) fn pending_ends(
        &self,
        stream: &Stream,
        txn: &Txn<'_>,
    ) -> Result<Option<(StreamId, StreamId)>, Fault> {
        if self.pending == 0 {
            return Ok(None);
        }
        let prefix = key(&[self.number], &[]);
        let first = key(&[self.number], &self.first_pending.to_bytes());
        let last = key(&[self.number], &StreamId::MAX.to_bytes());
        let place = (PENDING, &prefix[..]);
        let first = stream
            .body
            .first_id(txn, place, Walk::Up(Bound::Included(&first)))?;
        let last = stream
            .body
            .first_id(txn, place, Walk::Down(Bound::Included(&last)))?;
        Ok(Some((
            first.ok_or_else(corrupt)?,
            last.ok_or_else(corrupt)?,
        )))
    }

    /// Some pending entries from `from` on, in the order of their ids: at most `max`, and no more
    /// than fill a page.
    pub(super) fn some_pending(
        &self,
        stream: &Stream,
        txn: &Txn<'_>,
        from: StreamId,
        max: usize,
    ) -> Result<Vec<(StreamId, Pending)>, Fault> {
        if self.pending == 0 {
            return Ok(Vec::new());
        }
        let prefix = key(&[self.number], &[]);
        let from = key(&[self.number], &from.max(self.first_pending).to_bytes());
        let walk = Walk::Up(Bound::Included(&from));
        let page = stream.body.page(txn, (PENDING, &prefix), walk, max)?;
        let pending = page.into_iter().map(|(key, value)| {
            let id = id_behind(&key, &prefix)?;
            Ok((id, Pending::decode(value).ok_or_else(corrupt)?))
        });
        pending.collect()
    }

    /// Times and ids of the entries that were delivered at `until` or before, the longest pending
    /// first: those behind `after`, at most `max`, and no more than fill a page.
    pub(super) fn longest_pending(
        &self,
        stream: &Stream,
        txn: &Txn<'_>,
        (after, until): ((u64, StreamId), u64),
        max: usize,
    ) -> Result<Vec<(u64, StreamId)>, Fault> {
        let prefix = key(&[self.number], &[]);
        let after = self.time_key(after.0, after.1);
        let walk = Walk::Up(Bound::Excluded(&after));
        let page = stream
            .body
            .page(txn, (PENDING_BY_TIME, &prefix), walk, max)?;
        let places = page.iter().map(|(key, _)| {
            let (time, id) = key
                .get(prefix.len()..)
                .and_then(<[u8]>::split_first_chunk)?;
            Some((u64::from_be_bytes(*time), StreamId::of_bytes(id)?))
        });
        let places = places.collect::<Option<Vec<_>>>().ok_or_else(corrupt)?;
        Ok(places
            .into_iter()
            .take_while(|(time, _)| *time <= until)
            .collect())
    }

    /// The ids of some pending entries of a consumer from `from` on, as [`Group::some_pending`].
    pub(super) fn some_of_consumer(
        &mut self,
        stream: &Stream,
        txn: &Txn<'_>,
        number: u32,
        from: StreamId,
        max: usize,
    ) -> Result<Vec<StreamId>, Fault> {
        let consumer = self.consumer(stream, txn, number)?;
        if consumer.pending == 0 {
            return Ok(Vec::new());
        }
        let from = from.max(consumer.first_pending).to_bytes();
        let prefix = key(&[self.number, number], &[]);
        let from = key(&[self.number, number], &from);
        let walk = Walk::Up(Bound::Included(&from));
        let place = (PENDING_OF_CONSUMERS, &prefix[..]);
        let page = stream.body.page(txn, place, walk, max)?;
        page.iter()
            .map(|(key, _)| id_behind(key, &prefix))
            .collect()
    }
}
