//! The measurements around a load: latencies of small commands before and beside it, the memory of
//! each process before it, at its peak and after it, and the cluster's counters.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use coterie_tests::vitals::{self, Vitals};
use coterie_tests::wait;
use coterie_tests::workload::bystanders;
use coterie_tests::workload::pauses::Pauses;
use serde::Serialize;

use super::clients::Seen;
use super::peer::{Peer, Work};
use super::settings::Settings;

/// How long small commands took, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) worst: f64,
    /// Number of commands, including those that came due while another command waited.
    pub(crate) commands: u64,
}

impl Latency {
    fn of(pauses: &Pauses) -> Self {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        Self {
            p50: ms(pauses.percentile(50.0)),
            p99: ms(pauses.percentile(99.0)),
            worst: ms(pauses.worst()),
            commands: pauses.count(),
        }
    }
}

/// The latencies of the bystanders.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Small {
    pub(crate) set: Latency,
    pub(crate) get: Latency,
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) wrong: u64,
    #[serde(skip)]
    reads: u64,
}

impl Small {
    fn of(seen: &bystanders::Seen) -> Self {
        Self {
            set: Latency::of(&seen.sets),
            get: Latency::of(&seen.gets),
            errors: seen.errors.clone(),
            wrong: seen.wrong.len() as u64,
            reads: seen.reads,
        }
    }

    /// Commands that failed.
    pub(crate) fn bad(&self) -> u64 {
        self.errors.values().sum::<u64>() + self.wrong
    }
}

/// Memory of a process, in MiB.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Memory {
    pub(crate) process: String,
    pub(crate) idle: u64,
    pub(crate) peak: u64,
    pub(crate) after: u64,
}

impl Memory {
    pub(crate) fn over_idle(&self) -> u64 {
        self.peak.saturating_sub(self.idle)
    }

    pub(crate) fn kept(&self) -> u64 {
        self.after.saturating_sub(self.idle)
    }
}

/// The work of a cluster for a load.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Done {
    pub(crate) reads: u64,
    pub(crate) retries: u64,
    pub(crate) ranges: u64,
}

/// Everything measured around a load.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Around {
    pub(crate) seconds: f64,
    pub(crate) calm: Small,
    pub(crate) beside: Small,
    pub(crate) memory: Vec<Memory>,
    /// Seconds until every process had released its memory; `None` if some did not in time.
    pub(crate) back_seconds: Option<f64>,
    pub(crate) done: Option<Done>,
}

/// Runs a load, and measures the peer before, during and after it.
pub(super) fn around(
    peer: &Peer,
    settings: &Settings,
    load: &dyn Fn() -> anyhow::Result<Seen>,
) -> anyhow::Result<(Seen, Around)> {
    let small = bystanders::Plan {
        addr: peer.addr(),
        clients: settings.bystanders,
        period: Duration::from_millis(settings.period_ms),
    };
    let calm = small.measure(settings.calm())?;
    let pids = peer.pids()?;
    let idle = look(&pids)?;
    pids.values()
        .try_for_each(|&pid| vitals::forget_peak(pid))?;
    let before = peer.work()?;
    let bystanders = small.start()?;
    let began = Instant::now();
    let seen = load()?;
    let seconds = began.elapsed().as_secs_f64();
    let beside = Small::of(&bystanders.finish()?);
    let done = before.zip(peer.work()?).map(|(b, a)| done(b, a, &beside));
    let peaks = look(&pids)?;
    let (left, kept) = (Instant::now(), settings.kept_mib << 20);
    let back = wait::until("the memory is back", settings.back_within(), || {
        let after = look(&pids)?;
        let back = after
            .iter()
            .all(|(name, v)| v.memory <= idle[name].memory + kept);
        ensure!(back, "not yet");
        Ok(())
    });
    let back_seconds = back.is_ok().then(|| left.elapsed().as_secs_f64());
    let after = look(&pids)?;
    let memory = pids.keys().map(|name| Memory {
        process: name.clone(),
        idle: idle[name].memory >> 20,
        peak: peaks[name].peak >> 20,
        after: after[name].memory >> 20,
    });
    let around = Around {
        seconds,
        calm: Small::of(&calm),
        beside,
        memory: memory.collect(),
        back_seconds,
        done,
    };
    Ok((seen, around))
}

/// The work between two looks, without the work for the bystanders.
fn done(before: Work, after: Work, beside: &Small) -> Done {
    Done {
        reads: (after.reads - before.reads).saturating_sub(beside.reads),
        retries: after.retries - before.retries,
        ranges: after.ranges,
    }
}

fn look(pids: &BTreeMap<String, u32>) -> anyhow::Result<BTreeMap<String, Vitals>> {
    let looks = pids.iter().map(|(name, &pid)| {
        let look = vitals::of(pid).with_context(|| format!("look at {name}"));
        Ok((name.clone(), look?))
    });
    looks.collect()
}
