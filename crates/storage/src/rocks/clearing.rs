//! Intervals that are emptied beside a flush, and whose files are deleted once that is durable.
//!
//! Only a writer of the same interval waits for it. The range tombstone goes into the memtable of
//! the flush, behind all earlier writes, so that it becomes durable together with the state that
//! does not need the records any more, and not sooner; later writes come into the store with the
//! next spill. Deleting files is durable at once, so it comes after that: a number that is written
//! with the tombstone shows when the tombstone is durable.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use rocksdb::{ReadOptions, ReadTier, WriteBatch};

use super::failure::error;
use super::intervals::join;
use super::options::without_wal;
use super::store::{ROOM_POLL, Store};
use crate::layout::CLEARED;
use crate::write_buffer::Spill;
use crate::{Batch, Interval, StorageError};

/// Intervals that a flush clears, until dropped.
pub(super) struct Cleared {
    store: Arc<Store>,
    intervals: Vec<Interval>,
}

impl Drop for Cleared {
    fn drop(&mut self) {
        let clearing = &self.store.clearing;
        let mut intervals = clearing.intervals.lock();
        intervals
            .begun
            .retain(|interval| !self.intervals.contains(interval));
        drop(intervals);
        clearing.cleared.notify_all();
    }
}

impl Cleared {
    pub(super) fn intervals(&self) -> &[Interval] {
        &self.intervals
    }
}

impl Store {
    /// The announced intervals belong to the flush that begins now.
    pub(super) fn begin_clearing(self: &Arc<Self>) -> Cleared {
        let mut all = self.clearing.intervals.lock();
        let intervals = std::mem::take(&mut all.announced);
        all.begun.extend(intervals.iter().cloned());
        drop(all);
        Cleared {
            store: Arc::clone(self),
            intervals,
        }
    }

    /// Begins to make the frozen layer durable; with these intervals empty, if there are any.
    pub(super) fn flush_to_clear(
        &self,
        spill: Spill,
        cleared: Cleared,
    ) -> Result<(), StorageError> {
        self.flush_frozen(spill, &cleared.intervals, false)?;
        if cleared.intervals.is_empty() {
            return Ok(());
        }
        let mut reclaiming = self.clearing.reclaiming.lock();
        let before = reclaiming.take();
        let reclaim = move || {
            join(before);
            let store = &cleared.store;
            if let Err(error) = store.reclaim(&cleared.intervals) {
                tracing::warn!(path = %store.path.display(), %error, "space is not given back yet");
            }
        };
        let thread = std::thread::Builder::new().name("store-reclaim".to_owned());
        // Without a thread the intervals are empty, too, and RocksDB compacts their files later.
        *reclaiming = thread.spawn(reclaim).ok();
        Ok(())
    }

    /// Writes a batch that clears intervals directly to RocksDB; the buffer cannot clear.
    pub(super) fn write_through(&self, batch: &Batch) -> Result<(), StorageError> {
        let spill = self.spill()?;
        self.write_down(&spill)?;
        spill.release_frozen();
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
        self.spilled.fetch_add(batch.bytes(), Ordering::Relaxed);
        let keys = batch.writes.iter().map(|(key, _)| key.as_slice());
        let writing = self.records.as_ref();
        let writing = writing.map(|r| r.write(keys, &batch.clears));
        let written = spill.change_below(|| self.db.write_opt(writes, &without_wal()));
        drop(writing);
        self.or_stop("write", written)?;
        spill.done();
        Ok(())
    }

    /// Empties intervals of the store below.
    pub(super) fn clear(&self, spill: &Spill, intervals: &[Interval]) -> Result<(), StorageError> {
        let mut writes = WriteBatch::default();
        for (start, end) in intervals {
            writes.delete_range(start, end);
        }
        writes.put(CLEARED, (self.times_cleared()? + 1).to_be_bytes());
        let writing = self.records.as_ref();
        let writing = writing.map(|records| records.write([CLEARED].into_iter(), intervals));
        let written = spill.change_below(|| self.db.write_opt(writes, &without_wal()));
        drop(writing);
        self.or_stop("write", written)
    }

    /// The value of a key that a crash now would leave.
    pub(super) fn durable(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let mut options = ReadOptions::default();
        options.set_read_tier(ReadTier::Persisted);
        let value = self.db.get_opt(key, &options);
        let value = value.map_err(error("read what is durable"))?;
        Ok(value.map(Bytes::from))
    }

    fn times_cleared(&self) -> Result<u64, StorageError> {
        let value = self.db.get(CLEARED).map_err(error("read"))?;
        Ok(number(value.as_deref()))
    }

    /// Deletes files that lie wholly in the intervals, once it is durable that these are empty. A
    /// compaction would flush the memtable, which only the replica may do.
    fn reclaim(&self, intervals: &[Interval]) -> Result<(), StorageError> {
        let wanted = self.times_cleared()?;
        while number(self.durable(CLEARED)?.as_deref()) < wanted {
            if self.clearing.is_closed.load(Ordering::Relaxed) {
                return Ok(());
            }
            self.check()?;
            std::thread::sleep(ROOM_POLL);
        }
        for (start, end) in intervals {
            let deleted = self.db.delete_file_in_range(start, end);
            deleted.map_err(error("give space back"))?;
        }
        Ok(())
    }
}

fn number(value: Option<&[u8]>) -> u64 {
    let value = value.and_then(|value| value.try_into().ok());
    value.map_or(0, u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::super::{RocksEngine, RocksShared};
    use crate::{Batch, Engine, Interval, Reader};

    fn open(dir: &std::path::Path) -> RocksEngine {
        RocksEngine::open(dir, &RocksShared::new(1 << 20, 1 << 30).unwrap()).unwrap()
    }

    fn put(engine: &RocksEngine, key: &[u8], value: &[u8]) {
        let mut batch = Batch::default();
        batch.put(key.to_vec(), value.to_vec());
        engine.write(batch).unwrap();
    }

    fn interval() -> Interval {
        (b"a".to_vec(), b"b".to_vec())
    }

    #[test]
    fn what_was_written_before_goes_and_what_comes_after_stays_also_over_a_crash() {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path());
        // A key in the store, a key in the buffer, a key outside.
        put(&engine, b"a1", b"old");
        engine.flush().unwrap();
        put(&engine, b"a2", b"old");
        put(&engine, b"c", b"old");
        engine.clear_with_flush(vec![interval()]);
        assert!(engine.is_to_clear() && engine.is_clearing_in(&interval()));
        engine.start_flush().unwrap();
        assert!(!engine.is_to_clear());
        put(&engine, b"c", b"new");
        engine.wait_until_cleared(&interval());
        assert!(!engine.is_clearing());
        put(&engine, b"a3", b"new");
        let value = |engine: &RocksEngine, key: &[u8]| {
            let value = engine.get(key).unwrap();
            value.map(|value| String::from_utf8(value.to_vec()).unwrap())
        };
        assert_eq!([value(&engine, b"a1"), value(&engine, b"a2")], [None, None]);
        assert_eq!(value(&engine, b"a3").as_deref(), Some("new"));
        // Nothing after the clearing was flushed: that state is there, with the interval empty.
        drop(engine);
        let engine = open(dir.path());
        let keys: [&[u8]; 4] = [b"a1", b"a2", b"a3", b"c"];
        let found = keys.map(|key| value(&engine, key));
        assert_eq!(found, [None, None, None, Some("old".to_owned())]);
    }

    #[test]
    fn clearings_follow_one_another_and_others_wait_for_none() {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path());
        for round in 0..20u8 {
            put(&engine, b"a", &[round]);
            put(&engine, b"c", &[round]);
            engine.clear_with_flush(vec![interval()]);
            engine.start_flush().unwrap();
            engine.wait_until_cleared(&(b"c".to_vec(), b"d".to_vec()));
            assert_eq!(engine.get(b"c").unwrap().unwrap()[..], [round]);
            engine.wait_until_cleared(&interval());
            assert_eq!(engine.get(b"a").unwrap(), None, "round {round}");
        }
        // A clearing in progress does not keep a store from being closed.
        engine.clear_with_flush(vec![interval()]);
        engine.start_flush().unwrap();
    }
}
