//! The intervals of a store that are being emptied, and the thread that deletes their files.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

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
        self.intervals.lock().announced.extend(intervals);
    }

    pub(super) fn is_to_begin(&self) -> bool {
        !self.intervals.lock().announced.is_empty()
    }

    pub(super) fn is_under_way(&self) -> bool {
        let intervals = self.intervals.lock();
        !intervals.announced.is_empty() || !intervals.begun.is_empty()
    }

    pub(super) fn touches(&self, interval: &Interval) -> bool {
        self.intervals.lock().touch(interval)
    }

    /// Waits until no part of the interval is being cleared.
    pub(super) fn wait_for(&self, interval: &Interval) {
        let touches = |intervals: &mut Intervals| intervals.touch(interval);
        let mut intervals = self.intervals.lock();
        self.cleared.wait_while(&mut intervals, touches);
    }

    /// Ends the threads without deleting files: RocksDB removes the records as it compacts the
    /// files.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        let thread = self.reclaiming.lock().take();
        join(thread);
    }
}

pub(super) fn join(thread: Option<JoinHandle<()>>) {
    if let Some(Err(_)) = thread.map(JoinHandle::join) {
        tracing::error!("a thread that gives space back panicked");
    }
}
