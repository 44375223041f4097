//! The store that an engine shares with its flush thread: RocksDB, the buffer above it, and the way
//! from one to the other.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use rocksdb::{DB, FlushOptions, WriteBatch};

use super::failure::error;
use super::intervals::Clearing;
use super::options::{has_room, without_wal};
use crate::record_cache::StoreCache;
use crate::write_buffer::{BufferView, Spill, WriteBuffer};
use crate::{Interval, StorageError};

/// Keys of the buffer written to RocksDB in a batch at most.
pub(super) const SPILLED_KEYS: usize = 256;
/// Bytes of such a batch at most; the last key may exceed it.
const SPILLED_BYTES: usize = 1 << 20;
/// How often RocksDB is polled for room for a flush.
pub(super) const ROOM_POLL: Duration = Duration::from_millis(5);

/// State shared with the flush thread.
pub(super) struct Store {
    pub(super) db: DB,
    pub(super) path: PathBuf,
    pub(super) buffer: Arc<WriteBuffer>,
    /// Serializes batches: a batch written directly to RocksDB comes after all buffered batches.
    pub(super) writing: Mutex<()>,
    /// Bytes spilled since the last flush was begun.
    pub(super) spilled: AtomicUsize,
    pub(super) records: Option<StoreCache>,
    /// Number of failed flushes and compactions seen so far.
    pub(super) errors: AtomicU64,
    /// The store stopped because the disk had no room.
    pub(super) lacked_room: AtomicBool,
    /// Intervals that are being cleared.
    pub(super) clearing: Clearing,
}

impl Store {
    /// See [`crate::RocksEngine::check`].
    pub(super) fn check(&self) -> Result<(), StorageError> {
        self.check_buffer().inspect_err(|_| self.stop())?;
        let errors = self.number("rocksdb.background-errors");
        if self.errors.swap(errors, Ordering::Relaxed) == errors {
            return Ok(());
        }
        // An empty write: it only returns the reason why writes fail.
        let written = self.db.write_opt(WriteBatch::default(), &without_wal());
        self.or_stop("write", written)
    }

    /// Stops the store permanently on an error: no later write may become durable.
    pub(super) fn or_stop(
        &self,
        what: &'static str,
        result: Result<(), rocksdb::Error>,
    ) -> Result<(), StorageError> {
        result.map_err(|failure| {
            let failure = error(what)(failure);
            if failure.is_no_room {
                self.lacked_room.store(true, Ordering::Relaxed);
            }
            self.stop();
            failure
        })
    }

    /// An error if the buffer takes no more writes.
    pub(super) fn check_buffer(&self) -> Result<(), StorageError> {
        self.buffer.check().map_err(|refusal| self.explain(refusal))
    }

    /// The refusal of a stopped store, with the information whether it stopped for lack of room.
    pub(super) fn explain(&self, refusal: StorageError) -> StorageError {
        refusal.no_room(self.lacked_room.load(Ordering::Relaxed))
    }

    /// Freezes the active layer.
    pub(super) fn freeze(&self) -> Result<Spill, StorageError> {
        self.buffer.spill().map_err(|refusal| self.explain(refusal))
    }

    pub(super) fn stop(&self) {
        self.buffer.fail();
        self.db.cancel_all_background_work(false);
    }

    pub(super) fn read(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let value = self.db.get_pinned(key).map_err(error("read"))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    /// The buffer's part of an interval (of all keys if `end` is empty), and the result of `look`
    /// on RocksDB, at the same moment.
    pub(super) fn view<T>(
        &self,
        start: &[u8],
        end: &[u8],
        look: impl Fn() -> T,
    ) -> Result<(BufferView, T), StorageError> {
        let (buffer, below) = self.buffer.view(start, end, look);
        if !buffer.is_empty() {
            // No reader may rely on writes that the store will not get.
            self.check_buffer()?;
        }
        Ok((buffer, below))
    }

    pub(super) fn number(&self, property: &str) -> u64 {
        let number = self.db.property_int_value(property);
        number.ok().flatten().unwrap_or(0)
    }

    /// Writes the frozen layer to RocksDB. Readers keep reading the layer until all of it is
    /// written.
    pub(super) fn write_down(&self, spill: &Spill) -> Result<(), StorageError> {
        let sorted = spill.frozen().sorted();
        let mut rest = sorted.as_slice();
        while !rest.is_empty() {
            let mut batch = WriteBatch::default();
            let (mut keys, max) = (0, rest.len().min(SPILLED_KEYS));
            while keys < max && batch.size_in_bytes() < SPILLED_BYTES {
                let write = rest[keys];
                match write.value {
                    Some(value) => batch.put(write.key, value),
                    None => batch.delete(write.key),
                }
                keys += 1;
            }
            let writes;
            (writes, rest) = rest.split_at(keys);
            let keys = writes.iter().map(|write| write.key);
            let writing = self.records.as_ref().map(|r| r.write(keys, &[]));
            self.or_stop("write", self.db.write_opt(batch, &without_wal()))?;
            drop(writing);
            if let Some(records) = &self.records {
                records.renew(writes);
            }
        }
        Ok(())
    }

    /// Spills the buffer and runs `then` before any later write can reach RocksDB.
    pub(super) fn settled<T>(&self, then: impl FnOnce() -> T) -> Result<T, StorageError> {
        let spill = self.spill()?;
        self.write_down(&spill)?;
        let done = then();
        spill.done();
        Ok(done)
    }

    /// Freezes the active layer, without a flush.
    pub(super) fn spill(&self) -> Result<Spill, StorageError> {
        let spill = self.freeze()?;
        let bytes = spill.frozen().bytes();
        self.spilled.fetch_add(bytes, Ordering::Relaxed);
        Ok(spill)
    }

    /// Freezes the active layer for a flush. Waits for room in RocksDB before it freezes: a spill
    /// that had to wait would block all other users of the store.
    pub(super) fn spill_to_flush(&self) -> Result<Spill, StorageError> {
        self.wait_for_room()?;
        let spill = self.freeze()?;
        self.spilled.store(0, Ordering::Relaxed);
        Ok(spill)
    }

    pub(super) fn wait_for_room(&self) -> Result<(), StorageError> {
        while !self.has_room() {
            self.check()?;
            std::thread::sleep(ROOM_POLL);
        }
        Ok(())
    }

    pub(super) fn has_room(&self) -> bool {
        let files = self.number("rocksdb.num-files-at-level0");
        let memtables = self.number("rocksdb.num-immutable-mem-table");
        let debt_bytes = self.number("rocksdb.estimate-pending-compaction-bytes");
        has_room(files, memtables, debt_bytes)
    }

    /// Makes the frozen layer durable, with these intervals empty; without `wait` only begins to.
    pub(super) fn flush_frozen(
        &self,
        spill: Spill,
        clears: &[Interval],
        wait: bool,
    ) -> Result<(), StorageError> {
        self.write_down(&spill)?;
        if !clears.is_empty() {
            self.clear(&spill, clears)?;
        }
        let mut options = FlushOptions::default();
        options.set_wait(wait);
        self.or_stop("flush", self.db.flush_opt(&options))?;
        spill.done();
        Ok(())
    }
}
