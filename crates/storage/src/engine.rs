//! The interface of a replica's store: batches, reads, flushes, checkpoints.
//!
//! Implemented by [`crate::RocksEngine`], and by [`crate::MemEngine`] for tests and simulations.

use std::path::Path;

use bytes::Bytes;

use crate::{Cursor, StorageError};

/// Writes that take effect together, range deletions first.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) clears: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) writes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    bytes: usize,
}

impl Batch {
    /// Removes all keys `start <= key < end`, before anything else of the batch.
    pub fn clear(&mut self, start: Vec<u8>, end: Vec<u8>) {
        self.bytes += start.len() + end.len();
        self.clears.push((start, end));
    }

    /// Puts a value.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.bytes += key.len() + value.len();
        self.writes.push((key, Some(value)));
    }

    /// Deletes a key.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.bytes += key.len();
        self.writes.push((key, None));
    }

    /// Whether the batch clears an interval.
    #[must_use]
    pub fn clears(&self) -> bool {
        !self.clears.is_empty()
    }

    /// Bytes of keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Keys `start <= key < end`.
pub type Interval = (Vec<u8>, Vec<u8>);

/// Reads of a store, or of an unchanging view of it.
pub trait Reader {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError>;

    /// A cursor over `start <= key < end`.
    fn cursor<'a>(&'a self, start: &[u8], end: &[u8])
    -> Result<Box<dyn Cursor + 'a>, StorageError>;

    /// Visits `start <= key < end` in order until `visit` returns false, over one consistent view.
    fn scan(
        &self,
        start: &[u8],
        end: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StorageError> {
        let mut cursor = self.cursor(start, end)?;
        cursor.seek(start)?;
        while let Some((key, value)) = cursor.entry()
            && visit(key, value)
        {
            cursor.next()?;
        }
        Ok(())
    }
}

/// Ordered keys and values, with batches that are atomic, also across a crash.
///
/// A crash may lose the newest batches, but never an older batch while it keeps a newer one: the
/// durable state is always the state after some batch.
pub trait Engine: Reader + Send + Sync + 'static {
    /// Calls `read` with a view that batches written meanwhile do not change.
    fn read_consistently(&self, read: &mut dyn FnMut(&dyn Reader));

    /// Calls `read` with the live store; returns whether no batch was written meanwhile, so that
    /// all reads belong to the same state. For a few values cheaper than a kept view.
    fn read_unchanged(&self, _read: &mut dyn FnMut(&dyn Reader)) -> bool {
        false
    }

    /// The value of a key as it would be after a crash now.
    fn get_durable(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError>;

    /// Applies a batch. Visible at once, durable after a flush.
    fn write(&self, batch: Batch) -> Result<(), StorageError>;

    /// Begins to make all batches written so far durable; `get_durable` shows when they are.
    fn start_flush(&self) -> Result<(), StorageError>;

    /// Makes all batches written so far durable.
    fn flush(&self) -> Result<(), StorageError>;

    /// Bytes written since the last flush was begun.
    fn unflushed_bytes(&self) -> usize;

    /// Writes a copy of the whole store into `dir`, which must not exist yet.
    fn checkpoint(&self, dir: &Path) -> Result<(), StorageError>;

    /// Bytes on disk.
    fn size_bytes(&self) -> u64;

    /// Approximate bytes on disk of each of these intervals; the newest writes may be missing.
    fn approximate_sizes(&self, intervals: &[(Vec<u8>, Vec<u8>)]) -> Vec<u64>;

    /// Whether a flush that is begun now waits for nothing.
    fn may_flush_now(&self) -> bool;

    /// Makes these intervals empty with the next flush, durably together with it, and reclaims
    /// their space then. The caller guarantees that nobody reads them any more, at this state or a
    /// later state, and that nobody writes there before [`Self::wait_until_cleared`].
    fn clear_with_flush(&self, intervals: Vec<Interval>);

    /// Whether an interval waits to be cleared with the next flush.
    fn is_to_clear(&self) -> bool;

    /// Whether any interval is being cleared, or waits for it.
    fn is_clearing(&self) -> bool;

    /// Whether any part of the interval is being cleared, or waits for it.
    fn is_clearing_in(&self, interval: &Interval) -> bool;

    /// Waits until no part of the interval is being cleared: it may be written then. The flush must
    /// have been begun.
    fn wait_until_cleared(&self, interval: &Interval);
}
