//! The load: clients in a closed loop; each sends its next batch after the replies to the last.
//!
//! The peers that speak RESP share a generator (`resp`), etcd has its own (`etcd`), with the same
//! keys, values and clock. An operation counts if its reply came within the measured time; its
//! latency is the latency of its batch. Clients are tasks on a few single-threaded runtimes: the
//! generator takes little of the cores it shares with the servers.

pub(crate) mod etcd;
pub(crate) mod resp;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use coterie_tests::rng::Rng;
use hdrhistogram::Histogram;

use crate::plan::{Operation, Shape};

/// How long clients may take to stop; more than any server's request timeout.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// The keys and values all peers get.
#[derive(Debug)]
pub(crate) struct Data {
    keys: usize,
    values: Vec<Bytes>,
}

/// Number of distinct values: too many for a processor's first cache.
const VALUES: usize = 4096;

impl Data {
    pub(crate) fn new(keys: usize, value_bytes: usize) -> Self {
        let mut rng = Rng::new(1);
        let value = |_| Bytes::from(rng.bytes(value_bytes));
        Self {
            keys,
            values: (0..VALUES).map(value).collect(),
        }
    }

    pub(crate) fn keys(&self) -> usize {
        self.keys
    }

    /// The bytes of the `nth` key: 16 of them.
    pub(crate) fn key(nth: usize) -> String {
        format!("key:{nth:012}")
    }

    pub(crate) fn random_key(&self, rng: &mut Rng) -> String {
        Self::key(rng.below(self.keys))
    }

    pub(crate) fn random_value(&self, rng: &mut Rng) -> &Bytes {
        rng.pick(&self.values)
    }
}

/// The record of a client in a window.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Latencies in microseconds.
    pub(crate) latency: Histogram<u64>,
    /// Operations with an error for a reply, or without a value.
    pub(crate) errors: u64,
}

impl Seen {
    fn nothing() -> anyhow::Result<Self> {
        Ok(Self {
            latency: Histogram::new_with_bounds(1, 60_000_000, 3)?,
            errors: 0,
        })
    }

    /// Adds the record of another client.
    pub(crate) fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        self.latency.add(&other.latency)?;
        self.errors += other.errors;
        Ok(())
    }
}

/// Warming up: nothing is recorded.
const IDLE: u8 = 0;
const STOP: u8 = u8::MAX;

/// The window of time that a load is in; shared with its clients.
#[derive(Debug, Clone, Default)]
pub(crate) struct Phase(Arc<AtomicU8>);

impl Phase {
    pub(crate) fn stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed) == STOP
    }
}

/// A client's record of batches that begin in a window, and end before the load does.
pub(crate) struct Recorder {
    phase: Phase,
    /// By window, the first being number 1.
    seen: Vec<Seen>,
}

impl Recorder {
    /// The moment a batch begins, and its window; `None` outside of all windows.
    pub(crate) fn begin(&self) -> Option<(u8, Instant)> {
        match self.phase.0.load(Ordering::Relaxed) {
            IDLE | STOP => None,
            window => Some((window, Instant::now())),
        }
    }

    /// The replies to a batch have come: `operations` in all, `errors` of them failed.
    pub(crate) fn end(&mut self, begun: Option<(u8, Instant)>, operations: usize, errors: u64) {
        let Some((window, begun)) = begun.filter(|_| !self.phase.stopped()) else {
            return;
        };
        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let seen = &mut self.seen[usize::from(window) - 1];
        seen.latency
            .saturating_record_n(micros.max(1), operations as u64);
        seen.errors += errors;
    }

    pub(crate) fn stopped(&self) -> bool {
        self.phase.stopped()
    }
}

/// A peer that clients can send operations to.
pub(crate) trait Target: Clone + Send + 'static {
    /// Runs client `number` until the recorder says stop.
    fn client(
        &self,
        number: usize,
        recorder: &mut Recorder,
    ) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// The task of a client, the same for every target.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) operation: Operation,
    pub(crate) shape: Shape,
    pub(crate) data: Arc<Data>,
}

/// A load that runs until it is stopped.
pub(crate) struct Running {
    phase: Phase,
    workers: Vec<std::thread::JoinHandle<anyhow::Result<Vec<Seen>>>>,
}

/// Starts the clients of `target` outside of any window; `windows` of them will follow.
pub(crate) fn start<T: Target>(
    target: &T,
    clients: usize,
    threads: usize,
    windows: u8,
) -> anyhow::Result<Running> {
    ensure!((1..STOP).contains(&windows), "{windows} windows");
    let phase = Phase::default();
    let workers = (0..threads).map(|thread| {
        let numbers: Vec<usize> = (thread..clients).step_by(threads).collect();
        let (target, phase) = (target.clone(), phase.clone());
        std::thread::spawn(move || worker(&target, &numbers, &phase, windows))
    });
    let workers = workers.collect();
    Ok(Running { phase, workers })
}

impl Running {
    /// From now on batches count for this window.
    pub(crate) fn enter(&self, window: u8) {
        self.phase.0.store(window, Ordering::Relaxed);
    }

    /// Stops the clients; returns their records of each window.
    pub(crate) fn stop(self) -> anyhow::Result<Vec<Seen>> {
        self.phase.0.store(STOP, Ordering::Relaxed);
        let mut all: Vec<Seen> = Vec::new();
        for worker in self.workers {
            let seen = worker.join();
            let seen = seen.map_err(|_| anyhow::anyhow!("a load thread panicked"))??;
            add_all(&mut all, seen)?;
        }
        Ok(all)
    }
}

fn add_all(all: &mut Vec<Seen>, seen: Vec<Seen>) -> anyhow::Result<()> {
    if all.is_empty() {
        *all = seen;
        return Ok(());
    }
    let mut pairs = all.iter_mut().zip(&seen);
    pairs.try_for_each(|(sum, one)| sum.add(one))
}

/// Runs the clients of `target`: `warmup`, then `at_start`, the measured time, `at_end`.
pub(crate) fn run<T: Target, M>(
    target: &T,
    clients: usize,
    threads: usize,
    (warmup, measured): (Duration, Duration),
    mut mark: impl FnMut() -> anyhow::Result<M>,
) -> anyhow::Result<(Seen, Duration, M, M)> {
    let running = start(target, clients, threads, 1)?;
    std::thread::sleep(warmup);
    let before = mark()?;
    let started = Instant::now();
    running.enter(1);
    std::thread::sleep(measured);
    let took = started.elapsed();
    let mut seen = running.stop()?;
    let after = mark()?;
    let all = seen.pop().context("no client ran")?;
    ensure!(
        !all.latency.is_empty(),
        "nothing was answered within the measured time"
    );
    Ok((all, took, before, after))
}

fn worker<T: Target>(
    target: &T,
    numbers: &[usize],
    phase: &Phase,
    windows: u8,
) -> anyhow::Result<Vec<Seen>> {
    let nothing = || {
        (0..windows)
            .map(|_| Seen::nothing())
            .collect::<anyhow::Result<Vec<_>>>()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for &number in numbers {
            let mut recorder = Recorder {
                phase: phase.clone(),
                seen: nothing()?,
            };
            let target = target.clone();
            tasks.spawn(async move {
                target.client(number, &mut recorder).await?;
                anyhow::Ok(recorder.seen)
            });
        }
        let mut all = nothing()?;
        while let Some(joined) = next(&mut tasks, phase).await? {
            add_all(&mut all, joined?)?;
        }
        Ok(all)
    })
}

/// Waits for the next client to end; fails if none ends in time.
async fn next<S: 'static>(
    tasks: &mut tokio::task::JoinSet<anyhow::Result<S>>,
    phase: &Phase,
) -> anyhow::Result<Option<anyhow::Result<S>>> {
    let told = async {
        while !phase.stopped() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(STOP_WITHIN).await;
    };
    tokio::select! {
        joined = tasks.join_next() => joined.transpose().context("a client panicked"),
        () = told => anyhow::bail!("clients did not stop"),
    }
}
