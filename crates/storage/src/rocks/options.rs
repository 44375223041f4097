//! How the stores of a node are set up, and what they share.
//!
//! Settings, and why (measured in the spike): the write-ahead log is off; one column family, so that a
//! flush is one state; the buffer is sized so that RocksDB never switches a memtable by itself, as every
//! durable state must be one that the replica chose; bloom filters of 10 bits, index and filters
//! partitioned and in the block cache, so that memory is bounded per terabyte; LZ4 above, Zstandard at
//! the bottom. Caches, background threads and the limit of what compactions write are shared by all
//! stores of a node.

use std::sync::Arc;

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DBCompressionType, Env, Options, WriteOptions,
};

use crate::{RecordCache, StorageError};

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
/// There must be room for what comes until the limiter has caught up.
const MEMTABLES: i32 = 16;
const L0_FILES_SLOW: i32 = 40;
const L0_FILES_STOP: i32 = 60;
/// Bytes that compactions are behind, from which on RocksDB slows writes down; its own default.
const DEBT_BYTES_SLOW: usize = 64 << 30;

/// Whether RocksDB would not hold a flush back that is begun now, nor one more after it.
///
/// Of memtables being flushed each will be a file. Source: RocksDB, `WaitUntilFlushWouldNotStallWrites`.
pub(super) fn has_room(files: u64, memtables: u64, debt_bytes: u64) -> bool {
    memtables + 3 < MEMTABLES as u64
        && files + memtables + 2 < L0_FILES_SLOW as u64
        && debt_bytes < DEBT_BYTES_SLOW as u64
}

/// What all stores of a node share.
#[derive(Clone)]
pub struct RocksShared {
    cache: Cache,
    env: Env,
    /// Has the limiter: clones of it share it.
    limited: Options,
    pub(super) records: Option<Arc<RecordCache>>,
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

    /// Of every store.
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
        options.set_max_background_jobs(BACKGROUND_JOBS);
        options.set_bytes_per_sync(1 << 20);
        options.set_max_open_files(4096);
        options.set_keep_log_file_num(4);
        options.set_max_log_file_size(8 << 20);
        options
    }
}

/// Of every write.
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
