//! Readers of a fixed state of a store.

use bytes::Bytes;
use rocksdb::{DB, DBRawIterator, ReadOptions};

use super::failure::error;
use crate::cursor::Empty;
use crate::merged::{Below, Merged};
use crate::write_buffer::BufferView;
use crate::{Cursor, Reader, StorageError};

/// The store at a fixed moment: the write buffer and RocksDB.
pub(super) struct Snapshot<'a> {
    pub(super) buffer: BufferView,
    pub(super) below: rocksdb::Snapshot<'a>,
}

impl Reader for Snapshot<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        if let Some(newest) = self.buffer.get(key) {
            return Ok(newest);
        }
        let value = self.below.get_pinned(key).map_err(error("read"))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn cursor<'a>(
        &'a self,
        start: &[u8],
        end: &[u8],
    ) -> Result<Box<dyn Cursor + 'a>, StorageError> {
        if start >= end {
            return Ok(Box::new(Empty));
        }
        let below = self.below.raw_iterator_opt(bounds(start, end));
        Ok(merged(&self.buffer, below, start, end))
    }
}

/// A stopped store: every read fails.
pub(super) struct Stopped;

impl Reader for Stopped {
    fn get(&self, _key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        Err(StorageError::new("read", "an earlier write failed"))
    }

    fn cursor<'a>(
        &'a self,
        _start: &[u8],
        _end: &[u8],
    ) -> Result<Box<dyn Cursor + 'a>, StorageError> {
        Err(StorageError::new("scan", "an earlier write failed"))
    }
}

/// An iterator over the current state of RocksDB.
pub(super) fn iterator<'a>(db: &'a DB, start: &[u8], end: &[u8]) -> DBRawIterator<'a> {
    db.raw_iterator_opt(bounds(start, end))
}

/// A cursor over buffer and store at the same moment.
pub(super) fn merged<'a>(
    buffer: &BufferView,
    below: DBRawIterator<'a>,
    start: &[u8],
    end: &[u8],
) -> Box<dyn Cursor + 'a> {
    let (layers, below) = (buffer.cursors(start, end), Below(below));
    if layers.is_empty() {
        Box::new(below)
    } else {
        Box::new(Merged::new(layers, below))
    }
}

fn bounds(start: &[u8], end: &[u8]) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(start.to_vec());
    options.set_iterate_upper_bound(end.to_vec());
    options
}
