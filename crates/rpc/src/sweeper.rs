//! Ends the calls whose deadline is past: one task for all connections of a client.
//!
//! It looks through the waiting calls every few milliseconds while there are any, and sleeps
//! otherwise. A timer per call would cost each of them more than the sweep costs all together.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::connection::Connection;

/// How late a call may learn that its time is over.
const PERIOD: Duration = Duration::from_millis(10);

/// See the module's head.
#[derive(Default)]
pub(crate) struct Sweeper {
    connections: Mutex<Vec<Weak<Connection>>>,
    asleep: AtomicBool,
    wake: Notify,
}

impl Sweeper {
    /// Watches over the connection for as long as it is alive.
    pub(crate) fn add(&self, connection: &Arc<Connection>) {
        let mut connections = self.lock();
        connections.retain(|known| known.strong_count() > 0);
        connections.push(Arc::downgrade(connection));
    }

    /// To be called after each call that was queued; costs one load when the sweeper is awake.
    pub(crate) fn stir(&self) {
        if self.asleep.load(Ordering::SeqCst) {
            self.wake.notify_one();
        }
    }

    /// The body of the task.
    pub(crate) async fn run(&self) {
        loop {
            if !self.sweep(Instant::now()) {
                self.asleep.store(true, Ordering::SeqCst);
                // A call queued before the flag was up has not stirred: look once more.
                if !self.sweep(Instant::now()) {
                    self.wake.notified().await;
                }
                self.asleep.store(false, Ordering::SeqCst);
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Expires what is due; whether calls are left that wait.
    fn sweep(&self, now: Instant) -> bool {
        let connections: Vec<_> = self.lock().iter().filter_map(Weak::upgrade).collect();
        let mut busy = false;
        for connection in connections {
            connection.expire(now);
            busy |= connection.is_busy();
        }
        busy
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Connection>>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
