//! How long a caller waits for an answer: at most until a deadline, and only while there are signs
//! of progress.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When a call is given up. The silence starts when the call is queued, and restarts with each
/// piece of its answer, each report that it is being worked on, and each external sign of progress.
#[derive(Debug, Clone)]
pub struct Patience {
    /// The call is given up at this time in any case.
    pub deadline: Instant,
    /// The call is given up after this time without a sign.
    pub silence: Duration,
    /// External signs of progress: of other calls that depend on the same work.
    pub progress: Option<Arc<Progress>>,
}

/// The time of the last progress. Shared by the tasks that note it and the tasks that wait for it.
#[derive(Debug)]
pub struct Progress {
    since: Instant,
    /// In milliseconds from `since`.
    last_ms: AtomicU64,
}

impl Patience {
    /// Waits until the deadline, however long the silence.
    #[must_use]
    pub fn until(deadline: Instant) -> Self {
        Self {
            deadline,
            silence: Duration::MAX,
            progress: None,
        }
    }

    /// When the call is given up, if there is no sign after `heard`.
    pub(crate) fn end(&self, heard: Instant) -> Instant {
        let told = self.progress.as_ref().map(|progress| progress.last());
        let heard = told.map_or(heard, |told| told.max(heard));
        let silent = heard.checked_add(self.silence);
        silent.map_or(self.deadline, |silent| silent.min(self.deadline))
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            last_ms: AtomicU64::new(0),
        }
    }
}

impl Progress {
    /// Notes progress now.
    pub fn note(&self) {
        let now_ms = self.since.elapsed().as_millis() as u64;
        self.last_ms.store(now_ms, Ordering::Relaxed);
    }

    /// The last progress; before the first, the time of creation.
    #[must_use]
    pub fn last(&self) -> Instant {
        self.since + Duration::from_millis(self.last_ms.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_broken_by_progress_and_the_deadline_by_nothing() {
        let now = Instant::now();
        let (second, long) = (Duration::from_secs(1), Duration::from_secs(10));
        let mut patience = Patience {
            deadline: now + long,
            silence: second,
            progress: None,
        };
        assert_eq!(patience.end(now), now + second);
        assert_eq!(patience.end(now + second), now + 2 * second);
        assert_eq!(patience.end(now + long), now + long);
        let progress = Arc::new(Progress::default());
        patience.progress = Some(Arc::clone(&progress));
        assert!(patience.end(now) >= now + second);
        progress.note();
        assert!(patience.end(now) >= progress.last() + second);
        assert_eq!(Patience::until(now).end(now), now);
    }
}
