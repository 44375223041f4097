//! The figures as a table for people and as JSON for machines, the ratios, and the bars.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use crate::origin::Origin;
use crate::plan::{Operation, PeerKind, Settings, Shape};
use crate::raw::{Overhead, Raw};

/// A peer under a load.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) peer: PeerKind,
    pub(crate) operation: Operation,
    pub(crate) shape: Shape,
    pub(crate) operations_per_second: f64,
    p50_us: u64,
    p99_us: u64,
    p999_us: u64,
    /// Of all processes of the server side.
    cpu_us_per_operation: f64,
    cpu_us_per_operation_by_role: BTreeMap<String, f64>,
    errors: u64,
}

impl Figure {
    pub(crate) fn new(peer: PeerKind, operation: Operation, shape: Shape, raw: &Raw) -> Self {
        let operations = raw.seen.latency.len() as f64;
        let mut by_role = BTreeMap::new();
        for (role, after) in &raw.cpu_after {
            let before = raw.cpu_before.get(role).copied().unwrap_or(0);
            by_role.insert(
                role.clone(),
                after.saturating_sub(before) as f64 / operations,
            );
        }
        let latency = |quantile| raw.seen.latency.value_at_quantile(quantile);
        Self {
            peer,
            operation,
            shape,
            operations_per_second: operations / raw.took.as_secs_f64(),
            p50_us: latency(0.5),
            p99_us: latency(0.99),
            p999_us: latency(0.999),
            cpu_us_per_operation: by_role.values().sum(),
            cpu_us_per_operation_by_role: by_role,
            errors: raw.seen.errors,
        }
    }
}

impl Figure {
    /// Whether both are of the same peer under the same load.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        let of = |figure: &Self| (figure.peer, figure.operation, figure.shape);
        of(self) == of(other)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |micros: u64| micros as f64 / 1000.0;
        let roles: Vec<String> = self
            .cpu_us_per_operation_by_role
            .iter()
            .map(|(role, micros)| format!("{role} {micros:.1}"))
            .collect();
        write!(
            f,
            "{:<11} {:<14} {:>7} {:>10.0} {:>8.2} {:>8.2} {:>8.2} {:>8.1}  {}",
            self.peer.name(),
            self.operation.name(),
            self.shape.to_string(),
            self.operations_per_second,
            ms(self.p50_us),
            ms(self.p99_us),
            ms(self.p999_us),
            self.cpu_us_per_operation,
            roles.join(", "),
        )?;
        if self.errors > 0 {
            write!(f, "  ({} ERRORS)", self.errors)?;
        }
        Ok(())
    }
}

/// Coterie's throughput over a peer's, under the same load.
#[derive(Debug, Clone, Serialize)]
struct Ratio {
    operation: Operation,
    shape: Shape,
    peer: PeerKind,
    peer_operation: Operation,
    ratio: f64,
    /// The project's bar: the least it should be, if there is a bar.
    bar: Option<f64>,
}

const OVERHEAD_BAR: f64 = 30.0;

/// The whole report.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    machine: Origin,
    settings: Settings,
    figures: Vec<Figure>,
    ratios: Vec<Ratio>,
    /// Coterie with balance on, as multiples of Coterie with balance off.
    own_ratios: Vec<Ratio>,
    overhead: Option<Overhead>,
}

impl Report {
    pub(crate) fn new(
        machine: Origin,
        settings: Settings,
        figures: Vec<Figure>,
        overhead: Option<Overhead>,
    ) -> Self {
        let (ratios, own_ratios) = (ratios(&figures), own_ratios(&figures));
        Self {
            machine,
            settings,
            figures,
            ratios,
            own_ratios,
            overhead,
        }
    }
}

/// The bar of Coterie with balance on against balance off, with all processes on a machine.
const OWN_BAR: f64 = 0.95;

fn own_ratios(figures: &[Figure]) -> Vec<Ratio> {
    let of = |peer: PeerKind| figures.iter().filter(move |figure| figure.peer == peer);
    let ratio = |ours: &Figure| {
        let mut off = of(PeerKind::Coterie);
        let off = off.find(|off| (off.operation, off.shape) == (ours.operation, ours.shape))?;
        Some(Ratio {
            operation: ours.operation,
            shape: ours.shape,
            peer: off.peer,
            peer_operation: off.operation,
            ratio: ours.operations_per_second / off.operations_per_second,
            bar: Some(OWN_BAR),
        })
    };
    of(PeerKind::AsItComes).filter_map(ratio).collect()
}

fn ratios(figures: &[Figure]) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    for ours in figures
        .iter()
        .filter(|figure| figure.peer == PeerKind::Coterie)
    {
        for theirs in figures.iter().filter(|figure| !figure.peer.is_ours()) {
            let same_work = theirs.operation == ours.operation
                || (theirs.operation == Operation::SetWaitOnce && ours.operation == Operation::Set);
            if same_work && theirs.shape == ours.shape {
                ratios.push(Ratio {
                    operation: ours.operation,
                    shape: ours.shape,
                    peer: theirs.peer,
                    peer_operation: theirs.operation,
                    ratio: ours.operations_per_second / theirs.operations_per_second,
                    bar: bar(theirs.operation, theirs.peer, ours.shape),
                });
            }
        }
    }
    ratios
}

/// The project's bars: SET against a replicated and synced Redis and against etcd, linearizable GET
/// against a bare Redis.
fn bar(operation: Operation, peer: PeerKind, shape: Shape) -> Option<f64> {
    let pipelined = shape.pipeline > 1;
    match (operation, peer) {
        (Operation::Set, PeerKind::RedisWait) => Some(if pipelined { 0.5 } else { 0.8 }),
        (Operation::Set, PeerKind::Etcd) => Some(3.0),
        (Operation::Get, PeerKind::Redis) => Some(if pipelined { 0.35 } else { 0.5 }),
        _ => None,
    }
}

/// Prints a report, and writes it as JSON to the file, if any.
pub(crate) fn publish(
    report: &(impl fmt::Display + Serialize),
    json: Option<&Path>,
) -> anyhow::Result<()> {
    println!("{report}");
    if let Some(path) = json {
        let json = serde_json::to_vec_pretty(report)?;
        std::fs::write(path, json).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

pub(crate) fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = &self.settings;
        writeln!(f, "{}", self.machine)?;
        writeln!(
            f,
            "load     {} keys of 16 bytes, values of {} bytes, {} s after {} s of warm-up, median of {}",
            s.keys, s.value_bytes, s.seconds, s.warmup, s.runs
        )?;
        writeln!(
            f,
            "coterie  3 servers, fsync on, replicas 3, {} metas, 1 proxy; server flags {:?}, proxy \
             flags {:?}, split at {:?}; balance off, and as it comes after {} s of load",
            s.metas, s.server_flags, s.proxy_flags, s.split_at, s.settle
        )?;
        writeln!(f)?;
        writeln!(
            f,
            "{:<11} {:<14} {:>7} {:>10} {:>8} {:>8} {:>8} {:>8}  of which",
            "peer", "operation", "clients", "ops/s", "p50 ms", "p99 ms", "p99.9 ms", "CPU us"
        )?;
        for figure in &self.figures {
            writeln!(f, "{figure}")?;
        }
        if !self.ratios.is_empty() {
            writeln!(f, "\ncoterie's throughput, as a multiple of the peer's")?;
            self.ratios
                .iter()
                .try_for_each(|ratio| write_ratio(f, ratio))?;
        }
        if !self.own_ratios.is_empty() {
            writeln!(f, "\nas it comes, as a multiple of balance off")?;
            self.own_ratios
                .iter()
                .try_for_each(|ratio| write_ratio(f, ratio))?;
        }
        if let Some(o) = &self.overhead {
            writeln!(
                f,
                "\non disk  {:.1} bytes per record beyond key and value ({} records of {} bytes; {})   \
                 bar {OVERHEAD_BAR:.0}: {}",
                o.bytes_per_record,
                o.records,
                o.key_and_value_bytes,
                o.how,
                verdict(o.bytes_per_record <= OVERHEAD_BAR),
            )?;
        }
        Ok(())
    }
}

fn write_ratio(f: &mut fmt::Formatter<'_>, r: &Ratio) -> fmt::Result {
    let against = format!("{} {}", r.peer.name(), r.peer_operation.name());
    write!(
        f,
        "{:<5} {:>7}  / {:<26} {:>6.2}",
        r.operation.name(),
        r.shape,
        against,
        r.ratio
    )?;
    match r.bar {
        Some(bar) => writeln!(f, "   bar {bar:.2}: {}", verdict(r.ratio >= bar)),
        None => writeln!(f),
    }
}
