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
//! - After a failed spill there is no other spill: the store holds a part of its layer.
//! - A [`BufferView`] is both layers, and the store below, at the same moment: a layer keeps the
//!   writes that an open view sees ([`layer`]). Ordered reads go through a view ([`ordered`]),
//!   merged with RocksDB ([`crate::merged`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::StorageError;
use layer::{Layer, Views, Write};
use ordered::Ordered;

pub(crate) use cursor::LayerCursor;
pub(crate) use layer::Spilled;
pub(crate) use view::BufferView;

mod cursor;
mod layer;
mod ordered;
mod pin;
mod view;

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
    /// The order of the active layer.
    ordered: Arc<Ordered>,
    frozen: Option<Frozen>,
    /// Number of times a layer was frozen or released. While it stays the same, the store below
    /// gets only the writes of the frozen layer, or, without a frozen layer, of a batch with
    /// clearings.
    turns: u64,
    /// Of the active layer.
    views: Mutex<Views>,
}

#[derive(Clone)]
struct Frozen {
    layer: Arc<Layer>,
    ordered: Arc<Ordered>,
}

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
        write.note_read();
        Some(write.value().clone())
    }

    /// Like [`WriteBuffer::get`], but not counted as a read.
    pub(crate) fn peek(&self, key: &[u8]) -> Option<Option<Bytes>> {
        Some(self.layers().find(key)?.value().clone())
    }

    /// Adds the writes of a batch, in order.
    pub(crate) fn put(&self, writes: Vec<(Vec<u8>, Option<Vec<u8>>)>) {
        let mut layers = self.layers_mut();
        let Layers { active, views, .. } = &mut *layers;
        let views = views.get_mut();
        for (key, value) in writes {
            active.put(&key, value.map(Bytes::from), views);
        }
        self.version.fetch_add(2, Ordering::SeqCst);
    }

    /// Approximate bytes of the active layer.
    pub(crate) fn bytes(&self) -> usize {
        self.layers().active.bytes()
    }

    /// The current version; `None` during a direct write to the store below.
    pub(crate) fn version(&self) -> Option<Version> {
        let version = self.version.load(Ordering::SeqCst);
        version.is_multiple_of(2).then_some(Version(version))
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
            self.freed.wait(&mut slot);
        }
        if *slot == Slot::Failed {
            return Err(failed());
        }
        *slot = Slot::Taken;
        drop(slot);
        Ok(Spill {
            buffer: Arc::clone(self),
            frozen: self.layers_mut().freeze(),
            is_over: false,
        })
    }

    fn layers(&self) -> RwLockReadGuard<'_, Layers> {
        self.layers.read()
    }

    fn layers_mut(&self) -> RwLockWriteGuard<'_, Layers> {
        self.layers.write()
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock()
    }
}

fn failed() -> StorageError {
    StorageError::new("write", "an earlier write failed")
}

impl Layers {
    fn find(&self, key: &[u8]) -> Option<&Write> {
        let active = self.active.find(key);
        active.or_else(|| self.frozen.as_ref()?.layer.find(key))
    }

    fn freeze(&mut self) -> Arc<Layer> {
        let successor = self.active.successor();
        let layer = Arc::new(std::mem::replace(&mut self.active, successor));
        let ordered = std::mem::take(&mut self.ordered);
        // A layer is frozen only once.
        let _ = ordered.frozen.set(Arc::clone(&layer));
        self.frozen = Some(Frozen {
            layer: Arc::clone(&layer),
            ordered,
        });
        self.turns += 1;
        layer
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
        let mut layers = self.buffer.layers_mut();
        layers.frozen = None;
        layers.turns += 1;
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
    use super::layer::ENTRY_BYTES;
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

    /// Keys and values of a view, first to last, then last to first.
    fn walked(view: &BufferView, start: &[u8], end: &[u8]) -> Vec<String> {
        let text = |(key, value): (&[u8], Option<&[u8]>)| {
            let value = value.map(String::from_utf8_lossy);
            format!("{}={value:?}", String::from_utf8_lossy(key))
        };
        let walk = |cursor: &mut LayerCursor| {
            let (mut there, mut back) = (Vec::new(), Vec::new());
            cursor.seek(start);
            while let Some(entry) = cursor.entry() {
                there.push(text(entry));
                cursor.next();
            }
            cursor.seek_before(end);
            while let Some(entry) = cursor.entry() {
                back.push(text(entry));
                cursor.prev();
            }
            back.reverse();
            assert_eq!(there, back);
            there.join(" ")
        };
        view.cursors(start, end).iter_mut().map(walk).collect()
    }

    #[test]
    fn a_view_has_each_layer_as_it_was() {
        let buffer = Arc::new(WriteBuffer::default());
        put(&buffer, b"m1", Some(b"1"));
        put(&buffer, b"m2", None);
        put(&buffer, b"x", Some(b"1"));
        let open = |start: &[u8], end: &[u8]| buffer.view(start, end, || ()).0;
        assert!(open(b"a", b"m").is_empty() && open(b"n", b"x").is_empty());
        assert!(!open(b"", b"").is_empty() && !open(b"m5", b"n").is_empty());
        let first = open(b"m", b"n");
        put(&buffer, b"m1", Some(b"2"));
        put(&buffer, b"m3", Some(b"2"));
        let spill = buffer.spill().unwrap();
        put(&buffer, b"m2", Some(b"3"));
        let second = open(b"m", b"n");
        put(&buffer, b"m2", None);
        spill.done();
        assert_eq!(walked(&first, b"m", b"n"), ["m1=Some(\"1\") m2=None"]);
        let newest = "m2=Some(\"3\")";
        let frozen = "m1=Some(\"2\") m2=None m3=Some(\"2\")";
        assert_eq!(walked(&second, b"m", b"n"), [newest, frozen]);
        assert_eq!(walked(&second, b"m2", b"m3"), [newest, "m2=None"]);
        assert_eq!(first.get(b"m1").unwrap().unwrap(), "1");
        assert_eq!(
            (second.get(b"m1").unwrap().unwrap(), first.get(b"m3")),
            ("2".into(), None)
        );
        assert_eq!(walked(&open(b"m", b"n"), b"m", b"n"), ["m2=None"]);
    }

    #[test]
    fn a_view_that_a_spill_overtakes_is_taken_again() {
        let buffer = Arc::new(WriteBuffer::default());
        put(&buffer, b"k", Some(b"1"));
        let looks = AtomicU64::new(0);
        let (view, seen) = buffer.view(b"", b"", || {
            let look = looks.fetch_add(1, Ordering::Relaxed);
            if look < 2 {
                buffer.spill().map(Spill::done).unwrap();
            }
            look
        });
        assert!(seen == 2 && view.is_empty());
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
