//! Latency events, as `LATENCY` shows them: commands that took at least `latency-monitor-threshold`
//! milliseconds (Redis `latency.c`).
//!
//! There are two events, `command` and `fast-command`; a command is fast by the flag of its row.
//! Each keeps its latest samples, one a second at most: the longest of the second.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coterie_redis_compat::{Command, Flags};
use parking_lot::{Mutex, MutexGuard};

/// Samples of an event.
const SAMPLES_MAX: usize = 160;

/// The seconds since 1970 of a sample, and its milliseconds.
pub(crate) type Sample = (u64, u64);

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct LatencyEvents {
    events: Mutex<BTreeMap<&'static str, Event>>,
}

/// The samples of an event.
#[derive(Debug, Clone, Default)]
pub(crate) struct Event {
    /// The oldest first; never empty.
    pub(crate) samples: VecDeque<Sample>,
    /// The longest since the last reset.
    pub(crate) longest: u64,
}

impl LatencyEvents {
    /// Notes a command that took at least the threshold.
    pub(crate) fn note(&self, row: &Command, took: Duration) {
        let now = SystemTime::now();
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = if row.flags.contains(Flags::FAST) {
            "fast-command"
        } else {
            "command"
        };
        let mut events = self.lock();
        let event = events.entry(name).or_default();
        event.take((now.as_secs(), took.as_millis() as u64));
    }

    /// All events, by name.
    pub(crate) fn all(&self) -> BTreeMap<&'static str, Event> {
        self.lock().clone()
    }

    /// The event of this name.
    pub(crate) fn get(&self, name: &[u8]) -> Option<Event> {
        let name = std::str::from_utf8(name).ok()?;
        self.lock().get(name).cloned()
    }

    /// Forgets the events that `is_named` names; returns how many.
    pub(crate) fn reset(&self, is_named: impl Fn(&str) -> bool) -> usize {
        let mut events = self.lock();
        let before = events.len();
        events.retain(|name, _| !is_named(name));
        before - events.len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Event>> {
        // Nothing panics while holding it.
        self.events.lock()
    }
}

impl Event {
    fn take(&mut self, sample: Sample) {
        self.longest = self.longest.max(sample.1);
        if let Some(last) = self.samples.back_mut()
            && last.0 == sample.0
        {
            last.1 = last.1.max(sample.1);
            return;
        }
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_one_sample_and_the_number_of_samples_is_bounded() {
        let mut event = Event::default();
        for sample in [(1, 5), (1, 9), (1, 2), (2, 3)] {
            event.take(sample);
        }
        assert_eq!(event.samples, [(1, 9), (2, 3)]);
        for second in 3..1000 {
            event.take((second, 1));
        }
        assert_eq!(event.samples.len(), SAMPLES_MAX);
        assert_eq!(event.samples.back(), Some(&(999, 1)));
        assert_eq!(event.longest, 9, "also when its sample is gone");
    }

    #[test]
    fn events_are_reset_by_name() {
        let events = LatencyEvents::default();
        let row = |name: &str| coterie_redis_compat::lookup(name.as_bytes()).expect("a row");
        events.note(row("get"), Duration::from_millis(7));
        events.note(row("keys"), Duration::from_millis(8));
        assert_eq!(
            events.all().keys().copied().collect::<Vec<_>>(),
            ["command", "fast-command"]
        );
        assert_eq!(
            events.get(b"fast-command").map(|event| event.longest),
            Some(7)
        );
        assert_eq!(events.reset(|name| name == "command"), 1);
        assert!(events.get(b"command").is_none());
        assert_eq!(events.reset(|_| true), 1);
    }
}
