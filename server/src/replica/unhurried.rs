//! The store to which entries are applied, as read on a thread of the runtime.

use std::cell::Cell;

use bytes::Bytes;
use coterie_storage::{Cursor, Reader, RocksEngine, StorageError};
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

    fn cursor<'c>(
        &'c self,
        start: &[u8],
        end: &[u8],
    ) -> Result<Box<dyn Cursor + 'c>, StorageError> {
        self.missed.set(true);
        let cursor = block_in_place(|| self.engine.cursor(start, end))?;
        Ok(Box::new(UnhurriedCursor(cursor)))
    }

    /// The runtime is handed on once, for the whole walk.
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

/// A cursor that hands the runtime on while it moves.
struct UnhurriedCursor<'a>(Box<dyn Cursor + 'a>);

impl Cursor for UnhurriedCursor<'_> {
    fn seek(&mut self, key: &[u8]) -> Result<(), StorageError> {
        block_in_place(|| self.0.seek(key))
    }

    fn seek_before(&mut self, key: &[u8]) -> Result<(), StorageError> {
        block_in_place(|| self.0.seek_before(key))
    }

    fn next(&mut self) -> Result<(), StorageError> {
        block_in_place(|| self.0.next())
    }

    fn prev(&mut self) -> Result<(), StorageError> {
        block_in_place(|| self.0.prev())
    }

    fn entry(&self) -> Option<(&[u8], &[u8])> {
        self.0.entry()
    }
}
