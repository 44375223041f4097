//! The calls of each command, for `INFO commandstats`, `INFO latencystats`, and
//! `LATENCY HISTOGRAM`.
//!
//! A call counts when its reply is complete. Its time runs from when the proxy begins the command
//! to the complete reply, so it includes the way to the group, the log and the way back; Redis
//! counts only its own execution. A command that the proxy refused without asking a group is
//! *rejected*, and not a call. A call whose reply is an error has *failed*.
//!
//! Every thread counts in a shard of its own, as long as there are enough shards: the lock on the
//! hot path is then uncontended.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use coterie_redis_compat::{Command, ROWS};
use hdrhistogram::Histogram;
use parking_lot::{Mutex, MutexGuard};

/// Number of shards: this many threads count without contention.
const SHARDS: usize = 16;
/// Times are kept in nanoseconds with two significant digits; a longer time counts as this.
const LONGEST_NANOS: u64 = 600_000_000_000;
const DIGITS: u8 = 2;

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SHARD: usize = THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS;
}

/// The index of a row in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowNumber(u16);

impl RowNumber {
    /// The row.
    pub(crate) fn row(self) -> &'static Command {
        &ROWS[usize::from(self.0)]
    }
}

/// How often a command found a key and how often it did not, if the reply tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Lookups {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
}

/// The outcomes of a row's calls.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) calls: u64,
    pub(crate) micros: u64,
    pub(crate) rejected: u64,
    pub(crate) failed: u64,
    pub(crate) lookups: Lookups,
    /// The durations of the calls, in nanoseconds; allocated at the first call.
    pub(crate) times: Option<Box<Histogram<u64>>>,
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Calls {
    shards: Box<[Box<[Mutex<Counts>]>]>,
}

impl Calls {
    pub(crate) fn new() -> Self {
        let rows = || ROWS.iter().map(|_| Mutex::default()).collect();
        Self {
            shards: (0..SHARDS).map(|_| rows()).collect(),
        }
    }

    /// The number of a row in the table. Needs no search by name.
    pub(crate) fn number(&self, command: &'static Command) -> Option<RowNumber> {
        u16::try_from(command.number()).ok().map(RowNumber)
    }

    /// Counts a call that took this long.
    pub(crate) fn called(&self, row: RowNumber, took: Duration, failed: bool, lookups: Lookups) {
        let Some(mut counts) = self.counts(row) else {
            return;
        };
        counts.calls += 1;
        counts.micros += took.as_micros() as u64;
        counts.failed += u64::from(failed);
        counts.lookups.hits += lookups.hits;
        counts.lookups.misses += lookups.misses;
        if counts.times.is_none() {
            counts.times = new_times().map(Box::new);
        }
        if let Some(times) = &mut counts.times {
            times.saturating_record((took.as_nanos() as u64).max(1));
        }
    }

    /// Counts a command that was refused.
    pub(crate) fn rejected(&self, row: RowNumber) {
        if let Some(mut counts) = self.counts(row) {
            counts.rejected += 1;
        }
    }

    fn counts(&self, row: RowNumber) -> Option<MutexGuard<'_, Counts>> {
        let shard = &self.shards[SHARD.with(|shard| *shard)];
        shard.get(usize::from(row.0)).map(lock)
    }

    /// The counts by full name, of the commands that were called or refused.
    pub(crate) fn totals(&self) -> Vec<(&'static str, Counts)> {
        let totals = ROWS.iter().enumerate().map(|(at, row)| {
            let mut total = Counts::default();
            for shard in &self.shards {
                total.add(&lock(&shard[at]));
            }
            (row.name, total)
        });
        let mut totals: Vec<_> = totals
            .filter(|(_, of)| of.calls + of.rejected > 0)
            .collect();
        totals.sort_by_key(|(name, _)| *name);
        totals
    }

    /// Hits and misses of all commands together.
    pub(crate) fn lookups(&self) -> Lookups {
        let mut all = Lookups::default();
        for counts in self.shards.iter().flatten() {
            let found = lock(counts).lookups;
            all.hits += found.hits;
            all.misses += found.misses;
        }
        all
    }

    /// Resets all counts.
    pub(crate) fn reset(&self) {
        for counts in self.shards.iter().flatten() {
            *lock(counts) = Counts::default();
        }
    }
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        self.calls += other.calls;
        self.micros += other.micros;
        self.rejected += other.rejected;
        self.failed += other.failed;
        self.lookups.hits += other.lookups.hits;
        self.lookups.misses += other.lookups.misses;
        match (&mut self.times, &other.times) {
            (Some(times), Some(others)) => drop(times.add(others.as_ref())),
            (None, Some(others)) => self.times = Some(others.clone()),
            (_, None) => {}
        }
    }

    /// Microseconds of a call, on average.
    pub(crate) fn micros_per_call(&self) -> f64 {
        match self.calls {
            0 => 0.0,
            calls => self.micros as f64 / calls as f64,
        }
    }
}

fn new_times() -> Option<Histogram<u64>> {
    Histogram::new_with_bounds(1, LONGEST_NANOS, DIGITS).ok()
}

fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    // Nothing panics while holding it.
    counts.lock()
}

#[cfg(test)]
mod tests {
    use coterie_redis_compat::lookup;

    use super::*;

    fn call(calls: &Calls, row: &'static Command, millis: u64, failed: bool) {
        let number = calls.number(row).unwrap();
        let took = Duration::from_millis(millis);
        calls.called(number, took, failed, Lookups::default());
    }

    #[test]
    fn every_row_has_its_own_counts() {
        let calls = Calls::new();
        let mut rows = 0;
        for (at, row) in ROWS.iter().enumerate() {
            assert_eq!(
                calls.number(row),
                Some(RowNumber(at as u16)),
                "{}",
                row.name
            );
            call(&calls, row, 1, false);
            rows += 1;
        }
        let totals = calls.totals();
        assert_eq!(totals.len(), rows);
        assert!(totals.iter().all(|(_, of)| of.calls == 1));
        assert!(totals.is_sorted_by_key(|(name, _)| *name));
        calls.reset();
        assert!(calls.totals().is_empty());
    }

    #[test]
    fn the_counts_of_all_threads_add_up() {
        let calls = Calls::new();
        let get = lookup(b"get").unwrap();
        std::thread::scope(|scope| {
            for millis in 1..=4 {
                let calls = &calls;
                scope.spawn(move || call(calls, get, millis, millis == 4));
            }
        });
        let number = calls.number(get).unwrap();
        calls.rejected(number);
        let found = Lookups { hits: 2, misses: 1 };
        calls.called(number, Duration::from_millis(10), false, found);
        let totals = calls.totals();
        let [("get", total)] = totals.as_slice() else {
            panic!("{totals:?}")
        };
        assert_eq!((total.calls, total.rejected, total.failed), (5, 1, 1));
        assert_eq!((total.micros, total.micros_per_call()), (20_000, 4_000.0));
        assert_eq!(total.times.as_ref().unwrap().len(), 5);
        assert_eq!(calls.lookups(), found);
    }
}
