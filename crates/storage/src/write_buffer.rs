//! The newest writes of a store, in memory, until they are all written to RocksDB.
//!
//! RocksDB finds the place of each key in a skip list, with several cache misses per write; a hash
//! table has a single miss. And at a spill a key that was written often is passed on only once, and
//! the keys are passed in order, which RocksDB takes several times faster (`docs/benchmarks.md`).
//!
//! There are two layers over the store. Writes go to the *active* layer. A [`Spill`] turns it into
//! the *frozen* layer, starts an empty active layer, and writes the frozen layer to the store.
//! Rules:
//!
//! - A layer's writes are newer than the writes of the layer, or the store, below.
//! - The frozen layer is dropped only when the store has all of it. So a reader that looks from top
//!   to bottom finds the value as it was at some moment during its lookup.
//! - A batch is put into the active layer atomically: no reader sees a part of it.
//! - There is at most one spill at a time, and only its owner writes to the store. From the moment
//!   the frozen layer is written completely until the spill ends, the store holds exactly the state
//!   at the freeze.
//! - After a failed spill there is no other spill: the store holds a part of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};

use bytes::Bytes;

use crate::StorageError;

/// Bytes of a write besides its key and value: two allocations, its place in the table.
const ENTRY_BYTES: usize = 128;
/// Keys for which a new layer reserves space at most, so that an idle store stays small.
const ROOM_MAX: usize = 8 << 10;

/// See the module's head.
#[derive(Default)]
pub(crate) struct WriteBuffer {
    layers: RwLock<Layers>,
    /// Twice the number of changes; odd while a direct write to the store below is in progress.
    version: AtomicU64,
    slot: Mutex<Slot>,
    freed: Condvar,
}

#[derive(Default)]
struct Layers {
    active: Layer,
    frozen: Option<Arc<Layer>>,
    /// Number of layers frozen so far.
    spills: u64,
}

/// The last write of each key.
#[derive(Default)]
pub(crate) struct Layer {
    writes: HashMap<Vec<u8>, Write>,
    bytes: usize,
    /// The first bytes of its keys.
    spaces: Spaces,
}

struct Write {
    /// `None` deletes the key.
    value: Option<Bytes>,
    /// Whether a reader has found this write here.
    is_read: AtomicBool,
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

/// A set of first bytes of keys.
#[derive(Default)]
struct Spaces([u64; 4]);

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Slot {
    #[default]
    Free,
    Taken,
    Failed,
}

/// The version of a buffer at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version(u64);

impl WriteBuffer {
    /// The newest write of a key, if the buffer holds it.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<Bytes>> {
        let layers = self.layers();
        let write = layers.find(key)?;
        // Usually it is set already: avoid a write to a cache line shared with other readers.
        if !write.is_read.load(Ordering::Relaxed) {
            write.is_read.store(true, Ordering::Relaxed);
        }
        Some(write.value.clone())
    }

    /// Like [`WriteBuffer::get`], but not counted as a read.
    pub(crate) fn peek(&self, key: &[u8]) -> Option<Option<Bytes>> {
        Some(self.layers().find(key)?.value.clone())
    }

    /// Adds the writes of a batch, in order.
    pub(crate) fn put(&self, writes: Vec<(Vec<u8>, Option<Vec<u8>>)>) {
        let mut layers = self.layers_mut();
        for (key, value) in writes {
            layers.active.put(key, value.map(Bytes::from));
        }
        self.version.fetch_add(2, Ordering::SeqCst);
    }

    /// Approximate bytes of the active layer.
    pub(crate) fn bytes(&self) -> usize {
        self.layers().active.bytes
    }

    /// The current version; `None` during a direct write to the store below.
    pub(crate) fn version(&self) -> Option<Version> {
        let version = self.version.load(Ordering::SeqCst);
        version.is_multiple_of(2).then_some(Version(version))
    }

    /// Runs `look` on the store below if no layer holds a write in `start..end`. `None` if a layer
    /// does, or if a spill began meanwhile. Checked by first byte only, so a write outside the
    /// interval may cause a needless `None`.
    pub(crate) fn look_below<T>(
        &self,
        start: &[u8],
        end: &[u8],
        look: impl FnOnce() -> T,
    ) -> Option<T> {
        let spills = self.all_below(start, end)?;
        let seen = look();
        // Writes that arrived meanwhile are not in the store, unless they were frozen.
        (self.layers().spills == spills).then_some(seen)
    }

    /// The number of spills so far, if no layer has a write of the interval.
    fn all_below(&self, start: &[u8], end: &[u8]) -> Option<u64> {
        let layers = self.layers();
        let (first, last) = (start.first().copied(), end.first().copied());
        let (first, last) = (first.unwrap_or(0), last.unwrap_or(u8::MAX));
        let has = |layer: &Layer| (first..=last).any(|space| layer.spaces.has(space));
        let is_above = has(&layers.active) || layers.frozen.as_deref().is_some_and(has);
        (!is_above).then_some(layers.spills)
    }

    /// An error if writes put here can no longer reach the store.
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        match *self.slot() {
            Slot::Failed => Err(failed()),
            Slot::Free | Slot::Taken => Ok(()),
        }
    }

    /// Whether nobody spills now.
    pub(crate) fn is_free(&self) -> bool {
        *self.slot() == Slot::Free
    }

    /// Marks the store as failed: it takes no more writes.
    pub(crate) fn fail(&self) {
        *self.slot() = Slot::Failed;
        self.freed.notify_all();
    }

    /// Freezes the active layer, as soon as no other spill is in progress.
    pub(crate) fn spill(self: &Arc<Self>) -> Result<Spill, StorageError> {
        let mut slot = self.slot();
        while *slot == Slot::Taken {
            slot = self
                .freed
                .wait(slot)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if *slot == Slot::Failed {
            return Err(failed());
        }
        *slot = Slot::Taken;
        drop(slot);
        let mut layers = self.layers_mut();
        let room = layers.active.writes.len();
        let active = Layer {
            writes: HashMap::with_capacity(room.min(ROOM_MAX)),
            ..Layer::default()
        };
        let frozen = Arc::new(std::mem::replace(&mut layers.active, active));
        layers.frozen = Some(Arc::clone(&frozen));
        layers.spills += 1;
        Ok(Spill {
            buffer: Arc::clone(self),
            frozen,
            is_over: false,
        })
    }

    fn layers(&self) -> RwLockReadGuard<'_, Layers> {
        self.layers.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn layers_mut(&self) -> RwLockWriteGuard<'_, Layers> {
        self.layers.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed() -> StorageError {
    StorageError::new("write", "an earlier write failed")
}

impl Layers {
    fn find(&self, key: &[u8]) -> Option<&Write> {
        let active = self.active.writes.get(key);
        active.or_else(|| self.frozen.as_ref()?.writes.get(key))
    }
}

impl Layer {
    fn put(&mut self, key: Vec<u8>, value: Option<Bytes>) {
        let length = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len);
        let key_bytes = key.len() + ENTRY_BYTES;
        self.bytes += length(&value);
        self.spaces.add(key.first().copied().unwrap_or(0));
        let write = Write {
            value,
            is_read: AtomicBool::new(false),
        };
        match self.writes.insert(key, write) {
            Some(before) => self.bytes -= length(&before.value),
            None => self.bytes += key_bytes,
        }
    }

    /// Its writes in key order.
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

impl Spaces {
    fn add(&mut self, space: u8) {
        self.0[usize::from(space) / 64] |= 1 << (space % 64);
    }

    fn has(&self, space: u8) -> bool {
        self.0[usize::from(space) / 64] & 1 << (space % 64) != 0
    }
}

/// The exclusive right to write to the store below. Dropped before [`Spill::done`], it counts as
/// failed.
#[must_use]
pub(crate) struct Spill {
    buffer: Arc<WriteBuffer>,
    frozen: Arc<Layer>,
    is_over: bool,
}

impl Spill {
    /// The layer to write to the store.
    pub(crate) fn frozen(&self) -> &Layer {
        &self.frozen
    }

    /// The store has the whole frozen layer: reads find it there from now on.
    pub(crate) fn release_frozen(&self) {
        self.buffer.layers_mut().frozen = None;
    }

    /// Runs a direct write to the store. The version is odd meanwhile, so `read_unchanged` reports
    /// a change.
    pub(crate) fn change_below<T>(&self, change: impl FnOnce() -> T) -> T {
        self.buffer.version.fetch_add(1, Ordering::SeqCst);
        let changed = change();
        self.buffer.version.fetch_add(1, Ordering::SeqCst);
        changed
    }

    /// Ends the spill; the next spill may begin.
    pub(crate) fn done(mut self) {
        self.release_frozen();
        self.is_over = true;
        let mut slot = self.buffer.slot();
        // Unless the store has failed meanwhile.
        if *slot == Slot::Taken {
            *slot = Slot::Free;
        }
        drop(slot);
        self.buffer.freed.notify_all();
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        if !self.is_over {
            self.buffer.fail();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn put(buffer: &WriteBuffer, key: &[u8], value: Option<&[u8]>) {
        buffer.put(vec![(key.to_vec(), value.map(<[u8]>::to_vec))]);
    }

    fn sorted(spill: &Spill) -> String {
        let mut out = String::new();
        for write in spill.frozen().sorted() {
            out += &String::from_utf8_lossy(write.key);
            match write.value {
                Some(value) => out += &format!("={}", String::from_utf8_lossy(value)),
                None => out += "-",
            }
            out += if write.is_read { "(read) " } else { " " };
        }
        out
    }

    #[test]
    fn the_newest_write_of_a_key_counts_until_it_is_below() {
        let buffer = Arc::new(WriteBuffer::default());
        assert_eq!(buffer.get(b"k"), None);
        put(&buffer, b"k", Some(b"1"));
        put(&buffer, b"gone", Some(b"1"));
        assert_eq!(buffer.get(b"k"), buffer.peek(b"k"));
        assert_eq!(buffer.peek(b"gone").unwrap().unwrap(), "1");
        let spill = buffer.spill().unwrap();
        put(&buffer, b"gone", None);
        assert_eq!(buffer.peek(b"k").unwrap().unwrap(), "1");
        assert_eq!(buffer.peek(b"gone"), Some(None));
        put(&buffer, b"k", Some(b"2"));
        assert_eq!(sorted(&spill), "gone=1 k=1(read) ");
        spill.done();
        assert_eq!(buffer.get(b"k").unwrap().unwrap(), "2");
        let spill = buffer.spill().unwrap();
        assert_eq!(sorted(&spill), "gone- k=2(read) ");
        spill.done();
        assert_eq!(buffer.get(b"k"), None);
    }

    #[test]
    fn bytes_are_those_of_the_last_write_of_each_key() {
        let buffer = Arc::new(WriteBuffer::default());
        for _ in 0..3 {
            put(&buffer, b"key", Some(b"value"));
            assert_eq!(buffer.bytes(), ENTRY_BYTES + 8);
        }
        put(&buffer, b"key", None);
        assert_eq!(buffer.bytes(), ENTRY_BYTES + 3);
        buffer.spill().unwrap().done();
        assert_eq!(buffer.bytes(), 0);
    }

    #[test]
    fn the_store_is_looked_at_when_nothing_of_the_interval_is_above() {
        let buffer = Arc::new(WriteBuffer::default());
        let is_below = |start: &[u8], end: &[u8]| buffer.look_below(start, end, || ()).is_some();
        assert!(is_below(b"", b""));
        put(&buffer, b"m1", None);
        assert!(!is_below(b"", b"") && !is_below(b"a", b"m") && !is_below(b"m2", b"z"));
        assert!(is_below(b"a", b"l") && is_below(b"n", b"z"));
        let spill = buffer.spill().unwrap();
        assert!(!is_below(b"m", b"n"));
        spill.done();
        assert!(is_below(b"m", b"n"));
        let overtaken = buffer.look_below(b"m", b"n", || {
            put(&buffer, b"m1", None);
            buffer.spill().map(Spill::done)
        });
        assert!(overtaken.is_none());
    }

    #[test]
    fn after_a_spill_that_failed_what_is_here_is_still_read_and_nothing_is_taken() {
        let buffer = Arc::new(WriteBuffer::default());
        put(&buffer, b"k", Some(b"1"));
        drop(buffer.spill().unwrap());
        assert_eq!(buffer.get(b"k").unwrap().unwrap(), "1");
        assert!(buffer.check().is_err() && buffer.spill().is_err());
    }

    #[test]
    fn a_change_below_is_no_version() {
        let buffer = Arc::new(WriteBuffer::default());
        let before = buffer.version();
        put(&buffer, b"k", None);
        assert_ne!(buffer.version(), before);
        let spill = buffer.spill().unwrap();
        let before = buffer.version().unwrap();
        spill.change_below(|| assert_eq!(buffer.version(), None));
        assert_ne!(buffer.version().unwrap(), before);
        spill.done();
    }
}
