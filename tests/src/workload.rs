//! Load from clients, on a runtime of their own, while the test's thread does harm.
//!
//! A workload runs until it is stopped, at most a fixed number of operations per client, and then
//! returns the records of its clients. The clients use the redis crate, as an application would.

pub mod bystanders;
pub mod client;
pub mod counters;
pub mod crowd;
pub mod fate;
pub mod fill;
pub mod ledger;
pub mod pauses;
pub mod probes;
pub mod registers;
pub mod scans;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::wait;
use pauses::Pauses;

/// The state that the tasks of a workload share with the test.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    pauses: Arc<Mutex<Pauses>>,
}

impl Progress {
    /// Whether the test has stopped the workload.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Counts an acknowledged operation that was sent at `began`.
    pub fn acknowledged(&self, began: Instant) {
        self.done.fetch_add(1, Ordering::Relaxed);
        self.pauses().record(began.elapsed());
    }

    fn pauses(&self) -> MutexGuard<'_, Pauses> {
        self.pauses.lock()
    }
}

/// Pauses between two calls, as an application does: a part of the load, not a wait for a
/// condition.
async fn think(length: Duration) {
    if !length.is_zero() {
        tokio::time::sleep(length).await;
    }
}

/// The running clients; each returns a `T` in the end. Dropping this value aborts them.
pub struct Load<T> {
    runtime: Runtime,
    tasks: JoinSet<T>,
    progress: Progress,
}

impl<T: Send + 'static> Load<T> {
    /// Starts a task for each number below `clients`.
    pub fn start<F, Fut>(clients: usize, client: F) -> anyhow::Result<Self>
    where
        F: Fn(usize, Progress) -> Fut,
        Fut: Future<Output = T> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let progress = Progress::default();
        let mut tasks = JoinSet::new();
        for number in 0..clients {
            tasks.spawn_on(client(number, progress.clone()), runtime.handle());
        }
        Ok(Self {
            runtime,
            tasks,
            progress,
        })
    }

    /// The number of acknowledged operations so far, of all clients.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.progress.done.load(Ordering::Relaxed)
    }

    /// The times of the operations acknowledged since the last call.
    #[must_use]
    pub fn take_pauses(&self) -> Pauses {
        std::mem::take(&mut *self.progress.pauses())
    }

    /// Waits until `more` further operations are acknowledged.
    pub fn wait_for(&self, more: u64, within: Duration) -> anyhow::Result<()> {
        let goal = self.acknowledged() + more;
        wait::until("clients make progress", within, || {
            let done = self.acknowledged();
            ensure!(done >= goal, "{done} of {goal} operations acknowledged");
            Ok(())
        })
    }

    /// Tells the clients to stop, waits for them, and returns their results.
    pub fn stop(mut self, within: Duration) -> anyhow::Result<Vec<T>> {
        self.progress.stop.store(true, Ordering::Relaxed);
        let mut results = Vec::new();
        self.runtime.block_on(async {
            let all = async {
                while let Some(result) = self.tasks.join_next().await {
                    results.push(result.context("a client panicked")?);
                }
                anyhow::Ok(())
            };
            tokio::time::timeout(within, all)
                .await
                .context("clients did not stop")?
        })?;
        Ok(results)
    }
}
