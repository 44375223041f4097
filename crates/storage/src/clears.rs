//! The recently cleared intervals of a store: a value that was read before, or during, a clearing
//! of its key is stale.
//!
//! A reader notes the moment before it reads. Each clearing makes two new moments, when it begins
//! and when it ends, so that a value was read after the clearing only if its moment is not before
//! the end. The last clearings are remembered with their intervals; a value from before the oldest
//! of them counts as cleared.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{RwLock, RwLockWriteGuard};

/// Clearings that are remembered, at most.
const REMEMBERED: usize = 64;
/// Intervals of a clearing that are remembered separately; if there are more, only the start of the
/// first and the end of the last are remembered.
const INTERVALS_MAX: usize = 64;

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Clears {
    moment: AtomicU64,
    last: RwLock<Last>,
}

#[derive(Debug, Default)]
struct Last {
    clears: VecDeque<Clear>,
    /// The end of the last clearing that was forgotten.
    forgotten: u64,
}

#[derive(Debug)]
struct Clear {
    intervals: Vec<(Vec<u8>, Vec<u8>)>,
    /// Its last moment; the greatest number while it is in progress.
    end: u64,
}

impl Clears {
    /// The moment before a read.
    pub(crate) fn moment(&self) -> u64 {
        self.moment.load(Ordering::SeqCst)
    }

    /// If no clearing since the moment `since` had the key: the moment up to which this is known.
    pub(crate) fn spared(&self, key: &[u8], since: u64) -> Option<u64> {
        if since == self.moment() {
            return Some(since);
        }
        let last = self.last.read();
        let later = last.clears.iter().rev();
        let mut later = later.take_while(|clear| clear.end > since);
        let is_spared = since >= last.forgotten && !later.any(|clear| clear.has(key));
        // The moment changes only under the lock.
        is_spared.then(|| self.moment())
    }

    /// Begins a clearing of these intervals; it ends when the returned guard is dropped. The next
    /// clearing may begin only then.
    pub(crate) fn begin(&self, intervals: &[(Vec<u8>, Vec<u8>)]) -> Clearing<'_> {
        let mut intervals = intervals.to_vec();
        if intervals.len() > INTERVALS_MAX {
            intervals.sort_unstable();
            let start = intervals.first().map(|(start, _)| start.clone());
            let end = intervals.iter().map(|(_, end)| end).max().cloned();
            intervals = start.into_iter().zip(end).collect();
        }
        let mut last = self.last();
        if last.clears.len() == REMEMBERED
            && let Some(oldest) = last.clears.pop_front()
        {
            last.forgotten = oldest.end;
        }
        let end = u64::MAX;
        last.clears.push_back(Clear { intervals, end });
        self.moment.fetch_add(1, Ordering::SeqCst);
        Clearing(self)
    }

    fn last(&self) -> RwLockWriteGuard<'_, Last> {
        self.last.write()
    }
}

impl Clear {
    fn has(&self, key: &[u8]) -> bool {
        let mut intervals = self.intervals.iter();
        intervals.any(|(start, end)| start[..] <= *key && *key < end[..])
    }
}

/// A clearing in progress.
#[must_use]
pub(crate) struct Clearing<'a>(&'a Clears);

impl Drop for Clearing<'_> {
    fn drop(&mut self) {
        let mut last = self.0.last();
        let end = self.0.moment.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(clear) = last.clears.back_mut() {
            clear.end = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spared(clears: &Clears, key: &[u8], since: u64) -> bool {
        let until = clears.spared(key, since);
        assert!(until.is_none_or(|moment| moment == clears.moment()));
        until.is_some()
    }

    fn interval(start: &str, end: &str) -> (Vec<u8>, Vec<u8>) {
        (start.into(), end.into())
    }

    #[test]
    fn only_keys_of_the_interval_are_cleared() {
        let clears = Clears::default();
        let before = clears.moment();
        let clearing = clears.begin(&[interval("b", "d"), interval("x", "y")]);
        let during = clears.moment();
        for moment in [before, during] {
            assert!(spared(&clears, b"a", moment) && spared(&clears, b"d", moment));
        }
        assert!(!spared(&clears, b"b", before) && !spared(&clears, b"x1", before));
        drop(clearing);
        for moment in [before, during] {
            assert!(spared(&clears, b"a", moment) && spared(&clears, b"d", moment));
            assert!(!spared(&clears, b"b", moment) && !spared(&clears, b"x1", moment));
        }
        assert!(spared(&clears, b"b", clears.moment()));
        let after = clears.moment();
        drop(clears.begin(&[interval("f", "g")]));
        assert!(spared(&clears, b"b", after) && !spared(&clears, b"f", after));
    }

    #[test]
    fn what_was_read_before_the_oldest_that_is_remembered_is_not_current() {
        let clears = Clears::default();
        let first = clears.moment();
        let mut moments = Vec::new();
        for _ in 0..=REMEMBERED {
            drop(clears.begin(&[interval("b", "c")]));
            moments.push(clears.moment());
        }
        assert!(!spared(&clears, b"a", first));
        assert!(spared(&clears, b"a", moments[0]) && !spared(&clears, b"b", moments[0]));
        let many: Vec<_> = (0..=INTERVALS_MAX as u8)
            .rev()
            .map(|n| (vec![n], vec![n, 0]))
            .collect();
        let before = clears.moment();
        drop(clears.begin(&many));
        assert!(!spared(&clears, &[7, 9], before) && spared(&clears, &[200], before));
    }
}
