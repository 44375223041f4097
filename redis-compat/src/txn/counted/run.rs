//! The entries of a node, as they are stored.
//!
//! ```text
//! for each item of a leaf:          varint and bytes    the item
//!                                   varint and bytes    its value
//! for each node below a node:       varint and bytes    the first item of that node, empty in the
//!                                                       first of its level
//!                                   varint              how many items that node has
//! ```

use std::ops::Range;

use bytes::Bytes;
use coterie_types::varint;

use super::corrupt;
use crate::Fault;

/// The entries of a node. Each part of it is looked at in place.
#[derive(Debug, Clone)]
pub(super) struct Run {
    bytes: Bytes,
    is_leaf: bool,
    entries: Vec<Place>,
}

/// The entry of a key: the value of an item, or how many items a node has.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    Item(Bytes),
    Node(u64),
}

/// Where an entry is.
#[derive(Debug, Clone, Copy)]
struct Place {
    start: u32,
    key: u32,
    key_end: u32,
    /// Of an item: where its value begins.
    value: u32,
    end: u32,
    /// Of a node: how many items it has.
    count: u64,
}

impl Run {
    pub(super) fn decode(bytes: Bytes, is_leaf: bool) -> Result<Self, Fault> {
        let (mut entries, mut at) = (Vec::with_capacity(bytes.len() / 24), 0);
        while at < bytes.len() {
            let entry = entry(&bytes, at, is_leaf).ok_or_else(corrupt)?;
            at = entry.end as usize;
            entries.push(entry);
        }
        Ok(Self {
            bytes,
            is_leaf,
            entries,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many items these entries have.
    pub(super) fn items_of(&self, range: Range<usize>) -> u64 {
        if self.is_leaf {
            return range.len() as u64;
        }
        self.entries[range].iter().map(|entry| entry.count).sum()
    }

    /// The item, or the first item of the node.
    pub(super) fn key(&self, at: usize) -> &[u8] {
        let entry = &self.entries[at];
        &self.bytes[entry.key as usize..entry.key_end as usize]
    }

    /// The same, sharing the node's bytes.
    pub(super) fn key_bytes(&self, at: usize) -> Bytes {
        let entry = &self.entries[at];
        self.bytes.slice(entry.key as usize..entry.key_end as usize)
    }

    /// The value of an item.
    pub(super) fn value(&self, at: usize) -> &[u8] {
        let entry = &self.entries[at];
        &self.bytes[entry.value as usize..entry.end as usize]
    }

    /// How many items an entry has.
    pub(super) fn count(&self, at: usize) -> u64 {
        if self.is_leaf {
            1
        } else {
            self.entries[at].count
        }
    }

    /// How many entries have a key before this.
    pub(super) fn before(&self, key: &[u8]) -> usize {
        let all = 0..self.len();
        let (mut low, mut high) = (all.start, all.end);
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.key(middle) < key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// How many entries have a key up to this, included.
    pub(super) fn up_to(&self, key: &[u8]) -> usize {
        let before = self.before(key);
        before + usize::from(before < self.len() && self.key(before) == key)
    }

    fn bytes_of(&self, range: Range<usize>) -> &[u8] {
        match (self.entries.get(range.start), range.is_empty()) {
            (Some(first), false) => {
                let end = self.entries[range.end - 1].end;
                &self.bytes[first.start as usize..end as usize]
            }
            _ => &[],
        }
    }
}

fn entry(bytes: &[u8], start: usize, is_leaf: bool) -> Option<Place> {
    let (key_len, key) = number(bytes, start)?;
    let key_end = key.checked_add(usize::try_from(key_len).ok()?)?;
    let (number, value) = number(bytes, key_end)?;
    let end = if is_leaf {
        value.checked_add(usize::try_from(number).ok()?)?
    } else {
        value
    };
    let small = |place: usize| u32::try_from(place).ok();
    // No order has more items than this, so sums do not overflow.
    let fits = end <= bytes.len() && (is_leaf || number < 1 << 40);
    fits.then_some(Place {
        start: small(start)?,
        key: small(key)?,
        key_end: small(key_end)?,
        value: small(value)?,
        end: small(end)?,
        count: number,
    })
}

/// A varint at a place, and the place behind it. Nearly all are a byte.
fn number(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let first = *bytes.get(at)?;
    if first < 0x80 {
        return Some((first.into(), at + 1));
    }
    let mut rest = &bytes[at..];
    let number = varint::take(&mut rest)?;
    Some((number, bytes.len() - rest.len()))
}

/// A node under construction.
#[derive(Debug, Default)]
pub(super) struct NewRun {
    bytes: Vec<u8>,
    items: u64,
}

impl NewRun {
    /// Room for the bytes of this node and another entry.
    pub(super) fn like(run: &Run) -> Self {
        Self {
            bytes: Vec::with_capacity(run.bytes.len() + 64),
            items: 0,
        }
    }

    /// Appends entries of another node.
    pub(super) fn extend(&mut self, run: &Run, range: Range<usize>) {
        self.items += run.items_of(range.clone());
        self.bytes.extend_from_slice(run.bytes_of(range));
    }

    /// Appends an entry.
    pub(super) fn push(&mut self, key: &[u8], entry: &Entry) {
        varint::put_bytes(&mut self.bytes, key);
        match entry {
            Entry::Item(value) => {
                self.items += 1;
                varint::put_bytes(&mut self.bytes, value);
            }
            Entry::Node(count) => {
                self.items += count;
                varint::put(&mut self.bytes, *count);
            }
        }
    }

    /// How many items it has.
    pub(super) fn items(&self) -> u64 {
        self.items
    }

    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from(self.bytes)
    }
}
