//! What a replica needs of its store.

use std::path::Path;

use bytes::Bytes;

/// The store could not do it: this node alone is broken (disk, damage).
#[derive(Debug, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct StorageError {
    /// What was being done, a verb phrase.
    pub what: &'static str,
    /// What the engine said.
    pub reason: String,
}

impl StorageError {
    pub(crate) fn new(what: &'static str, reason: impl std::fmt::Display) -> Self {
        Self {
            what,
            reason: reason.to_string(),
        }
    }
}

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

    /// Whether it clears anything.
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

/// Reading a store, or one unchanging view of it.
pub trait Reader {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError>;

    /// Visits `start <= key < end` in order until `visit` returns false, over one consistent view.
    fn scan(
        &self,
        start: &[u8],
        end: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StorageError>;
}

/// Ordered keys and values, with batches that are atomic, also over a crash.
///
/// A crash may lose the newest batches, never an older one without the newer: what is durable is
/// always the state after some batch.
pub trait Engine: Reader + Send + Sync + 'static {
    /// Calls `read` with a view that batches written meanwhile do not change.
    fn read_consistently(&self, read: &mut dyn FnMut(&dyn Reader));

    /// Calls `read` with the store as it is; whether no batch was written meanwhile, so that it was one
    /// view. Cheaper than a view that is kept, for a few values.
    fn read_unchanged(&self, _read: &mut dyn FnMut(&dyn Reader)) -> bool {
        false
    }

    /// The value of a key as a crash now would leave it.
    fn get_durable(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError>;

    /// Applies a batch. Visible at once, durable after a flush.
    fn write(&self, batch: Batch) -> Result<(), StorageError>;

    /// Begins to make all that was written durable; `get_durable` tells when it is.
    fn start_flush(&self) -> Result<(), StorageError>;

    /// Makes all that was written durable.
    fn flush(&self) -> Result<(), StorageError>;

    /// Bytes written since the last flush was begun.
    fn unflushed_bytes(&self) -> usize;

    /// Writes a copy of the whole store into `dir`, which must not exist yet.
    fn checkpoint(&self, dir: &Path) -> Result<(), StorageError>;

    /// Bytes on disk.
    fn size_bytes(&self) -> u64;

    /// Bytes on disk of each of these intervals, about; what was written last may be missing.
    fn approximate_sizes(&self, intervals: &[(Vec<u8>, Vec<u8>)]) -> Vec<u64>;

    /// Whether a flush that is begun now waits for nothing.
    fn may_flush_now(&self) -> bool;

    /// Has these intervals empty with the next flush, durable together with it, and gives their space back
    /// then. For intervals that nobody reads any more, at this state or a later one, and nobody
    /// writes before [`Self::wait_until_cleared`].
    fn clear_with_flush(&self, intervals: Vec<Interval>);

    /// Whether something is to be cleared with the next flush.
    fn is_to_clear(&self) -> bool;

    /// Whether anything is being cleared, or is to be.
    fn is_clearing(&self) -> bool;

    /// Whether anything of the interval is.
    fn is_clearing_in(&self, interval: &Interval) -> bool;

    /// Waits until nothing of the interval is being cleared: it may be written then. The flush must have
    /// been begun.
    fn wait_until_cleared(&self, interval: &Interval);
}
