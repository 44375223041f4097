//! `CLIENT PAUSE`: holds back the commands of all clients of this proxy until a time, or until
//! `CLIENT UNPAUSE`. Other proxies of the cluster are not held back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Pause {
    origin: Instant,
    /// Milliseconds since `origin`; 0 for no pause.
    until: AtomicU64,
    writes_only: AtomicBool,
    ended: Notify,
}

impl Pause {
    pub(crate) fn new() -> Self {
        Self {
            origin: Instant::now(),
            until: AtomicU64::new(0),
            writes_only: AtomicBool::new(false),
            ended: Notify::new(),
        }
    }

    /// Holds back all commands, or only writes, for `duration`. A pause in progress is not
    /// shortened, and a pause of all commands is not weakened (`networking.c`, `pauseActions`).
    pub(crate) fn begin(&self, duration: Duration, writes_only: bool) {
        let until = (self.now() + duration.as_millis() as u64).max(1);
        if self.left().is_none() {
            self.until.store(until, Ordering::Relaxed);
            self.writes_only.store(writes_only, Ordering::Relaxed);
        } else {
            self.until.fetch_max(until, Ordering::Relaxed);
            self.writes_only.fetch_and(writes_only, Ordering::Relaxed);
        }
    }

    /// Ends the pause.
    pub(crate) fn end(&self) {
        self.until.store(0, Ordering::Relaxed);
        self.ended.notify_waiters();
    }

    /// Whether a command has to wait now.
    pub(crate) fn holds(&self, is_write: bool) -> bool {
        self.until.load(Ordering::Relaxed) != 0
            && self.left().is_some()
            && (is_write || !self.writes_only.load(Ordering::Relaxed))
    }

    /// Waits until a command that was held back may try again.
    pub(crate) async fn over(&self) {
        let ended = self.ended.notified();
        if let Some(left) = self.left() {
            let _ = tokio::time::timeout(left, ended).await;
        }
    }

    fn left(&self) -> Option<Duration> {
        let left = self
            .until
            .load(Ordering::Relaxed)
            .saturating_sub(self.now());
        (left > 0).then(|| Duration::from_millis(left))
    }

    fn now(&self) -> u64 {
        self.origin.elapsed().as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pause_holds_what_it_says_until_it_ends() {
        let pause = Pause::new();
        assert!(!pause.holds(true));
        pause.begin(Duration::from_secs(100), true);
        assert!(pause.holds(true) && !pause.holds(false));
        pause.begin(Duration::from_secs(1), false);
        assert!(pause.holds(false), "stronger, and not shorter");
        let over = pause.over();
        tokio::pin!(over);
        assert!(futures_util::poll!(over.as_mut()).is_pending());
        pause.end();
        assert!(futures_util::poll!(over.as_mut()).is_ready());
        assert!(!pause.holds(true));
    }
}
