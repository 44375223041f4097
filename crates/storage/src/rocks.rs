//! The real engine: a RocksDB per replica, under a buffer of the newest writes.
//!
//! Writes go into the buffer ([`crate::write_buffer`]). The buffer is spilled to RocksDB before a
//! flush, a checkpoint and a clearing of an interval; reads and scans look into both
//! ([`crate::merged`]). Memtables are switched only by the replica's own flushes, each right after
//! a spill, so the durable state is always the state at a requested flush.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use bytes::Bytes;
use parking_lot::Mutex;
use rocksdb::DB;
use rocksdb::checkpoint::Checkpoint;

use crate::cursor::Empty;
use crate::write_buffer::Spill;
use crate::{Batch, Cursor, Engine, Interval, Reader, RecordCache, StorageError};
use clearing::Cleared;
use intervals::Clearing;
use store::Store;
use views::{Snapshot, Stopped, iterator, merged};

pub(crate) use failure::error;
pub use options::RocksShared;

mod clearing;
mod failure;
mod intervals;
mod options;
mod store;
mod views;

/// See the module's head.
pub struct RocksEngine {
    store: Arc<Store>,
    /// The last flush begun.
    flushing: Mutex<Option<JoinHandle<()>>>,
}

impl RocksEngine {
    /// Opens or creates the store in `path`.
    pub fn open(path: &Path, shared: &RocksShared) -> Result<Self, StorageError> {
        // A store that is closed half-way through a change must not make it durable. The binding
        // has no setter for this option.
        let options = shared
            .options()
            .get_options_from_string("avoid_flush_during_shutdown=true")
            .map_err(error("set up the store"))?;
        let db = DB::open(&options, path).map_err(error("open the store"))?;
        let store = Store {
            db,
            path: path.to_path_buf(),
            buffer: Arc::default(),
            writing: Mutex::default(),
            spilled: AtomicUsize::new(0),
            records: shared.records.as_ref().map(RecordCache::store),
            errors: AtomicU64::new(0),
            lacked_room: AtomicBool::new(false),
            clearing: Clearing::default(),
        };
        Ok(Self {
            store: Arc::new(store),
            flushing: Mutex::default(),
        })
    }

    /// The directory of the store.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.store.path
    }

    /// The value of a key, if it is available without RocksDB, which may read from the disk. Not
    /// counted as a read that keeps the value cached.
    #[must_use]
    pub fn get_in_memory(&self, key: &[u8]) -> Option<Option<Bytes>> {
        let store = &self.store;
        let kept = || store.records.as_ref()?.get(key);
        store.buffer.peek(key).or_else(kept)
    }

    /// Checks whether RocksDB has stopped because of a failed flush; the store then stays stopped.
    ///
    /// After a full disk RocksDB would resume by itself once there is room, and flush a memtable
    /// that the replica has not marked: the durable state would be a state that the replica did not
    /// choose.
    pub fn check(&self) -> Result<(), StorageError> {
        self.store.check()
    }

    /// Number of running compactions.
    #[must_use]
    pub fn compactions(&self) -> u64 {
        self.store.number("rocksdb.num-running-compactions")
    }

    /// Approximate bytes that compactions still have to rewrite until every level has its target
    /// size.
    #[must_use]
    pub fn compaction_debt_bytes(&self) -> u64 {
        self.store
            .number("rocksdb.estimate-pending-compaction-bytes")
    }

    /// Waits until the last flush begun has written its spill to RocksDB.
    pub fn wait_for_spill(&self) {
        let mut flushing = self.flushing.lock();
        self.join(flushing.take());
    }

    fn join(&self, thread: Option<JoinHandle<()>>) {
        if let Some(Err(_)) = thread.map(JoinHandle::join) {
            tracing::error!(path = %self.store.path.display(), "a flush panicked");
        }
    }
}

impl Drop for RocksEngine {
    /// Whoever opens the store again must not find a flush thread using it.
    fn drop(&mut self) {
        self.wait_for_spill();
        self.store.clearing.close();
    }
}

impl Reader for RocksEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let store = &self.store;
        if let Some(newest) = store.buffer.get(key) {
            return Ok(newest);
        }
        match &store.records {
            Some(records) => records.get_or_read(key, || store.read(key)),
            None => store.read(key),
        }
    }

    fn cursor<'a>(
        &'a self,
        start: &[u8],
        end: &[u8],
    ) -> Result<Box<dyn Cursor + 'a>, StorageError> {
        if start >= end {
            return Ok(Box::new(Empty));
        }
        let store = &self.store;
        // An iterator sees the state of RocksDB at its creation.
        let below = || iterator(&store.db, start, end);
        let (buffer, below) = store.view(start, end, below)?;
        Ok(merged(&buffer, below, start, end))
    }
}

impl Engine for RocksEngine {
    fn read_consistently(&self, read: &mut dyn FnMut(&dyn Reader)) {
        let store = &self.store;
        match store.view(&[], &[], || store.db.snapshot()) {
            Ok((buffer, below)) => read(&Snapshot { buffer, below }),
            Err(_) => read(&Stopped),
        }
    }

    fn read_unchanged(&self, read: &mut dyn FnMut(&dyn Reader)) -> bool {
        let buffer = &self.store.buffer;
        let Some(before) = buffer.version() else {
            return false;
        };
        read(self);
        buffer.version() == Some(before)
    }

    fn get_durable(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.store.durable(key)
    }

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        let store = &self.store;
        let _one = store.writing.lock();
        store.check_buffer()?;
        if batch.clears() {
            store.write_through(&batch)?
        } else {
            store.buffer.put(batch.writes)
        }
        Ok(())
    }

    /// Waits while the previous flush is being written to RocksDB, or RocksDB has no room for
    /// another.
    fn start_flush(&self) -> Result<(), StorageError> {
        let (sender, frozen) = sync_channel::<(Spill, Cleared)>(1);
        let store = Arc::clone(&self.store);
        let flush = move || {
            let received = frozen.recv();
            // An error from `recv` if the freeze failed.
            let flushed = received.map(|(spill, cleared)| store.flush_to_clear(spill, cleared));
            if let Ok(Err(error)) = flushed {
                tracing::error!(path = %store.path.display(), %error, "store not flushed");
            }
        };
        let thread = std::thread::Builder::new().name("store-flush".to_owned());
        let thread = thread.spawn(flush);
        let spill = self.store.spill_to_flush();
        let (spill, thread) = match (spill, thread) {
            (Ok(spill), Ok(thread)) => (spill, thread),
            (Ok(spill), Err(_)) => {
                let cleared = self.store.begin_clearing();
                return self.store.flush_to_clear(spill, cleared);
            }
            (Err(error), thread) => {
                drop(sender);
                self.join(thread.ok());
                return Err(error);
            }
        };
        let cleared = self.store.begin_clearing();
        // Cannot fail: the thread waits for this message.
        let _ = sender.send((spill, cleared));
        let mut flushing = self.flushing.lock();
        // The previous flush thread has finished writing: `spill_to_flush` waited for its spill.
        self.join(flushing.replace(thread));
        Ok(())
    }

    fn flush(&self) -> Result<(), StorageError> {
        let spill = self.store.spill_to_flush()?;
        let cleared = self.store.begin_clearing();
        self.store.flush_frozen(spill, cleared.intervals(), true)
    }

    fn unflushed_bytes(&self) -> usize {
        self.store.spilled.load(Ordering::Relaxed) + self.store.buffer.bytes()
    }

    fn checkpoint(&self, dir: &Path) -> Result<(), StorageError> {
        let store = &self.store;
        // A checkpoint flushes the memtable.
        store.wait_for_room()?;
        let made = store.settled(|| {
            let checkpoint = Checkpoint::new(&store.db).map_err(error("begin checkpoint"))?;
            checkpoint
                .create_checkpoint(dir)
                .map_err(error("make checkpoint"))
        });
        made?
    }

    fn size_bytes(&self) -> u64 {
        self.store.number("rocksdb.total-sst-files-size")
    }

    fn approximate_sizes(&self, intervals: &[(Vec<u8>, Vec<u8>)]) -> Vec<u64> {
        let ranges: Vec<_> = intervals
            .iter()
            .map(|(start, end)| rocksdb::Range::new(start, end))
            .collect();
        self.store.db.get_approximate_sizes(&ranges)
    }

    fn may_flush_now(&self) -> bool {
        self.store.buffer.is_free() && self.store.has_room()
    }

    fn clear_with_flush(&self, intervals: Vec<Interval>) {
        self.store.clearing.announce(intervals);
    }

    fn is_to_clear(&self) -> bool {
        self.store.clearing.is_to_begin()
    }

    fn is_clearing(&self) -> bool {
        self.store.clearing.is_under_way()
    }

    fn is_clearing_in(&self, interval: &Interval) -> bool {
        self.store.clearing.touches(interval)
    }

    fn wait_until_cleared(&self, interval: &Interval) {
        self.store.clearing.wait_for(interval);
    }
}

#[cfg(test)]
mod tests {
    use super::store::SPILLED_KEYS;
    use super::*;

    fn open(dir: &Path) -> RocksEngine {
        RocksEngine::open(dir, &RocksShared::new(1 << 20, 1 << 30).unwrap()).unwrap()
    }

    fn put(engine: &RocksEngine, key: &[u8], value: &[u8]) {
        let mut batch = Batch::default();
        batch.put(key.to_vec(), value.to_vec());
        engine.write(batch).unwrap();
    }

    #[test]
    fn what_is_written_is_visible_at_once_and_durable_after_a_flush() {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path());
        put(&engine, b"k", b"1");
        assert_eq!(engine.get(b"k").unwrap().unwrap(), "1");
        assert_eq!(engine.get_durable(b"k").unwrap(), None);
        engine.flush().unwrap();
        put(&engine, b"k", b"2");
        assert_eq!(engine.get_durable(b"k").unwrap().unwrap(), "1");
        assert_eq!(engine.get(b"k").unwrap().unwrap(), "2");
    }

    type Model = std::collections::BTreeMap<Vec<u8>, Vec<u8>>;

    /// Any sequence works; this sequence is the same in each run.
    fn sequence() -> impl FnMut(u64) -> u64 {
        let mut state = 1u64;
        move |bound| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % bound
        }
    }

    fn any_batch(step: u32, next: &mut impl FnMut(u64) -> u64, model: &mut Model) -> Batch {
        let mut batch = Batch::default();
        if next(50) == 0 {
            let (start, end) = (vec![b'a' + next(20) as u8], vec![b'a' + next(20) as u8]);
            if start < end {
                model.retain(|key, _| *key < start || *key >= end);
                batch.clear(start, end);
            }
        }
        for _ in 0..next(3) {
            let key = vec![b'a' + next(20) as u8];
            if next(4) == 0 {
                model.remove(&key);
                batch.delete(key);
            } else {
                let value = step.to_be_bytes().to_vec();
                model.insert(key.clone(), value.clone());
                batch.put(key, value);
            }
        }
        batch
    }

    fn all(reader: &dyn Reader) -> Model {
        let mut seen = Model::new();
        let mut visit = |key: &[u8], value: &[u8]| seen.insert(key.into(), value.into()).is_none();
        reader.scan(b"a", b"z", &mut visit).unwrap();
        seen
    }

    fn all_back(reader: &dyn Reader) -> Model {
        let mut seen = Model::new();
        let mut cursor = reader.cursor(b"a", b"\x7f").unwrap();
        cursor.seek_before(b"\x7f").unwrap();
        while let Some((key, value)) = cursor.entry() {
            assert!(seen.insert(key.into(), value.into()).is_none());
            cursor.prev().unwrap();
        }
        seen
    }

    #[test]
    fn where_a_write_is_changes_nothing_that_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let shared = RocksShared::new(1 << 20, 0).unwrap();
        let engine =
            RocksEngine::open(dir.path(), &shared.with_records(RecordCache::new(1 << 16))).unwrap();
        let (mut model, mut next) = (Model::new(), sequence());
        for step in 0..20_000u32 {
            engine
                .write(any_batch(step, &mut next, &mut model))
                .unwrap();
            match next(500) {
                0 => engine.flush().unwrap(),
                1..10 => engine.start_flush().unwrap(),
                10..20 => assert_eq!(all(&engine), model, "step {step}"),
                20..25 => engine.read_consistently(&mut |view| assert_eq!(all(view), model)),
                _ => {}
            }
            let mut read = |reader: &dyn Reader| {
                for _ in 0..4 {
                    let key = vec![b'a' + next(20) as u8];
                    let (found, written) = (reader.get(&key).unwrap(), model.get(&key));
                    assert_eq!(found.as_deref(), written.map(Vec::as_slice), "step {step}");
                }
            };
            match step % 3 {
                0 => read(&engine),
                1 => assert!(engine.read_unchanged(&mut read)),
                _ => engine.read_consistently(&mut read),
            }
        }
        let records = engine.store.records.as_ref().unwrap();
        assert!(records.hits() > 1_000, "{}", records.hits());
    }

    /// Keys whose numbers every batch writes. RocksDB receives them in several pieces.
    const TOGETHER: [&[u8]; 3] = [b"a", b"b", b"~"];

    fn numbers(reader: &dyn Reader) -> [u64; 3] {
        TOGETHER.map(|key| {
            let value = reader.get(key).unwrap();
            value.map_or(0, |v| u64::from_be_bytes(v[..].try_into().unwrap()))
        })
    }

    /// Sometimes a batch of many keys, with a key that the next batch deletes.
    fn numbered_batch(n: u64) -> Batch {
        let mut batch = Batch::default();
        match (n % 2, n % 10) {
            (1, _) => batch.put(b"c".to_vec(), Vec::new()),
            (_, 0) => batch.clear(b"c".to_vec(), b"d".to_vec()),
            _ => batch.delete(b"c".to_vec()),
        }
        if n.is_multiple_of(20) {
            let many = (0..2 * SPILLED_KEYS as u32).map(|i| [b"x", &i.to_be_bytes()[..]].concat());
            many.for_each(|key| batch.put(key, vec![0; 10]));
        }
        for key in TOGETHER {
            batch.put(key.to_vec(), n.to_be_bytes().to_vec());
        }
        batch
    }

    /// Reads in every way until `is_over`; no value may be older than a value seen before.
    fn watch(engine: &RocksEngine, is_over: &std::sync::atomic::AtomicBool) {
        let mut newest = 0;
        let same = |seen: [u64; 3], newest: u64| {
            assert!(
                seen.iter().all(|n| *n == seen[0] && *n >= newest),
                "{seen:?}, {newest}"
            );
            seen[0]
        };
        while !is_over.load(Ordering::Relaxed) {
            let [first, second, third] = numbers(engine);
            assert!(newest <= first && first <= second && second <= third);
            newest = third;
            let mut seen = [newest; 3];
            if engine.read_unchanged(&mut |reader| seen = numbers(reader)) {
                newest = same(seen, newest);
            }
            engine.read_consistently(&mut |reader| seen = numbers(reader));
            newest = same(seen, newest);
            let scanned = if newest % 2 == 0 {
                all(engine)
            } else {
                all_back(engine)
            };
            let of = |key: &[u8]| {
                let value = scanned.get(key);
                value.map_or(0, |v| u64::from_be_bytes(v[..].try_into().unwrap()))
            };
            assert!(of(b"a") == of(b"b") && of(b"a") >= newest);
            newest = of(b"a");
            // The rest of the batch came with it, and the key it deletes is gone.
            assert_eq!(scanned.contains_key(&b"c"[..]), newest % 2 == 1);
        }
    }

    #[test]
    fn nobody_sees_a_part_of_a_batch_or_an_older_state_than_before() {
        const BATCHES: u64 = 5_000;
        let dir = tempfile::tempdir().unwrap();
        let shared = RocksShared::new(1 << 20, 0).unwrap();
        let shared = shared.with_records(RecordCache::new(1 << 16));
        let engine = RocksEngine::open(dir.path(), &shared).unwrap();
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let readers = [(); 2].map(|()| scope.spawn(|| watch(&engine, &is_over)));
            for n in 1..=BATCHES {
                engine.write(numbered_batch(n)).unwrap();
                if n % 100 == 0 {
                    engine.start_flush().unwrap();
                }
                if readers.iter().any(|reader| reader.is_finished()) {
                    break;
                }
            }
            is_over.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn what_is_being_flushed_is_not_unflushed() {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path());
        for n in 0..5_000u32 {
            put(&engine, &n.to_be_bytes(), &[0; 100]);
        }
        let written = engine.unflushed_bytes();
        assert!(written > 500_000, "{written}");
        // RocksDB has the writes, but in no file yet.
        engine.store.settled(|| {}).unwrap();
        assert_eq!(engine.unflushed_bytes(), written);
        put(&engine, b"k", b"v");
        engine.start_flush().unwrap();
        assert_eq!(engine.unflushed_bytes(), 0);
        engine.wait_for_spill();
        assert_eq!(engine.unflushed_bytes(), 0);
    }

    #[test]
    fn reads_in_order_write_nothing_down() {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path());
        put(&engine, b"k", b"v");
        let seen = Model::from([(b"k".to_vec(), b"v".to_vec())]);
        assert_eq!(all(&engine), seen);
        engine.read_consistently(&mut |view| assert_eq!(all(view), seen));
        assert_eq!(engine.store.read(b"k").unwrap(), None);
        engine.store.settled(|| {}).unwrap();
        assert_eq!(engine.store.read(b"k").unwrap().unwrap(), "v");
    }

    #[test]
    fn a_view_is_of_one_moment_whatever_comes_in_between() {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path());
        let flush = || {
            put(&engine, b"a", b"2");
            put(&engine, b"b", b"2");
            engine.flush().unwrap();
            put(&engine, b"a", b"3");
        };
        let clear = || {
            let mut batch = Batch::default();
            batch.clear(b"a".to_vec(), b"b".to_vec());
            batch.put(b"b".to_vec(), b"3".to_vec());
            engine.write(batch).unwrap();
        };
        type Between<'a> = (&'a dyn Fn(), &'a [[&'a str; 2]]);
        let between: [Between<'_>; 2] =
            [(&flush, &[["a", "3"], ["b", "2"]]), (&clear, &[["b", "3"]])];
        for (change, expected) in between {
            put(&engine, b"a", b"1");
            let is_first = AtomicBool::new(true);
            let seen = engine.store.view(&[], &[], || {
                if is_first.swap(false, Ordering::Relaxed) {
                    change();
                }
                engine.store.db.snapshot()
            });
            let (buffer, below) = seen.unwrap();
            let expected = expected
                .iter()
                .map(|[key, value]| (key.as_bytes().to_vec(), value.as_bytes().to_vec()));
            let expected = expected.collect::<Model>();
            assert_eq!(all(&Snapshot { buffer, below }), expected);
        }
    }

    #[test]
    fn a_store_that_is_closed_while_it_is_flushed_can_be_opened_at_once() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..50u32 {
            let engine = open(dir.path());
            put(&engine, b"k", &n.to_be_bytes());
            engine.start_flush().unwrap();
            engine.start_flush().unwrap();
        }
    }

    #[test]
    fn a_spill_that_failed_stops_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path());
        put(&engine, b"k", b"marked");
        engine.flush().unwrap();
        put(&engine, b"k", b"not marked");
        drop(engine.store.spill().unwrap());
        engine.check().unwrap_err();
        assert_eq!(engine.get(b"k").unwrap().unwrap(), "not marked");
        let mut failed = false;
        engine.read_consistently(&mut |view| failed = view.get(b"k").is_err());
        assert!(failed && engine.scan(b"a", b"z", &mut |_, _| true).is_err());
        drop(engine);
        assert_eq!(open(dir.path()).get(b"k").unwrap().unwrap(), "marked");
    }

    #[test]
    fn a_flush_that_was_begun_has_what_was_written_before_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path());
        for n in 0..20u32 {
            put(&engine, b"k", &n.to_be_bytes());
            engine.start_flush().unwrap();
            put(&engine, b"k", b"later");
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
            let flushed = |value: Option<Bytes>| value.as_deref() == Some(&n.to_be_bytes());
            while !flushed(engine.get_durable(b"k").unwrap()) {
                assert!(std::time::Instant::now() < deadline, "not flushed");
                std::thread::yield_now();
            }
            assert_eq!(engine.get(b"k").unwrap().unwrap(), "later");
        }
        drop(engine);
        let kept = open(dir.path()).get(b"k").unwrap().unwrap();
        assert_eq!(kept, &19u32.to_be_bytes()[..]);
    }

    #[test]
    fn a_store_whose_flush_failed_stays_stopped() {
        let parent = tempfile::tempdir().unwrap();
        let (here, away) = (parent.path().join("store"), parent.path().join("away"));
        let engine = open(&here);
        put(&engine, b"k", b"marked");
        engine.flush().unwrap();
        engine.check().unwrap();
        put(&engine, b"k", b"not marked");
        // No file can be created in the store's old place.
        std::fs::rename(&here, &away).unwrap();
        let _ = engine.start_flush();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while engine.check().is_ok() {
            assert!(std::time::Instant::now() < deadline, "nobody noticed");
            std::thread::yield_now();
        }
        std::fs::rename(&away, &here).unwrap();
        let mut batch = Batch::default();
        batch.put(b"k".to_vec(), b"later".to_vec());
        engine.write(batch).unwrap_err();
        engine.flush().unwrap_err();
        assert_eq!(engine.get(b"k").unwrap().unwrap(), "not marked");
        drop(engine);
        assert_eq!(open(&here).get(b"k").unwrap().unwrap(), "marked");
    }

    #[test]
    fn closing_makes_nothing_durable() {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path());
        put(&engine, b"k", b"flushed");
        engine.flush().unwrap();
        put(&engine, b"k", b"not flushed");
        drop(engine);
        assert_eq!(open(dir.path()).get(b"k").unwrap().unwrap(), "flushed");
    }

    #[test]
    fn clears_come_before_the_writes_of_their_batch() {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path());
        for key in [b"a", b"b", b"c"] {
            put(&engine, key, b"old");
        }
        let mut batch = Batch::default();
        batch.put(b"b".to_vec(), b"new".to_vec());
        batch.clear(b"a".to_vec(), b"c".to_vec());
        engine.write(batch).unwrap();
        let mut seen = Vec::new();
        let mut visit = |key: &[u8], value: &[u8]| {
            seen.push((key.to_vec(), value.to_vec()));
            true
        };
        engine.scan(b"a", b"z", &mut visit).unwrap();
        assert_eq!(
            seen,
            [
                (b"b".to_vec(), b"new".to_vec()),
                (b"c".to_vec(), b"old".to_vec())
            ]
        );
    }

    #[test]
    fn a_clearing_leaves_other_values_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        let shared = RocksShared::new(1 << 20, 0).unwrap();
        let shared = shared.with_records(RecordCache::new(1 << 16));
        let engine = RocksEngine::open(dir.path(), &shared).unwrap();
        for key in [b"a", b"k"] {
            put(&engine, key, b"v");
            engine.flush().unwrap();
            assert!(engine.get(key).unwrap().is_some());
        }
        let mut batch = Batch::default();
        batch.clear(b"k".to_vec(), b"l".to_vec());
        engine.write(batch).unwrap();
        assert_eq!(engine.get_in_memory(b"a").unwrap().unwrap(), "v");
        assert_eq!(engine.get_in_memory(b"k"), None);
        assert_eq!(engine.get(b"k").unwrap(), None);
    }

    #[test]
    fn reclaimed_space_is_given_back_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path());
        let key = |first: u8, n: u32| [&[first][..], &n.to_be_bytes()].concat();
        for first in [b'a', b'b'] {
            for n in 0..2000 {
                put(&engine, &key(first, n), &[n as u8; 100]);
            }
            engine.flush().unwrap();
        }
        // Files of the lowest level are not deleted: compact them downwards first.
        engine.store.db.compact_range(None::<&[u8]>, None::<&[u8]>);
        let all = (b"a".to_vec(), b"c".to_vec());
        let before = engine.approximate_sizes(std::slice::from_ref(&all))[0];
        let cleared = (b"a".to_vec(), b"b".to_vec());
        engine.clear_with_flush(vec![cleared.clone()]);
        engine.start_flush().unwrap();
        engine.wait_until_cleared(&cleared);
        assert!(!engine.is_clearing());
        assert!(engine.approximate_sizes(&[all])[0] <= before);
        assert_eq!(engine.get(&key(b'a', 7)).unwrap(), None);
        assert!(engine.get(&key(b'b', 7)).unwrap().is_some());
    }

    #[test]
    fn a_flush_would_wait_while_somebody_else_spills() {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path());
        put(&engine, b"k", b"1");
        assert!(engine.may_flush_now());
        let spill = engine.store.spill().unwrap();
        assert!(!engine.may_flush_now());
        engine.store.write_down(&spill).unwrap();
        spill.done();
        assert!(engine.may_flush_now());
    }

    #[test]
    fn a_checkpoint_is_a_store_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(&dir.path().join("store"));
        put(&engine, b"k", b"1");
        let copy = dir.path().join("copy");
        engine.checkpoint(&copy).unwrap();
        put(&engine, b"k", b"2");
        assert_eq!(open(&copy).get(b"k").unwrap().unwrap(), "1");
    }
}
