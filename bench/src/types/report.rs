//! The figures, each as a part of SET or GET of the same peer, and as a multiple of other peers.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::queue;
use super::settings::Settings;
use super::work::{WORK, Work};
use crate::load::Seen;
use crate::origin::Origin;
use crate::plan::{PeerKind, Shape};
use crate::report::verdict;

/// A peer under one kind of command.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figure {
    peer: PeerKind,
    work: &'static Work,
    shape: Shape,
    pub(super) operations_per_second: f64,
    p50_us: u64,
    p99_us: u64,
    errors: u64,
}

impl Figure {
    pub(super) fn new(
        peer: PeerKind,
        work: &'static Work,
        shape: Shape,
        seen: &Seen,
        took: Duration,
    ) -> Self {
        Self {
            peer,
            work,
            shape,
            operations_per_second: seen.latency.len() as f64 / took.as_secs_f64(),
            p50_us: seen.latency.value_at_quantile(0.5),
            p99_us: seen.latency.value_at_quantile(0.99),
            errors: seen.errors,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<11} {:<14} {:>7} {:>10.0} {:>8.2} {:>8.2}",
            self.peer.name(),
            self.work.name,
            self.shape.to_string(),
            self.operations_per_second,
            self.p50_us as f64 / 1000.0,
            self.p99_us as f64 / 1000.0,
        )?;
        if self.errors > 0 {
            write!(f, "  ({} ERRORS)", self.errors)?;
        }
        Ok(())
    }
}

/// The whole report.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    machine: Origin,
    settings: Settings,
    figures: Vec<Figure>,
    queues: Vec<queue::Figure>,
}

impl Report {
    pub(super) fn new(
        machine: Origin,
        settings: Settings,
        figures: Vec<Figure>,
        queues: Vec<queue::Figure>,
    ) -> Self {
        Self {
            machine,
            settings,
            figures,
            queues,
        }
    }

    fn of(&self, peer: PeerKind, name: &str, shape: Shape) -> Option<f64> {
        let mut figures = self.figures.iter();
        let is_it =
            |figure: &&Figure| (figure.peer, figure.work.name, figure.shape) == (peer, name, shape);
        Some(figures.find(is_it)?.operations_per_second)
    }

    /// A line for each command: Coterie's part of its own SET or GET, then multiples of others.
    fn write_ratios(&self, f: &mut fmt::Formatter<'_>, shape: Shape) -> fmt::Result {
        for work in WORK {
            let Some(ours) = self.of(PeerKind::Coterie, work.name, shape) else {
                continue;
            };
            write!(f, "{:<14} {:>7}", work.name, shape.to_string())?;
            for peer in [PeerKind::RedisWait, PeerKind::Redis] {
                if let Some(theirs) = self.of(peer, work.name, shape) {
                    write!(f, "   / {} {:>5.2}", peer.name(), ours / theirs)?;
                }
            }
            if let Some((base, bar)) = work.bar
                && let Some(base_figure) = self.of(PeerKind::Coterie, base, shape)
            {
                let ratio = ours / base_figure;
                let met = verdict(ratio >= bar);
                write!(f, "   / our {base} {ratio:>5.2}   bar {bar:.2}: {met}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        writeln!(f, "one collection of each type\n")?;
        writeln!(
            f,
            "{:<11} {:<14} {:>7} {:>10} {:>8} {:>8}",
            "peer", "command", "clients", "ops/s", "p50 ms", "p99 ms"
        )?;
        for figure in &self.figures {
            writeln!(f, "{figure}")?;
        }
        for queue in &self.queues {
            writeln!(f, "{queue}")?;
        }
        writeln!(f, "\ncoterie's throughput, as a multiple")?;
        for &shape in &self.settings.plan.shapes {
            self.write_ratios(f, shape)?;
        }
        Ok(())
    }
}
