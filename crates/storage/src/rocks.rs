//! The real engine: one RocksDB per replica.
//!
//! Settings, and why (measured in the spike): its write-ahead log is off; memtables are switched by
//! the replica's own flushes every few MiB (random inserts into a 64 MiB skip list are cache misses:
//! half the throughput), and the buffer is sized so that RocksDB never switches by itself, as every
//! durable state must be one that the replica chose; one column family, so that a flush is one
//! state; bloom filters of 10 bits, index and filters partitioned and in the block cache, so that
//! memory is bounded per terabyte; LZ4 above, Zstandard at the bottom. Caches, background threads and
//! the limit of what compactions write are shared by all stores of a node.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DB, DBCompressionType, Env, FlushOptions,
    Options, ReadOptions, ReadTier, WriteBatch, WriteOptions,
};

use crate::record_cache::StoreCache;
use crate::{Batch, Engine, Reader, RecordCache, StorageError};

/// RocksDB switches a memtable by itself at this size: far above what a replica lets gather. It is
/// also what must be free on the disk before RocksDB goes on by itself after the disk was full.
const WRITE_BUFFER_BYTES: usize = 64 << 30;
const TARGET_FILE_BYTES: u64 = 32 << 20;
const BACKGROUND_JOBS: i32 = 4;

/// The limiter gives out a piece of its rate so often, and looks a hundred pieces later whether it is
/// to give more or less.
const LIMITER_PERIOD_MICROS: i64 = 1_000;
/// Of ten pieces one goes to compactions first, though flushes wait.
const LIMITER_FAIRNESS: i32 = 10;

/// Memtables at most, and files of flushes from which on RocksDB slows writes down, and stops them.
/// A flush that is begun waits before that, on the thread that applies: there must be room for what
/// comes until the limiter has caught up.
const MEMTABLES: i32 = 16;
const L0_FILES_SLOW: i32 = 40;
const L0_FILES_STOP: i32 = 60;

/// What all stores of a node share.
#[derive(Clone)]
pub struct RocksShared {
    cache: Cache,
    env: Env,
    /// Has the limiter: clones of it share it.
    limited: Options,
    records: Option<Arc<RecordCache>>,
}

impl RocksShared {
    /// With a block cache of so many bytes. Flushes and compactions write at most `rate` bytes per
    /// second, and a twentieth of that until they need more; 0 is as fast as they can.
    pub fn new(cache_bytes: usize, rate: u64) -> Result<Self, StorageError> {
        let mut env = Env::new().map_err(|e| StorageError::new("set up the store", e))?;
        env.set_background_threads(2);
        env.set_high_priority_background_threads(2);
        let mut limited = Options::default();
        if rate > 0 {
            let rate = i64::try_from(rate).unwrap_or(i64::MAX);
            limited.set_auto_tuned_ratelimiter(rate, LIMITER_PERIOD_MICROS, LIMITER_FAIRNESS);
        }
        // The estimated charge is that of a block.
        Ok(Self {
            cache: Cache::new_hyper_clock_cache(cache_bytes, 16 << 10),
            env,
            limited,
            records: None,
        })
    }

    /// Where values that were read are kept, if they are.
    #[must_use]
    pub fn records(&self) -> Option<&RecordCache> {
        self.records.as_deref()
    }

    /// Keeps values that were read in `records`, too.
    #[must_use]
    pub fn with_records(mut self, records: Arc<RecordCache>) -> Self {
        self.records = Some(records);
        self
    }

    fn options(&self) -> Options {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&self.cache);
        table.set_block_size(16 << 10);
        table.set_bloom_filter(10.0, false);
        table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
        table.set_partition_filters(true);
        table.set_metadata_block_size(4 << 10);
        table.set_cache_index_and_filter_blocks(true);
        table.set_pin_top_level_index_and_filter(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        table.set_format_version(6);
        let mut options = self.limited.clone();
        options.create_if_missing(true);
        options.set_env(&self.env);
        options.set_block_based_table_factory(&table);
        options.set_write_buffer_size(WRITE_BUFFER_BYTES);
        options.set_max_write_buffer_number(MEMTABLES);
        options.set_allow_concurrent_memtable_write(false);
        options.set_target_file_size_base(TARGET_FILE_BYTES);
        options.set_level_zero_slowdown_writes_trigger(L0_FILES_SLOW);
        options.set_level_zero_stop_writes_trigger(L0_FILES_STOP);
        options.set_max_bytes_for_level_base(256 << 20);
        options.set_level_compaction_dynamic_level_bytes(true);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_bottommost_compression_type(DBCompressionType::Zstd);
        options.set_max_background_jobs(BACKGROUND_JOBS);
        options.set_bytes_per_sync(1 << 20);
        options.set_max_open_files(4096);
        options.set_keep_log_file_num(4);
        options.set_max_log_file_size(8 << 20);
        options
    }
}

/// See the module's head.
pub struct RocksEngine {
    db: DB,
    path: PathBuf,
    unflushed: AtomicUsize,
    records: Option<StoreCache>,
    /// Failures of flushes and compactions that were seen.
    errors: AtomicU64,
}

fn error(what: &'static str) -> impl Fn(rocksdb::Error) -> StorageError {
    move |error| StorageError::new(what, error)
}

impl RocksEngine {
    /// Opens the store in `path`, or makes it.
    pub fn open(path: &Path, shared: &RocksShared) -> Result<Self, StorageError> {
        // A store that is closed half-way through a change must not make it durable. The binding
        // has no setter for this one.
        let options = shared
            .options()
            .get_options_from_string("avoid_flush_during_shutdown=true")
            .map_err(error("set up the store"))?;
        let db = DB::open(&options, path).map_err(error("open the store"))?;
        Ok(Self {
            db,
            path: path.to_path_buf(),
            unflushed: AtomicUsize::new(0),
            records: shared.records.as_ref().map(RecordCache::store),
            errors: AtomicU64::new(0),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks whether RocksDB has stopped for a failed flush. If so it stays so.
    ///
    /// After a full disk RocksDB would go on by itself once there is room, and flush a memtable that
    /// the replica has not marked: what is durable would be a state that nobody chose.
    pub fn check(&self) -> Result<(), StorageError> {
        let errors = self.number("rocksdb.background-errors");
        if self.errors.swap(errors, Ordering::Relaxed) == errors {
            return Ok(());
        }
        // Nothing is written, but for the reason why nothing can be.
        let written = self.db.write_opt(WriteBatch::default(), &without_wal());
        self.or_stop("write", written)
    }

    /// Stops the store for good if something failed: nothing that comes after may become durable.
    fn or_stop(
        &self,
        what: &'static str,
        result: Result<(), rocksdb::Error>,
    ) -> Result<(), StorageError> {
        result.map_err(|failure| {
            self.db.cancel_all_background_work(false);
            error(what)(failure)
        })
    }

    /// How many compactions run now.
    #[must_use]
    pub fn compactions(&self) -> u64 {
        self.number("rocksdb.num-running-compactions")
    }

    /// About how many bytes compactions still have to rewrite until every level is of its size.
    #[must_use]
    pub fn compaction_debt_bytes(&self) -> u64 {
        self.number("rocksdb.estimate-pending-compaction-bytes")
    }

    fn read(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let value = self.db.get_pinned(key).map_err(error("read"))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn number(&self, property: &str) -> u64 {
        let number = self.db.property_int_value(property);
        number.ok().flatten().unwrap_or(0)
    }
}

fn without_wal() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}

fn bounds(start: &[u8], end: &[u8]) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(start.to_vec());
    options.set_iterate_upper_bound(end.to_vec());
    options
}

fn visit_all(
    mut iterator: rocksdb::DBRawIterator<'_>,
    start: &[u8],
    visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
) -> Result<(), StorageError> {
    iterator.seek(start);
    while let Some((key, value)) = iterator.item() {
        if !visit(key, value) {
            return Ok(());
        }
        iterator.next();
    }
    iterator.status().map_err(error("scan"))
}

impl Reader for RocksEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        match &self.records {
            Some(records) => records.get_or_read(key, || self.read(key)),
            None => self.read(key),
        }
    }

    fn scan(
        &self,
        start: &[u8],
        end: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StorageError> {
        if start >= end {
            return Ok(());
        }
        visit_all(self.db.raw_iterator_opt(bounds(start, end)), start, visit)
    }
}

struct Snapshot<'a>(rocksdb::Snapshot<'a>);

impl Reader for Snapshot<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let value = self.0.get_pinned(key).map_err(error("read"))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(
        &self,
        start: &[u8],
        end: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StorageError> {
        if start >= end {
            return Ok(());
        }
        visit_all(self.0.raw_iterator_opt(bounds(start, end)), start, visit)
    }
}

impl Engine for RocksEngine {
    fn read_consistently(&self, read: &mut dyn FnMut(&dyn Reader)) {
        read(&Snapshot(self.db.snapshot()));
    }

    fn get_durable(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let mut options = ReadOptions::default();
        options.set_read_tier(ReadTier::Persisted);
        let value = self
            .db
            .get_opt(key, &options)
            .map_err(error("read what is durable"))?;
        Ok(value.map(Bytes::from))
    }

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        self.unflushed
            .fetch_add(batch.bytes() + 64 * batch.writes.len(), Ordering::Relaxed);
        let mut writes = WriteBatch::default();
        for (start, end) in &batch.clears {
            writes.delete_range(start, end);
        }
        for (key, value) in &batch.writes {
            match value {
                Some(value) => writes.put(key, value),
                None => writes.delete(key),
            }
        }
        let _writing = self.records.as_ref().map(|records| records.write(&batch));
        self.or_stop("write", self.db.write_opt(writes, &without_wal()))
    }

    fn start_flush(&self) -> Result<(), StorageError> {
        self.flush_with(false)
    }

    fn flush(&self) -> Result<(), StorageError> {
        self.flush_with(true)
    }

    fn unflushed_bytes(&self) -> usize {
        self.unflushed.load(Ordering::Relaxed)
    }

    fn checkpoint(&self, dir: &Path) -> Result<(), StorageError> {
        let checkpoint = Checkpoint::new(&self.db).map_err(error("begin checkpoint"))?;
        checkpoint
            .create_checkpoint(dir)
            .map_err(error("make checkpoint"))
    }

    fn size_bytes(&self) -> u64 {
        self.number("rocksdb.total-sst-files-size")
    }

    fn approximate_sizes(&self, intervals: &[(Vec<u8>, Vec<u8>)]) -> Vec<u64> {
        let ranges: Vec<_> = intervals
            .iter()
            .map(|(start, end)| rocksdb::Range::new(start, end))
            .collect();
        self.db.get_approximate_sizes(&ranges)
    }

    /// Whole files go. A compaction of the interval would flush the memtable, which is the replica's
    /// to do; what is left in files of other keys too goes as RocksDB compacts them.
    fn reclaim(&self, start: &[u8], end: &[u8]) -> Result<(), StorageError> {
        self.db
            .delete_file_in_range(start, end)
            .map_err(error("give space back"))
    }
}

impl RocksEngine {
    fn flush_with(&self, wait: bool) -> Result<(), StorageError> {
        self.unflushed.store(0, Ordering::Relaxed);
        let mut options = FlushOptions::default();
        options.set_wait(wait);
        self.or_stop("flush", self.db.flush_opt(&options))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
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

    #[test]
    fn records_in_memory_change_nothing_that_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let shared = RocksShared::new(1 << 20, 0).unwrap();
        let engine =
            RocksEngine::open(dir.path(), &shared.with_records(RecordCache::new(1 << 16))).unwrap();
        let mut model = std::collections::BTreeMap::new();
        // Any sequence will do; this one is the same each time.
        let mut state = 1u64;
        let mut next = move |bound: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % bound
        };
        for step in 0..20_000u32 {
            let mut batch = Batch::default();
            if next(50) == 0 {
                let (start, end) = (vec![b'a' + next(20) as u8], vec![b'a' + next(20) as u8]);
                if start < end {
                    model.retain(|key: &Vec<u8>, _| *key < start || *key >= end);
                    batch.clear(start, end);
                }
            }
            for _ in 0..next(3) {
                let key = vec![b'a' + next(20) as u8];
                match next(4) {
                    0 => {
                        model.remove(&key);
                        batch.delete(key);
                    }
                    _ => {
                        let value = step.to_be_bytes().to_vec();
                        model.insert(key.clone(), value.clone());
                        batch.put(key, value);
                    }
                }
            }
            engine.write(batch).unwrap();
            if next(500) == 0 {
                engine.flush().unwrap();
            }
            for _ in 0..4 {
                let key = vec![b'a' + next(20) as u8];
                let found = engine.get(&key).unwrap();
                assert_eq!(
                    found.as_deref(),
                    model.get(&key).map(Vec::as_slice),
                    "step {step}"
                );
            }
        }
        let records = engine.records.as_ref().unwrap();
        assert!(records.hits() > 10_000, "{}", records.hits());
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
        // No file can be made where the store was.
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
        // Files of the lowest level are left alone: let them sink.
        engine.db.compact_range(None::<&[u8]>, None::<&[u8]>);
        let all = (b"a".to_vec(), b"c".to_vec());
        let before = engine.approximate_sizes(std::slice::from_ref(&all))[0];
        let mut batch = Batch::default();
        batch.clear(b"a".to_vec(), b"b".to_vec());
        engine.write(batch).unwrap();
        engine.reclaim(b"a", b"b").unwrap();
        assert!(engine.approximate_sizes(&[all])[0] <= before);
        assert_eq!(engine.get(&key(b'a', 7)).unwrap(), None);
        assert!(engine.get(&key(b'b', 7)).unwrap().is_some());
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
