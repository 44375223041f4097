//! The writes of a layer: the last write of each key, and earlier writes that open views still see.
//!
//! The layer also lists its keys in the order in which they came. So a reader that orders the layer
//! by key ([`super::ordered`]) takes the new keys from the end, and a write to a key that is there
//! pays nothing for the order. The writes themselves are not in that list: a write would first have
//! to find its place there, a cache miss more for each.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

/// Bytes of a write besides its key and value: two allocations, its place in the table.
pub(super) const ENTRY_BYTES: usize = 128;
/// Bytes of an earlier write besides its value.
const EARLIER_BYTES: usize = 96;
/// Keys for which a new layer reserves space at most, so that an idle store stays small.
const ROOM_MAX: usize = 8 << 10;

/// The views of a buffer, numbered as they are opened, from 1.
#[derive(Default)]
pub(super) struct Views {
    opened: u64,
    open: BTreeSet<u64>,
}

impl Views {
    /// The number of a new view.
    pub(super) fn open(&mut self) -> u64 {
        self.opened += 1;
        self.open.insert(self.opened);
        self.opened
    }

    pub(super) fn close(&mut self, number: u64) {
        self.open.remove(&number);
    }

    /// Whether a view is open whose number is above `after`, and at most `until`.
    fn any(&self, after: u64, until: u64) -> bool {
        after < until && self.open.range(after + 1..=until).next().is_some()
    }
}

/// See the module's head.
#[derive(Default)]
pub(crate) struct Layer {
    writes: HashMap<Arc<[u8]>, Write>,
    /// The keys, in the order in which they came.
    keys: Vec<Arc<[u8]>>,
    /// Earlier writes of a key, oldest first.
    earlier: HashMap<Arc<[u8]>, Vec<Earlier>>,
    bytes: usize,
    spaces: Spaces,
}

/// The last write of a key.
pub(super) struct Write {
    /// `None` deletes the key.
    value: Option<Bytes>,
    /// Number of views opened before the write: these do not see it.
    views: u64,
    /// Whether a reader has found this write here.
    is_read: AtomicBool,
}

/// A write that a later write replaced.
struct Earlier {
    value: Option<Bytes>,
    views: u64,
}

/// A write in a spill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spilled<'a> {
    pub(crate) key: &'a [u8],
    /// `None` deletes the key.
    pub(crate) value: Option<&'a Bytes>,
    /// Whether a reader has found it since it was written.
    pub(crate) is_read: bool,
}

impl Write {
    pub(super) fn value(&self) -> &Option<Bytes> {
        &self.value
    }

    pub(super) fn note_read(&self) {
        // Usually it is set already: avoid a write to a cache line shared with other readers.
        if !self.is_read.load(Ordering::Relaxed) {
            self.is_read.store(true, Ordering::Relaxed);
        }
    }
}

impl Layer {
    /// An empty layer that follows this layer.
    pub(super) fn successor(&self) -> Self {
        let room = self.writes.len().min(ROOM_MAX);
        Self {
            writes: HashMap::with_capacity(room),
            keys: Vec::with_capacity(room),
            ..Self::default()
        }
    }

    pub(super) fn put(&mut self, key: &[u8], value: Option<Bytes>, views: &Views) {
        self.bytes += length(&value);
        let write = Write {
            value,
            views: views.opened,
            is_read: AtomicBool::new(false),
        };
        let Some(last) = self.writes.get_mut(key) else {
            self.add(key, write);
            return;
        };
        let before = std::mem::replace(last, write);
        self.bytes -= length(&before.value);
        if views.any(before.views, views.opened) {
            self.keep(key, before, views);
        }
    }

    /// Adds the first write of a key.
    fn add(&mut self, key: &[u8], write: Write) {
        self.bytes += key.len() + ENTRY_BYTES;
        self.spaces.add(key.first().copied().unwrap_or(0));
        let key = Arc::<[u8]>::from(key);
        self.keys.push(Arc::clone(&key));
        self.writes.insert(key, write);
    }

    /// Keeps a write for the views that see it, and drops the key's writes that no view sees now.
    fn keep(&mut self, key: &[u8], before: Write, views: &Views) {
        let earlier = self.earlier.entry(Arc::from(key)).or_default();
        self.bytes += length(&before.value) + EARLIER_BYTES;
        earlier.push(Earlier {
            value: before.value,
            views: before.views,
        });
        let mut until = views.opened;
        let mut forgotten = 0;
        for at in (0..earlier.len()).rev() {
            let since = earlier[at].views;
            if !views.any(since, until) {
                forgotten += length(&earlier.remove(at).value) + EARLIER_BYTES;
            }
            until = since;
        }
        self.bytes -= forgotten;
    }

    /// The last write of a key.
    pub(super) fn find(&self, key: &[u8]) -> Option<&Write> {
        self.writes.get(key)
    }

    /// The write of a key that a view sees.
    pub(super) fn find_as_of(&self, key: &[u8], view: u64) -> Option<&Option<Bytes>> {
        let write = self.writes.get(key)?;
        if write.views < view {
            return Some(&write.value);
        }
        let mut earlier = self.earlier.get(key)?.iter().rev();
        Some(&earlier.find(|earlier| earlier.views < view)?.value)
    }

    /// Its keys from this number on, in the order in which they came.
    pub(super) fn keys(&self, numbers: std::ops::Range<usize>) -> &[Arc<[u8]>] {
        self.keys.get(numbers).unwrap_or_default()
    }

    /// Its number of keys.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it has a key whose first byte is in `first..=last`.
    pub(super) fn has_any(&self, first: u8, last: u8) -> bool {
        self.spaces.has_any(first, last)
    }

    /// Its last writes in key order.
    pub(crate) fn sorted(&self) -> Vec<Spilled<'_>> {
        let each = self.writes.iter().map(|(key, write)| Spilled {
            key,
            value: write.value.as_ref(),
            is_read: write.is_read.load(Ordering::Relaxed),
        });
        let mut writes: Vec<_> = each.collect();
        writes.sort_unstable_by_key(|write| write.key);
        writes
    }

    /// Approximate bytes of its keys and values, overhead included.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn length(value: &Option<Bytes>) -> usize {
    value.as_ref().map_or(0, Bytes::len)
}

/// A set of first bytes of keys.
#[derive(Default)]
struct Spaces([u64; 4]);

impl Spaces {
    fn add(&mut self, space: u8) {
        self.0[usize::from(space) / 64] |= 1 << (space % 64);
    }

    fn has_any(&self, first: u8, last: u8) -> bool {
        let above = |word: usize| match word.cmp(&(usize::from(first) / 64)) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => u64::MAX << (first % 64),
            std::cmp::Ordering::Greater => u64::MAX,
        };
        let below = |word: usize| match word.cmp(&(usize::from(last) / 64)) {
            std::cmp::Ordering::Less => u64::MAX,
            std::cmp::Ordering::Equal => u64::MAX >> (63 - last % 64),
            std::cmp::Ordering::Greater => 0,
        };
        (0..4).any(|word| self.0[word] & above(word) & below(word) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_kept_while_a_view_sees_it() {
        let (mut layer, mut views) = (Layer::default(), Views::default());
        let mut put = |value: &'static str, views: &Views| {
            layer.put(b"k", Some(Bytes::from(value)), views);
            layer.earlier.values().map(Vec::len).sum::<usize>()
        };
        assert_eq!(put("1", &views), 0);
        assert_eq!(put("2", &views), 0);
        let (first, second) = (views.open(), views.open());
        assert_eq!(put("3", &views), 1);
        // No view was opened since.
        assert_eq!(put("4", &views), 1);
        let third = views.open();
        assert_eq!(put("5", &views), 2);
        views.close(first);
        views.close(third);
        let fourth = views.open();
        // No open view sees "4" now; `second` still sees "2".
        assert_eq!(put("6", &views), 2);
        let seen = |view| layer.find_as_of(b"k", view).cloned().flatten();
        assert_eq!(seen(second).as_deref(), Some(&b"2"[..]));
        assert_eq!(seen(fourth).as_deref(), Some(&b"5"[..]));
        assert_eq!(seen(fourth + 1).as_deref(), Some(&b"6"[..]));
        assert_eq!(layer.bytes, ENTRY_BYTES + 2 + 2 * (EARLIER_BYTES + 1));
        let later = Views::default();
        layer.put(b"new", None, &later);
        assert_eq!(layer.find_as_of(b"new", 0), None);
    }

    #[test]
    fn spaces_are_found_by_intervals_of_first_bytes() {
        for space in [0, 1, 63, 64, 100, 191, 192, 255] {
            let mut spaces = Spaces::default();
            assert!(!spaces.has_any(0, u8::MAX));
            spaces.add(space);
            for first in [0, 1, 62, 63, 64, 99, 100, 101, 192, 255] {
                for last in [0, 1, 63, 64, 100, 190, 191, 193, 255] {
                    let within = (first..=last).contains(&space);
                    assert_eq!(
                        spaces.has_any(first, last),
                        within,
                        "{space} {first} {last}"
                    );
                }
            }
        }
    }
}
