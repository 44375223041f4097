//! A store in memory whose crash loses unflushed writes: for tests and simulations.

use std::collections::BTreeMap;
use std::ops::{Bound, Deref};
use std::path::Path;

use bytes::Bytes;
use parking_lot::RwLock;

use crate::cursor::rest;
use crate::{Batch, Cursor, Engine, Interval, Reader, StorageError};

type Map = BTreeMap<Vec<u8>, Bytes>;

/// See the module's head.
#[derive(Debug, Default)]
pub struct MemEngine {
    live: RwLock<Map>,
    durable: RwLock<Map>,
}

impl MemEngine {
    /// Drops all unflushed writes, as a crash does.
    pub fn crash(&self) {
        let durable = self.durable.read().clone();
        *self.live.write() = durable;
    }
}

impl Reader for Map {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        Ok(BTreeMap::get(self, key).cloned())
    }

    fn cursor<'a>(
        &'a self,
        start: &[u8],
        end: &[u8],
    ) -> Result<Box<dyn Cursor + 'a>, StorageError> {
        Ok(Box::new(MapCursor::new(self, start, end)))
    }
}

/// A cursor over a map that does not change.
struct MapCursor<M> {
    map: M,
    start: Vec<u8>,
    end: Vec<u8>,
    at: Option<(Vec<u8>, Bytes)>,
}

impl<M: Deref<Target = Map>> MapCursor<M> {
    fn new(map: M, start: &[u8], end: &[u8]) -> Self {
        Self {
            map,
            start: start.to_vec(),
            end: end.to_vec(),
            at: None,
        }
    }

    /// Goes to the first entry from `bound` on, in the direction of the walk.
    fn go(&mut self, bound: Bound<&[u8]>, is_back: bool) {
        let rest = rest(&self.start, &self.end, bound, is_back);
        let found = rest.and_then(|rest| {
            let mut rest = self.map.range::<[u8], _>(rest);
            if is_back {
                rest.next_back()
            } else {
                rest.next()
            }
        });
        self.at = found.map(|(key, value)| (key.clone(), value.clone()));
    }
}

impl<M: Deref<Target = Map>> Cursor for MapCursor<M> {
    fn seek(&mut self, key: &[u8]) -> Result<(), StorageError> {
        self.go(Bound::Included(key), false);
        Ok(())
    }

    fn seek_before(&mut self, key: &[u8]) -> Result<(), StorageError> {
        self.go(Bound::Excluded(key), true);
        Ok(())
    }

    fn next(&mut self) -> Result<(), StorageError> {
        if let Some((here, _)) = self.at.take() {
            self.go(Bound::Excluded(&here), false);
        }
        Ok(())
    }

    fn prev(&mut self) -> Result<(), StorageError> {
        if let Some((here, _)) = self.at.take() {
            self.seek_before(&here)?;
        }
        Ok(())
    }

    fn entry(&self) -> Option<(&[u8], &[u8])> {
        self.at.as_ref().map(|(key, value)| (&key[..], &value[..]))
    }
}

impl Reader for MemEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        Reader::get(&*self.live.read(), key)
    }

    fn cursor<'a>(
        &'a self,
        start: &[u8],
        end: &[u8],
    ) -> Result<Box<dyn Cursor + 'a>, StorageError> {
        Ok(Box::new(MapCursor::new(self.live.read(), start, end)))
    }
}

impl Engine for MemEngine {
    fn read_consistently(&self, reading: &mut dyn FnMut(&dyn Reader)) {
        reading(&*self.live.read());
    }

    fn get_durable(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        Reader::get(&*self.durable.read(), key)
    }

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        let mut live = self.live.write();
        for (start, end) in &batch.clears {
            live.retain(|key, _| key < start || key >= end);
        }
        for (key, value) in batch.writes {
            match value {
                Some(value) => drop(live.insert(key, Bytes::from(value))),
                None => drop(live.remove(&key)),
            }
        }
        Ok(())
    }

    fn start_flush(&self) -> Result<(), StorageError> {
        self.flush()
    }

    fn flush(&self) -> Result<(), StorageError> {
        let live = self.live.read().clone();
        *self.durable.write() = live;
        Ok(())
    }

    fn unflushed_bytes(&self) -> usize {
        0
    }

    fn checkpoint(&self, _dir: &Path) -> Result<(), StorageError> {
        Err(StorageError::new("checkpoint", "the store is in memory"))
    }

    fn size_bytes(&self) -> u64 {
        self.live
            .read()
            .iter()
            .map(|(key, value)| (key.len() + value.len()) as u64)
            .sum()
    }

    fn approximate_sizes(&self, intervals: &[(Vec<u8>, Vec<u8>)]) -> Vec<u64> {
        let live = self.live.read();
        let size = |(start, end): &(Vec<u8>, Vec<u8>)| {
            let within = live
                .iter()
                .filter(|(key, _)| *start <= **key && **key < *end);
            within
                .map(|(key, value)| (key.len() + value.len()) as u64)
                .sum()
        };
        intervals.iter().map(size).collect()
    }

    fn may_flush_now(&self) -> bool {
        true
    }

    /// Clears at once: memory is freed with it.
    fn clear_with_flush(&self, intervals: Vec<Interval>) {
        let mut live = self.live.write();
        for (start, end) in intervals {
            live.retain(|key, _| *key < start || *key >= end);
        }
    }

    fn is_to_clear(&self) -> bool {
        false
    }

    fn is_clearing(&self) -> bool {
        false
    }

    fn is_clearing_in(&self, _interval: &Interval) -> bool {
        false
    }

    fn wait_until_cleared(&self, _interval: &Interval) {}
}
