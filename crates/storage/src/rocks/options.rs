//! Settings of the stores of a node, and the resources they share.
//!
//! Settings, and why (measured in the spike): the write-ahead log is off; a single column family,
//! so that a flush is a single state; the memtable is so large that RocksDB never switches it by
//! itself, as the replica must choose every durable state; bloom filters of 10 bits, index and
//! filters partitioned and in the block cache, so that memory per terabyte is bounded; LZ4 in the
//! upper levels, Zstandard in the bottom level; files full of deletions are compacted early.
//! Caches, background threads and the limit on compaction writes are shared by all stores of a
//! node.

use std::sync::Arc;

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DBCompressionType, Env, Options, WriteOptions,
};

use crate::{RecordCache, StorageError};

/// RocksDB switches a memtable by itself at this size, far above the buffered size that a replica
/// allows. It is also the free space that RocksDB requires before it resumes by itself after a full
/// disk.
const WRITE_BUFFER_BYTES: usize = 64 << 30;
const TARGET_FILE_BYTES: u64 = 32 << 20;
const BACKGROUND_JOBS: i32 = 4;

/// A file is compacted soon if among this many entries in a row `DELETIONS` are deletions, or this
/// share of all its entries: a queue or a trimmed set must not walk over them for long.
const DELETIONS_WINDOW: usize = 8192;
const DELETIONS: usize = 6144;
const DELETED: f64 = 0.5;

/// Period in which the limiter grants a piece of its rate. After a hundred periods it adjusts the
/// rate.
const LIMITER_PERIOD_MICROS: i64 = 1_000;
/// A tenth of the pieces goes to compactions first, even if flushes wait.
const LIMITER_FAIRNESS: i32 = 10;

/// Default of [`RocksShared::write_buffer_bytes`].
const UNFLUSHED_BYTES_MAX: usize = 32 << 20;

/// Most memtables, and the numbers of flushed files at which RocksDB slows writes down and stops
/// them. The margin must hold the writes until the limiter has caught up.
const MEMTABLES: i32 = 16;
const L0_FILES_SLOW: i32 = 40;
const L0_FILES_STOP: i32 = 60;
/// Compaction debt in bytes at which RocksDB slows writes down; its own default.
const DEBT_BYTES_SLOW: usize = 64 << 30;

/// Whether RocksDB would delay neither a flush begun now nor the next flush after it.
///
/// Each memtable that is being flushed becomes a file. Source: RocksDB,
/// `WaitUntilFlushWouldNotStallWrites`.
pub(super) fn has_room(files: u64, memtables: u64, debt_bytes: u64) -> bool {
    memtables + 3 < MEMTABLES as u64
        && files + memtables + 2 < L0_FILES_SLOW as u64
        && debt_bytes < DEBT_BYTES_SLOW as u64
}

/// Resources shared by all stores of a node.
#[derive(Clone)]
pub struct RocksShared {
    cache: Cache,
    env: Env,
    /// Holds the limiter; clones share it.
    limited: Options,
    pub(super) records: Option<Arc<RecordCache>>,
    write_buffer_bytes: usize,
}

impl RocksShared {
    /// A block cache of `cache_bytes`. Flushes and compactions write at most `rate` bytes per
    /// second, and a twentieth of that until they need more; 0 means no limit.
    pub fn new(cache_bytes: usize, rate: u64) -> Result<Self, StorageError> {
        let mut env = Env::new().map_err(|e| StorageError::new("set up the store", e))?;
        env.set_background_threads(2);
        env.set_high_priority_background_threads(2);
        let mut limited = Options::default();
        if rate > 0 {
            let rate = i64::try_from(rate).unwrap_or(i64::MAX);
            limited.set_auto_tuned_ratelimiter(rate, LIMITER_PERIOD_MICROS, LIMITER_FAIRNESS);
        }
        // The estimated charge of an entry is the size of a block.
        Ok(Self {
            cache: Cache::new_hyper_clock_cache(cache_bytes, 16 << 10),
            env,
            limited,
            records: None,
            write_buffer_bytes: UNFLUSHED_BYTES_MAX,
        })
    }

    /// Bytes of unflushed writes, approximately, at which the owner of a store starts a flush; at
    /// most twice that, while a flush would have to wait. 32 MiB by default.
    #[must_use]
    pub fn write_buffer_bytes(&self) -> usize {
        self.write_buffer_bytes
    }

    /// Sets [`RocksShared::write_buffer_bytes`].
    #[must_use]
    pub fn with_write_buffer(mut self, bytes: usize) -> Self {
        self.write_buffer_bytes = bytes;
        self
    }

    /// The cache of read values, if there is one.
    #[must_use]
    pub fn records(&self) -> Option<&RecordCache> {
        self.records.as_deref()
    }

    /// Uses `records` as the cache of read values.
    #[must_use]
    pub fn with_records(mut self, records: Arc<RecordCache>) -> Self {
        self.records = Some(records);
        self
    }

    /// The options of every store.
    pub(super) fn options(&self) -> Options {
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
        options.set_soft_pending_compaction_bytes_limit(DEBT_BYTES_SLOW);
        options.set_max_bytes_for_level_base(256 << 20);
        options.set_level_compaction_dynamic_level_bytes(true);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_bottommost_compression_type(DBCompressionType::Zstd);
        options.add_compact_on_deletion_collector_factory(DELETIONS_WINDOW, DELETIONS, DELETED);
        options.set_max_background_jobs(BACKGROUND_JOBS);
        options.set_bytes_per_sync(1 << 20);
        options.set_max_open_files(4096);
        options.set_keep_log_file_num(4);
        options.set_max_log_file_size(8 << 20);
        options
    }
}

/// The options of every write.
pub(super) fn without_wal() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_more_fits_where_there_is_room() {
        assert!(has_room(0, 0, 0));
        let (files, memtables) = (L0_FILES_SLOW as u64, MEMTABLES as u64);
        assert!(has_room(files - 3, 0, 0) && !has_room(files - 2, 0, 0));
        assert!(has_room(0, memtables - 4, 0) && !has_room(0, memtables - 3, 0));
        assert!(!has_room(files - 5, 3, 0));
        assert!(!has_room(0, 0, DEBT_BYTES_SLOW as u64));
    }
}
