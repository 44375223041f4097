//! Write stamps per key. A value read from the store is current until the next write of its key
//! begins; comparing stamps tells whether a write has begun.
//!
//! Keys share counters by their hash, so that the table is small and needs no lock. A write also
//! invalidates keys that share a counter with its keys; the cost is another read of these keys.

use std::sync::atomic::{AtomicU64, Ordering};

/// Step of the write count. The begin of a write adds 1; its end subtracts 1 and adds this step.
const STAMP: u64 = 1 << 16;

/// A counter shared by several keys: writes in flight in the low bits, finished writes above.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

/// The state of a counter while no write was in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

impl Counter {
    /// The current stamp, if no write is in flight.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        let state = self.0.load(Ordering::SeqCst);
        state.is_multiple_of(STAMP).then_some(Stamp(state))
    }

    /// Whether no write has begun since the stamp was taken.
    pub(crate) fn is_still(&self, stamp: Stamp) -> bool {
        self.0.load(Ordering::SeqCst) == stamp.0
    }

    /// At most 65,535 writes may be in flight.
    fn begin(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn end(&self) {
        self.0.fetch_add(STAMP - 1, Ordering::SeqCst);
    }
}

/// Counters for the keys of all stores, by the hash of store and key.
#[derive(Debug)]
pub(crate) struct Stamps(Box<[Counter]>);

impl Stamps {
    /// `count` is a power of two.
    pub(crate) fn new(count: usize) -> Self {
        Self((0..count).map(|_| Counter::default()).collect())
    }

    /// The counter of a hash.
    pub(crate) fn of(&self, hash: u64) -> &Counter {
        &self.0[self.index(hash)]
    }

    fn index(&self, hash: u64) -> usize {
        hash as usize & (self.0.len() - 1)
    }

    /// Begins a write of keys with these hashes; it ends when the returned guard is dropped.
    pub(crate) fn write(&self, hashes: impl Iterator<Item = u64>) -> Writing<'_> {
        let mut indexes: Vec<usize> = hashes.map(|hash| self.index(hash)).collect();
        // Each counter only once: a batch may write a key any number of times.
        indexes.sort_unstable();
        indexes.dedup();
        for index in &indexes {
            self.0[*index].begin();
        }
        Writing {
            stamps: self,
            indexes,
        }
    }
}

/// A write in flight.
#[must_use]
pub(crate) struct Writing<'a> {
    stamps: &'a Stamps,
    indexes: Vec<usize>,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        for index in &self.indexes {
            self.stamps.0[*index].end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_still_once_a_write_of_it_has_begun() {
        let stamps = Stamps::new(8);
        let (written, other) = (stamps.of(3), stamps.of(4));
        let before = (written.stamp(), other.stamp());
        let writing = stamps.write([3, 3, 11].into_iter());
        assert_eq!(written.stamp(), None);
        assert!(before.0.is_some_and(|stamp| !written.is_still(stamp)));
        drop(writing);
        assert!(written.stamp().is_some());
        assert!(before.0.is_some_and(|stamp| !written.is_still(stamp)));
        assert!(before.1.is_some_and(|stamp| other.is_still(stamp)));
    }

    #[test]
    fn a_write_that_ends_leaves_another_under_way() {
        let stamps = Stamps::new(8);
        let (first, second) = (stamps.write([1].into_iter()), stamps.write([1].into_iter()));
        drop(first);
        assert_eq!(stamps.of(1).stamp(), None);
        drop(second);
        assert!(stamps.of(1).stamp().is_some());
    }
}
