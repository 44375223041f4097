//! The newest writes of a store, in memory, until RocksDB is given them all at once.
//!
//! RocksDB finds the place of each key in a skip list, several cache misses for each write. A hash
//! table needs a single miss. Before a flush RocksDB gets each key once, however often it was written,
//! and the keys in order, which it takes several times faster (`docs/benchmarks.md`).
//!
//! Two layers lie over the store. Writes go to the *active* layer. A [`Spill`] makes it the *frozen*
//! layer, with a new active layer above, and writes the frozen layer to the store. Rules:
//!
//! - A layer's writes are newer than those of the layer, or the store, below.
//! - The frozen layer goes only when the store has all of it. So a reader that looks from the top down
//!   finds the value as of some moment while it looked.
//! - A batch is put into the active layer at once: nobody sees a part of it.
//! - There is a single spill at a time, and only its owner writes to the store. Once all of the frozen
//!   layer is written, and until the spill ends, the store is as of the moment of freezing.
//! - A spill that failed is the last: the store has a part of its layer.
//! - A [`BufferView`] is both layers, and the store below, as of the same moment: a layer keeps the
//!   writes that an open view sees ([`layer`]). Ordered reads go through a view ([`ordered`]), merged
//!   with RocksDB ([`crate::merged`]).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};

use bytes::Bytes;

use crate::StorageError;
use layer::{Layer, Views, Write};
use ordered::{Ordered, spaces};

pub(crate) use layer::Spilled;
pub(crate) use ordered::LayerCursor;

mod layer;
mod ordered;

/// How often a view is tried while others may spill, before they have to wait for it.
const TRIES: usize = 3;

/// See the module's head.
#[derive(Default)]
pub(crate) struct WriteBuffer {
    layers: RwLock<Layers>,
    /// Twice the number of changes; odd while the store below is being changed.
    version: AtomicU64,
    slot: Mutex<Slot>,
    freed: Condvar,
}

#[derive(Default)]
struct Layers {
    active: Layer,
    /// The active layer in order.
    ordered: Arc<Ordered>,
    frozen: Option<Frozen>,
    /// How often a layer was frozen or released. While the number stays the same, the store below gets
    /// no writes but those of the frozen layer, or, without a frozen layer, of a batch with clearings.
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

/// How a buffer stood at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version(u64);

impl WriteBuffer {
    /// The newest write of a key, if it is here.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<Bytes>> {
        let layers = self.layers();
        let write = layers.find(key)?;
        write.note_read();
        Some(write.value().clone())
    }

    /// The same, without counting as a reader.
    pub(crate) fn peek(&self, key: &[u8]) -> Option<Option<Bytes>> {
        Some(self.layers().find(key)?.value().clone())
    }

    /// Takes the writes of a batch, in order.
    pub(crate) fn put(&self, writes: Vec<(Vec<u8>, Option<Vec<u8>>)>) {
        let mut layers = self.layers_mut();
        let Layers { active, views, .. } = &mut *layers;
        let views = views.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in writes {
            active.put(key, value.map(Bytes::from), views);
        }
        self.version.fetch_add(2, Ordering::SeqCst);
    }

    /// Bytes of the active layer, about.
    pub(crate) fn bytes(&self) -> usize {
        self.layers().active.bytes()
    }

    /// How it stands; `None` while the store below is being changed.
    pub(crate) fn version(&self) -> Option<Version> {
        let version = self.version.load(Ordering::SeqCst);
        version.is_multiple_of(2).then_some(Version(version))
    }

    /// The writes of `start..end` as of now, or of all keys if `end` is empty. With them the result of
    /// `look`, which looks at the store below, as of the same moment. It may run several times, and must
    /// not use the buffer.
    pub(crate) fn view<T>(
        self: &Arc<Self>,
        start: &[u8],
        end: &[u8],
        look: impl Fn() -> T,
    ) -> (BufferView, T) {
        for _ in 0..TRIES {
            let layers = self.layers();
            let (view, turns) = (self.open(&layers, start, end), layers.turns);
            drop(layers);
            let seen = look();
            // Else it may have been given writes that the view does not see.
            if self.layers().turns == turns {
                return (view, seen);
            }
        }
        let layers = self.layers();
        (self.open(&layers, start, end), look())
    }

    fn open(self: &Arc<Self>, layers: &Layers, start: &[u8], end: &[u8]) -> BufferView {
        let spaces = spaces(start, end);
        let has = |layer: &Layer| layer.has_any(*spaces.start(), *spaces.end());
        let mut seen = Vec::new();
        if has(&layers.active) {
            seen.push((Arc::clone(&layers.ordered), layers.active.len()));
        }
        if let Some(frozen) = layers.frozen.as_ref().filter(|frozen| has(&frozen.layer)) {
            seen.push((Arc::clone(&frozen.ordered), frozen.layer.len()));
        }
        let pin = (!seen.is_empty()).then(|| {
            let mut views = layers.views.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::new(Pin {
                buffer: Arc::clone(self),
                view: views.open(),
            })
        });
        BufferView { pin, layers: seen }
    }

    /// Whether writes can still get into the store.
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        match *self.slot() {
            Slot::Failed => Err(failed()),
            Slot::Free | Slot::Taken => Ok(()),
        }
    }

    /// The store takes nothing any more.
    pub(crate) fn fail(&self) {
        *self.slot() = Slot::Failed;
        self.freed.notify_all();
    }

    /// Freezes the active layer, as soon as no other spill is under way.
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
        Ok(Spill {
            buffer: Arc::clone(self),
            frozen: self.layers_mut().freeze(),
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
        let active = self.active.find(key);
        active.or_else(|| self.frozen.as_ref()?.layer.find(key))
    }

    fn freeze(&mut self) -> Arc<Layer> {
        let successor = self.active.successor();
        let layer = Arc::new(std::mem::replace(&mut self.active, successor));
        let ordered = std::mem::take(&mut self.ordered);
        // It is frozen once.
        let _ = ordered.frozen.set(Arc::clone(&layer));
        self.frozen = Some(Frozen {
            layer: Arc::clone(&layer),
            ordered,
        });
        self.turns += 1;
        layer
    }
}

/// Both layers as they were at one moment.
pub(crate) struct BufferView {
    /// `None` if no layer has anything that is looked for.
    pin: Option<Arc<Pin>>,
    /// From the top, with how many keys each had.
    layers: Vec<(Arc<Ordered>, usize)>,
}

/// An open view: writes that it sees are kept.
struct Pin {
    buffer: Arc<WriteBuffer>,
    view: u64,
}

impl BufferView {
    /// Whether no layer has anything that is looked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.pin.is_none()
    }

    /// The newest write of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<Bytes>> {
        let pin = self.pin.as_ref()?;
        let mut found = None;
        for (ordered, _) in &self.layers {
            pin.look(ordered, &mut |layer| {
                found = layer.find_as_of(key, pin.view).cloned();
            });
            if found.is_some() {
                break;
            }
        }
        found
    }

    /// A cursor over each layer that may have something of the interval, from the top.
    pub(crate) fn cursors(&self, start: &[u8], end: &[u8]) -> Vec<LayerCursor> {
        let spaces = spaces(start, end);
        let mut cursors = Vec::new();
        if let Some(pin) = &self.pin {
            for (ordered, len) in &self.layers {
                let mut has = false;
                pin.look(ordered, &mut |layer| {
                    has = layer.has_any(*spaces.start(), *spaces.end());
                });
                if has {
                    cursors.push(LayerCursor::new(pin, ordered, *len, (start, end)));
                }
            }
        }
        cursors
    }
}

impl Pin {
    fn look(&self, ordered: &Ordered, look: &mut dyn FnMut(&Layer)) {
        if let Some(layer) = ordered.frozen.get() {
            return look(layer);
        }
        let layers = self.buffer.layers();
        // It may have been frozen in between.
        look(ordered.frozen.get().map_or(&layers.active, Arc::as_ref));
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let layers = self.buffer.layers();
        let mut views = layers.views.lock().unwrap_or_else(PoisonError::into_inner);
        views.close(self.view);
    }
}

/// The only right to write to the store below. Dropped before it is done, it has failed.
#[must_use]
pub(crate) struct Spill {
    buffer: Arc<WriteBuffer>,
    frozen: Arc<Layer>,
    is_over: bool,
}

impl Spill {
    /// The layer to be written to the store.
    pub(crate) fn frozen(&self) -> &Layer {
        &self.frozen
    }

    /// The store has the frozen layer, which is read there from now on.
    pub(crate) fn release_frozen(&self) {
        let mut layers = self.buffer.layers_mut();
        layers.frozen = None;
        layers.turns += 1;
    }

    /// Runs a change of the store itself: a reader that compares versions sees no moment of it.
    pub(crate) fn change_below<T>(&self, change: impl FnOnce() -> T) -> T {
        self.buffer.version.fetch_add(1, Ordering::SeqCst);
        let changed = change();
        self.buffer.version.fetch_add(1, Ordering::SeqCst);
        changed
    }

    /// Lets others spill.
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
