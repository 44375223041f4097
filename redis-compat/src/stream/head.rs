//! The head of a stream: everything but its elements.
//!
//! ```text
//! varint      how many entries; stands in the spread header if the stream is spread
//! 2 varints   the last id that was given
//! 2 varints   the greatest id that was deleted
//! varint      how many entries were ever added
//! 2 varints   the first entry, 0-0 if there is none
//! 2 varints   the last entry, 0-0 if there is none
//! varint      how many groups
//! varint      the number of the last group that was made
//! varint      entries of the last node, deleted ones too; 0: the next entry begins a node
//! if not 0    [`super::node::Tail`]
//! varint      the number of the last node
//! 2 varints   the first node and its entries; the second is 0 while not known
//! if not 0    the last id of the first node (2 varints)
//! 2 varints   seconds and number of the messages that producers sent; 0 = the default
//! ```
//!
//! The first and the last entry are hints for walks, too: a walk that began elsewhere would pass
//! all entries that were removed.

use bytes::{Buf, Bytes};
use coterie_types::varint;

use super::id::StreamId;
use super::node::Tail;

/// See the file's head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) length: u64,
    pub(super) last: StreamId,
    pub(super) max_deleted: StreamId,
    pub(super) added: u64,
    pub(super) first_entry: StreamId,
    pub(super) last_entry: StreamId,
    pub(super) groups: u64,
    pub(super) last_group: u64,
    pub(super) tail: Option<Tail>,
    pub(super) last_node: u64,
    pub(super) front: Option<Front>,
    pub(super) messages: Messages,
}

/// The first node, once it was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Front {
    pub(super) number: u64,
    /// Its entries that are there.
    pub(super) live: u64,
    /// The last of them.
    pub(super) last: StreamId,
}

/// How long, and how many of, the names of messages are remembered; 0 = the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Messages {
    pub(super) seconds: u64,
    pub(super) max: u64,
}

impl Head {
    /// Takes a head off the front of a packed stream.
    pub(super) fn take(input: &mut Bytes) -> Option<Self> {
        let length = varint::take(input)?;
        Self::take_rest(length, input)
    }

    /// Takes a head but for the number of entries.
    pub(super) fn take_rest(length: u64, input: &mut impl Buf) -> Option<Self> {
        let mut head = Self {
            length,
            last: StreamId::take(input)?,
            max_deleted: StreamId::take(input)?,
            added: varint::take(input)?,
            first_entry: StreamId::take(input)?,
            last_entry: StreamId::take(input)?,
            groups: varint::take(input)?,
            last_group: varint::take(input)?,
            ..Self::default()
        };
        let total = varint::take(input)?;
        if total > 0 {
            head.tail = Some(Tail::take(total, input)?);
        }
        head.last_node = varint::take(input)?;
        let (number, live) = (varint::take(input)?, varint::take(input)?);
        if live > 0 {
            let last = StreamId::take(input)?;
            head.front = Some(Front { number, live, last });
        }
        head.messages.seconds = varint::take(input)?;
        head.messages.max = varint::take(input)?;
        Some(head)
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        varint::put(out, self.length);
        self.put_rest(out);
    }

    pub(super) fn put_rest(&self, out: &mut Vec<u8>) {
        self.last.put(out);
        self.max_deleted.put(out);
        varint::put(out, self.added);
        self.first_entry.put(out);
        self.last_entry.put(out);
        varint::put(out, self.groups);
        varint::put(out, self.last_group);
        match &self.tail {
            Some(tail) => {
                varint::put(out, tail.total);
                tail.put(out);
            }
            None => varint::put(out, 0),
        }
        varint::put(out, self.last_node);
        match self.front {
            Some(front) => {
                varint::put(out, front.number);
                varint::put(out, front.live);
                front.last.put(out);
            }
            None => out.extend_from_slice(&[0, 0]),
        }
        varint::put(out, self.messages.seconds);
        varint::put(out, self.messages.max);
    }

    /// Counts an entry that is added, and returns the number of its node.
    pub(super) fn add(&mut self, id: StreamId, words: &[Bytes]) -> u64 {
        match &mut self.tail {
            Some(tail) if tail.has_room(words) => {
                tail.add(id, words);
                if let Some(front) = &mut self.front
                    && front.number == tail.number
                {
                    front.live += 1;
                    front.last = id;
                }
            }
            tail => {
                self.last_node += 1;
                *tail = Some(Tail::begin(self.last_node, id, words));
            }
        }
        if self.length == 0 {
            self.first_entry = id;
        }
        self.length += 1;
        self.added = self.added.wrapping_add(1);
        self.last = id;
        self.last_entry = id;
        self.last_node
    }

    /// Counts an entry of this node that is deleted. A node without entries is gone, unless
    /// `leaves_node`.
    pub(super) fn delete(&mut self, id: StreamId, node: u64, leaves_node: bool) {
        self.length = self.length.saturating_sub(1);
        if let Some(tail) = &mut self.tail
            && tail.number == node
        {
            tail.live = tail.live.saturating_sub(1);
            if tail.live == 0 && !leaves_node {
                self.tail = None;
            }
        }
        if let Some(front) = &mut self.front
            && front.number == node
        {
            front.live = front.live.saturating_sub(1);
            if front.live == 0 || front.last == id {
                self.front = None;
            }
        }
    }

    /// How many nodes there are from that of the first entry on.
    pub(super) fn nodes(&self, first: u64) -> u64 {
        match self.length {
            0 => 0,
            _ => self.last_node.saturating_sub(first) + 1,
        }
    }

    /// The counter of reads of a group that has read up to `id`: how many entries were added up to
    /// there; `None` if that is not known. Source: `streamEstimateDistanceFromFirstEverEntry`.
    pub(super) fn reads_up_to(&self, id: StreamId) -> Option<i64> {
        let added = self.added as i64;
        if self.added == 0 || (self.length == 0 && id <= self.last) || id == self.last {
            return Some(added);
        }
        if id > self.last {
            return None;
        }
        let is_whole = self.max_deleted == StreamId::MIN || self.max_deleted < self.first_entry;
        let before = added.wrapping_sub(self.length as i64);
        match id.cmp(&self.first_entry) {
            std::cmp::Ordering::Less if is_whole => Some(before),
            std::cmp::Ordering::Equal if is_whole => Some(before.wrapping_add(1)),
            _ => None,
        }
    }

    /// Whether entries were deleted at `id` or behind it. Source: `streamRangeHasTombstones`.
    pub(super) fn has_gaps_from(&self, id: StreamId) -> bool {
        self.length > 0
            && self.max_deleted != StreamId::MIN
            && self.first_entry <= self.max_deleted
            && id <= self.max_deleted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_on_disk_is_pinned() {
        let id = StreamId::new;
        let mut head = Head {
            max_deleted: id(4, 5),
            groups: 2,
            last_group: 3,
            messages: Messages {
                seconds: 300,
                max: 7,
            },
            ..Head::default()
        };
        let words = ["f", "v"].map(Bytes::from);
        head.add(id(300, 1), &words);
        head.front = Some(Front {
            number: 1,
            live: 1,
            last: id(300, 1),
        });
        let mut out = Vec::new();
        head.put(&mut out);
        let mut expected = b"\x01\xac\x02\x01\x04\x05\x01\xac\x02\x01\xac\x02\x01\x02\x03".to_vec();
        expected.extend(b"\x01\x01\x01\x1d\xac\x02\x01\xac\x02\x01");
        let fields = out[expected.len()..expected.len() + 8].to_vec();
        expected.extend(&fields);
        expected.extend(b"\x01\x01\x01\xac\x02\x01\xac\x02\x07");
        assert_eq!(out, expected);
        assert_eq!(Head::take(&mut Bytes::from(out.clone())).unwrap(), head);
        for len in 0..out.len() {
            assert!(Head::take(&mut Bytes::copy_from_slice(&out[..len])).is_none());
        }
    }
}
