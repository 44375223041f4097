//! Readers of a fixed state of a store.

use bytes::Bytes;
use rocksdb::ReadOptions;

use super::error;
use crate::{Reader, StorageError};

/// The store at a fixed moment.
pub(super) struct Snapshot<'a>(pub(super) rocksdb::Snapshot<'a>);

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

/// A stopped store: every read fails.
pub(super) struct Stopped;

impl Reader for Stopped {
    fn get(&self, _key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        Err(StorageError::new("read", "an earlier write failed"))
    }

    fn scan(
        &self,
        _start: &[u8],
        _end: &[u8],
        _visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StorageError> {
        Err(StorageError::new("scan", "an earlier write failed"))
    }
}

pub(super) fn bounds(start: &[u8], end: &[u8]) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(start.to_vec());
    options.set_iterate_upper_bound(end.to_vec());
    options
}

pub(super) fn visit_all(
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
