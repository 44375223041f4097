//! The store to which entries are applied, as read on a thread of the runtime.

use std::cell::Cell;

use bytes::Bytes;
use coterie_storage::{Reader, RocksEngine, StorageError};
use tokio::task::block_in_place;

/// Reads values in memory directly. For others it lets the runtime continue without this thread,
/// since the disk may be slow.
pub(super) struct UnhurriedReader<'a> {
    engine: &'a RocksEngine,
    missed: Cell<bool>,
}

impl<'a> UnhurriedReader<'a> {
    pub(super) fn new(engine: &'a RocksEngine) -> Self {
        Self {
            engine,
            missed: Cell::new(false),
        }
    }

    /// Whether a value was not in memory.
    pub(super) fn missed(&self) -> bool {
        self.missed.get()
    }
}

impl Reader for UnhurriedReader<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        if let Some(found) = self.engine.get_in_memory(key) {
            return Ok(found);
        }
        self.missed.set(true);
        block_in_place(|| self.engine.get(key))
    }

    fn scan(
        &self,
        start: &[u8],
        end: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StorageError> {
        self.missed.set(true);
        block_in_place(|| self.engine.scan(start, end, visit))
    }
}
