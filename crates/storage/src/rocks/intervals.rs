//! The intervals of a store that are being emptied, and the thread that deletes their files.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::Interval;

/// See the module's head.
#[derive(Default)]
pub(super) struct Clearing {
    pub(super) intervals: Mutex<Intervals>,
    pub(super) cleared: Condvar,
    /// The last thread that deletes files; it waits for the thread before it.
    pub(super) reclaiming: Mutex<Option<JoinHandle<()>>>,
    pub(super) is_closed: AtomicBool,
}

#[derive(Default)]
pub(super) struct Intervals {
    /// Intervals for the next flush.
    pub(super) announced: Vec<Interval>,
    /// Intervals of flushes that were begun.
    pub(super) begun: Vec<Interval>,
}

impl Intervals {
    fn touch(&self, (start, end): &Interval) -> bool {
        let mut all = self.announced.iter().chain(&self.begun);
        all.any(|(from, to)| from < end && start < to)
    }
}

impl Clearing {
    /// The next flush is to clear these intervals, too.
    pub(super) fn announce(&self, intervals: Vec<Interval>) {
        lock(&self.intervals).announced.extend(intervals);
    }

    pub(super) fn is_to_begin(&self) -> bool {
        !lock(&self.intervals).announced.is_empty()
    }

    pub(super) fn is_under_way(&self) -> bool {
        let intervals = lock(&self.intervals);
        !intervals.announced.is_empty() || !intervals.begun.is_empty()
    }

    pub(super) fn touches(&self, interval: &Interval) -> bool {
        lock(&self.intervals).touch(interval)
    }

    /// Waits until no part of the interval is being cleared.
    pub(super) fn wait_for(&self, interval: &Interval) {
        let touches = |intervals: &mut Intervals| intervals.touch(interval);
        let waited = self.cleared.wait_while(lock(&self.intervals), touches);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Ends the threads without deleting files: RocksDB removes the records as it compacts the
    /// files.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        let thread = lock(&self.reclaiming).take();
        join(thread);
    }
}

pub(super) fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn join(thread: Option<JoinHandle<()>>) {
    if let Some(Err(_)) = thread.map(JoinHandle::join) {
        tracing::error!("a thread that gives space back panicked");
    }
}
