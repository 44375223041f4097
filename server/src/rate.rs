//! A limit on bytes per second, shared by all background copies of a node.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

/// A debt that time pays off: a task that takes more than the rate allows waits before it goes on.
#[derive(Debug)]
pub(crate) struct Rate {
    bytes_per_second: u64,
    paid_until: Mutex<Instant>,
}

impl Rate {
    /// A limit of `bytes_per_second`; 0 is unlimited.
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second,
            paid_until: Mutex::new(Instant::now()),
        }
    }

    /// Waits until earlier bytes are paid for, then takes `bytes`.
    pub(crate) async fn take(&self, bytes: usize) {
        if self.bytes_per_second == 0 {
            return;
        }
        let cost = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        // The lock serves waiting tasks in turn.
        let mut paid_until = self.paid_until.lock().await;
        let now = Instant::now();
        tokio::time::sleep_until((*paid_until).into()).await;
        *paid_until = (*paid_until).max(now) + cost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_taken_is_waited_for() {
        let rate = Rate::new(1000);
        let start = tokio::time::Instant::now();
        rate.take(500).await;
        assert!(
            start.elapsed() < Duration::from_millis(50),
            "the first is free"
        );
        rate.take(500).await;
        assert!(start.elapsed() >= Duration::from_millis(400));
        let free = Rate::new(0);
        free.take(usize::MAX).await;
    }
}
