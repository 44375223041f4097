//! How long a caller waits for an answer: to a deadline at most, and as long as it hears of
//! progress.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When a call is given up. Silence begins when the call is queued, and anew with each piece of its
/// answer, each word that it is being worked on, and each progress that others tell of.
#[derive(Debug, Clone)]
pub struct Patience {
    /// Given up then, whatever was heard.
    pub deadline: Instant,
    /// Given up after so long without a sign.
    pub silence: Duration,
    /// Signs that do not come with the call: of others that are answered by the same.
    pub progress: Option<Arc<Progress>>,
}

/// When something went on last. Shared by those who see it and those who wait for it.
#[derive(Debug)]
pub struct Progress {
    since: Instant,
    /// In milliseconds from `since`.
    last_ms: AtomicU64,
}

impl Patience {
    /// Until the deadline, in silence.
    #[must_use]
    pub fn until(deadline: Instant) -> Self {
        Self {
            deadline,
            silence: Duration::MAX,
            progress: None,
        }
    }

    /// When the call is given up, if nothing is heard after `heard`.
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
    /// It goes on.
    pub fn note(&self) {
        let now_ms = self.since.elapsed().as_millis() as u64;
        self.last_ms.store(now_ms, Ordering::Relaxed);
    }

    /// When it was noted last; at first, when it was made.
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
