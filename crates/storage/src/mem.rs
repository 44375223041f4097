//! A store in memory whose crash loses unflushed writes: for tests and simulations.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use crate::{Batch, Engine, Interval, Reader, StorageError};

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
        let durable = read(&self.durable).clone();
        *write(&self.live) = durable;
    }
}

fn read(map: &RwLock<Map>) -> RwLockReadGuard<'_, Map> {
    map.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(map: &RwLock<Map>) -> RwLockWriteGuard<'_, Map> {
    map.write().unwrap_or_else(PoisonError::into_inner)
}

impl Reader for Map {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        Ok(BTreeMap::get(self, key).cloned())
    }

    fn scan(
        &self,
        start: &[u8],
        end: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StorageError> {
        if start < end {
            for (key, value) in self.range(start.to_vec()..end.to_vec()) {
                if !visit(key, value) {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Reader for MemEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        Reader::get(&*read(&self.live), key)
    }

    fn scan(
        &self,
        start: &[u8],
        end: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StorageError> {
        read(&self.live).scan(start, end, visit)
    }
}

impl Engine for MemEngine {
    fn read_consistently(&self, reading: &mut dyn FnMut(&dyn Reader)) {
        reading(&*read(&self.live));
    }

    fn get_durable(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        Reader::get(&*read(&self.durable), key)
    }

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        let mut live = write(&self.live);
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
        let live = read(&self.live).clone();
        *write(&self.durable) = live;
        Ok(())
    }

    fn unflushed_bytes(&self) -> usize {
        0
    }

    fn checkpoint(&self, _dir: &Path) -> Result<(), StorageError> {
        Err(StorageError::new("checkpoint", "the store is in memory"))
    }

    fn size_bytes(&self) -> u64 {
        read(&self.live)
            .iter()
            .map(|(key, value)| (key.len() + value.len()) as u64)
            .sum()
    }

    fn approximate_sizes(&self, intervals: &[(Vec<u8>, Vec<u8>)]) -> Vec<u64> {
        let live = read(&self.live);
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
        let mut live = write(&self.live);
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
