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

use bytes::{BufMut, Bytes};
use coterie_types::varint;

use super::corrupt;
use crate::Fault;

/// The entries of a node. Each part of it is looked at in place.
#[derive(Debug, Clone)]
pub(super) struct Run {
    bytes: Bytes,
    is_leaf: bool,
    entries: Vec<Entry>,
}

/// Where an entry is.
#[derive(Debug, Clone, Copy)]
struct Entry {
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

    /// How many entries have a key before this one.
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

    /// How many entries have a key before this one, or this.
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

fn entry(bytes: &Bytes, start: usize, is_leaf: bool) -> Option<Entry> {
    let mut rest = &bytes[start..];
    let place = |rest: &[u8]| bytes.len() - rest.len();
    let key_len = usize::try_from(varint::take(&mut rest)?).ok()?;
    let key = place(rest);
    rest = rest.get(key_len..)?;
    let key_end = place(rest);
    let number = varint::take(&mut rest)?;
    let value = place(rest);
    if is_leaf {
        rest = rest.get(usize::try_from(number).ok()?..)?;
    }
    let small = |place: usize| u32::try_from(place).ok();
    Some(Entry {
        start: small(start)?,
        key: small(key)?,
        key_end: small(key_end)?,
        value: small(value)?,
        end: small(place(rest))?,
        // No order has more items than this, so sums do not overflow.
        count: (is_leaf || number < 1 << 40).then_some(number)?,
    })
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

    /// Appends an item.
    pub(super) fn push_item(&mut self, item: &[u8], value: &[u8]) {
        self.items += 1;
        varint::put_bytes(&mut self.bytes, item);
        varint::put_bytes(&mut self.bytes, value);
    }

    /// Appends a node of so many items.
    pub(super) fn push_node(&mut self, first: &[u8], count: u64) {
        self.items += count;
        varint::put(&mut self.bytes, first.len() as u64);
        self.bytes.put_slice(first);
        varint::put(&mut self.bytes, count);
    }

    /// How many items it has.
    pub(super) fn items(&self) -> u64 {
        self.items
    }

    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from(self.bytes)
    }
}
