//! The consumers of a group.
//!
//! ```text
//! varint      when it was last seen, in Unix ms
//! varint      when it last got an entry, in Unix ms and 1; 0 = never
//! varint      how many entries are pending
//! 2 varints   no pending entry is before this id
//! rest        its name
//! ```

use bytes::Bytes;
use coterie_types::varint;

use super::id::StreamId;

/// A consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Consumer {
    pub(super) name: Bytes,
    pub(super) seen_at: u64,
    pub(super) active_at: Option<u64>,
    pub(super) pending: u64,
    pub(super) first_pending: StreamId,
    /// The bytes that it was read from.
    stored: Option<Bytes>,
}

impl Consumer {
    pub(super) fn new(name: Bytes, seen_at: u64) -> Self {
        Self {
            name,
            seen_at,
            active_at: None,
            pending: 0,
            first_pending: StreamId::MIN,
            stored: None,
        }
    }

    pub(super) fn decode(value: Bytes) -> Option<Self> {
        let mut input = value.clone();
        Some(Self {
            seen_at: varint::take(&mut input)?,
            active_at: varint::take(&mut input)?.checked_sub(1),
            pending: varint::take(&mut input)?,
            first_pending: StreamId::take(&mut input)?,
            name: input,
            stored: Some(value),
        })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.name.len() + 24);
        varint::put(&mut out, self.seen_at);
        let active_at = self.active_at.map_or(0, |at| at.saturating_add(1));
        varint::put(&mut out, active_at);
        varint::put(&mut out, self.pending);
        self.first_pending.put(&mut out);
        out.extend_from_slice(&self.name);
        out
    }

    /// Whether it differs from what is stored.
    pub(super) fn is_changed(&self) -> bool {
        self.stored
            .as_ref()
            .is_none_or(|stored| **stored != *self.encode())
    }

    /// Counts a pending entry that it gets.
    pub(super) fn own(&mut self, id: StreamId) {
        self.first_pending = match self.pending {
            0 => id,
            _ => self.first_pending.min(id),
        };
        self.pending += 1;
    }
}
