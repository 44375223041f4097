//! The load: clients in a closed loop, each sending its next batch when the last one was answered.
//!
//! One generator for all peers that speak RESP (`resp`), and one for etcd (`etcd`), with the same
//! keys, values and clock. An operation counts when it was answered within the measured time; its
//! latency is that of its batch. Clients are tasks on a few single-threaded runtimes, so that the
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

/// Distinct values; enough that none is in a processor's first cache at each use.
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

/// What one client saw.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Latencies in microseconds.
    pub(crate) latency: Histogram<u64>,
    /// Operations answered with an error or not found.
    pub(crate) errors: u64,
}

impl Seen {
    fn nothing() -> anyhow::Result<Self> {
        Ok(Self {
            latency: Histogram::new_with_bounds(1, 60_000_000, 3)?,
            errors: 0,
        })
    }

    fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        self.latency.add(&other.latency)?;
        self.errors += other.errors;
        Ok(())
    }
}

// 0, the default, is warming up.
const MEASURE: u8 = 1;
const STOP: u8 = 2;

/// Where in its course a load is; shared with its clients.
#[derive(Debug, Clone, Default)]
pub(crate) struct Phase(Arc<AtomicU8>);

impl Phase {
    pub(crate) fn stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed) == STOP
    }

    fn measuring(&self) -> bool {
        self.0.load(Ordering::Relaxed) == MEASURE
    }
}

/// One client's record: takes note of batches that lie within the measured time.
pub(crate) struct Recorder {
    phase: Phase,
    seen: Seen,
}

impl Recorder {
    /// The moment a batch begins; `None` outside the measured time.
    pub(crate) fn begin(&self) -> Option<Instant> {
        self.phase.measuring().then(Instant::now)
    }

    /// A batch was answered: `operations` of them, `errors` not as wished.
    pub(crate) fn end(&mut self, begun: Option<Instant>, operations: usize, errors: u64) {
        let Some(begun) = begun.filter(|_| self.phase.measuring()) else {
            return;
        };
        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.seen
            .latency
            .saturating_record_n(micros.max(1), operations as u64);
        self.seen.errors += errors;
    }

    pub(crate) fn stopped(&self) -> bool {
        self.phase.stopped()
    }
}

/// Something that clients can be made for.
pub(crate) trait Target: Clone + Send + 'static {
    /// Runs client `number` until the recorder says stop.
    fn client(
        &self,
        number: usize,
        recorder: &mut Recorder,
    ) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// What a client of any target is told.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) operation: Operation,
    pub(crate) shape: Shape,
    pub(crate) data: Arc<Data>,
}

/// Runs the clients of `target`: `warmup`, then `at_start`, the measured time, `at_end`.
pub(crate) fn run<T: Target, M>(
    target: &T,
    clients: usize,
    threads: usize,
    (warmup, measured): (Duration, Duration),
    mut mark: impl FnMut() -> anyhow::Result<M>,
) -> anyhow::Result<(Seen, Duration, M, M)> {
    let phase = Phase::default();
    let workers: Vec<_> = (0..threads)
        .map(|thread| {
            let numbers: Vec<usize> = (thread..clients).step_by(threads).collect();
            let (target, phase) = (target.clone(), phase.clone());
            std::thread::spawn(move || worker(&target, &numbers, &phase))
        })
        .collect();
    std::thread::sleep(warmup);
    let before = mark()?;
    let started = Instant::now();
    phase.0.store(MEASURE, Ordering::Relaxed);
    std::thread::sleep(measured);
    phase.0.store(STOP, Ordering::Relaxed);
    let took = started.elapsed();
    let after = mark()?;
    let mut all = Seen::nothing()?;
    for worker in workers {
        let seen = worker.join();
        all.add(&seen.map_err(|_| anyhow::anyhow!("a load thread panicked"))??)?;
    }
    ensure!(
        !all.latency.is_empty(),
        "nothing was answered within the measured time"
    );
    Ok((all, took, before, after))
}

fn worker<T: Target>(target: &T, numbers: &[usize], phase: &Phase) -> anyhow::Result<Seen> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for &number in numbers {
            let mut recorder = Recorder {
                phase: phase.clone(),
                seen: Seen::nothing()?,
            };
            let target = target.clone();
            tasks.spawn(async move {
                target.client(number, &mut recorder).await?;
                anyhow::Ok(recorder.seen)
            });
        }
        let mut all = Seen::nothing()?;
        while let Some(joined) = next(&mut tasks, phase).await? {
            all.add(&joined?)?;
        }
        Ok(all)
    })
}

/// The next client to end; fails when one does not although it was told to.
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
