//! Times out calls: a single task for all connections of a client.
//!
//! While calls are waiting it checks them every few milliseconds, otherwise it sleeps. Timers per
//! call would cost more in total than the sweep.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::connection::Connection;

/// How late a call may learn that it has timed out.
const PERIOD: Duration = Duration::from_millis(10);

/// The sweeper of a client; see the module's head.
#[derive(Default)]
pub(crate) struct Sweeper {
    connections: Mutex<Vec<Weak<Connection>>>,
    asleep: AtomicBool,
    wake: Notify,
}

impl Sweeper {
    /// Includes the connection in the sweep for as long as it is alive.
    pub(crate) fn add(&self, connection: &Arc<Connection>) {
        let mut connections = self.lock();
        connections.retain(|known| known.strong_count() > 0);
        connections.push(Arc::downgrade(connection));
    }

    /// To be called after each queued call; costs a single load while the sweeper is awake.
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
                // A call queued before the flag was set has not stirred: check once more.
                if !self.sweep(Instant::now()) {
                    self.wake.notified().await;
                }
                self.asleep.store(false, Ordering::SeqCst);
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Fails calls that have timed out; returns whether calls are still waiting.
    fn sweep(&self, now: Instant) -> bool {
        let connections: Vec<_> = self.lock().iter().filter_map(Weak::upgrade).collect();
        let mut busy = false;
        for connection in connections {
            connection.expire(now);
            busy |= connection.is_busy();
        }
        busy
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Connection>>> {
        self.connections.lock()
    }
}
