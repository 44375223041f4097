//! The figures as a table for people and as JSON for machines, and the bars.

use std::fmt;

use coterie_tests::PAGE_RECORDS;
use serde::Serialize;

use super::clients::Seen;
use super::settings::{Load, PeerKind, Settings};
use super::watch::{Around, Latency, Memory, Small};
use crate::origin::Origin;
use crate::report::verdict;

/// The bar for small commands beside a load: their p99, as a multiple of their p99 alone.
const SLOWER_BAR: f64 = 5.0;

/// A p99 of fewer commands than this is not judged: the load was over too soon.
const COMMANDS_MIN: u64 = 100;

/// A load at a peer.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    peer: PeerKind,
    load: Load,
    commands: String,
    /// Number of good replies, or of keys walked, that is required.
    expected: u64,
    seen: Seen,
    mb_per_second: f64,
    around: Around,
}

impl Figure {
    pub(crate) fn new(
        (peer, load): (PeerKind, Load),
        commands: &str,
        expected: u64,
        seen: Seen,
        around: Around,
    ) -> Self {
        Self {
            peer,
            load,
            commands: commands.to_owned(),
            expected,
            mb_per_second: seen.bytes as f64 / 1e6 / around.seconds,
            seen,
            around,
        }
    }

    /// Number of good replies, or of the keys that a walk returned.
    fn had(&self) -> u64 {
        match self.load {
            // The number in the reply of DBSIZE is not read; a single good reply is required.
            Load::Walks if self.commands == "KEYS" => self.seen.elements,
            Load::Walks => self.seen.good * self.expected,
            _ => self.seen.good,
        }
    }

    fn bars(&self, settings: &Settings) -> Vec<Bar> {
        let mut bars = Vec::new();
        let mut bar = |what: &str, value: f64, at_most: f64| {
            bars.push(Bar {
                load: self.load,
                commands: self.commands.clone(),
                what: what.to_owned(),
                value,
                at_most,
                met: value <= at_most,
            });
        };
        bar("replies that failed", self.seen.bad() as f64, 0.0);
        let missing = self.expected.saturating_sub(self.had());
        bar("replies or keys missing", missing as f64, 0.0);
        bar(
            "small commands that failed",
            self.around.beside.bad() as f64,
            0.0,
        );
        let (calm, beside) = (&self.around.calm, &self.around.beside);
        let commands = [
            ("SETs", calm.set, beside.set),
            ("GETs", calm.get, beside.get),
        ];
        for (name, calm, beside) in commands {
            if beside.commands >= COMMANDS_MIN {
                let times = beside.p99 / calm.p99;
                bar(
                    &format!("p99 of small {name}, times calm"),
                    times,
                    SLOWER_BAR,
                );
            }
        }
        let mut worst = |what: &str, of: fn(&Memory) -> u64, at_most: u64| {
            if let Some(most) = self.around.memory.iter().max_by_key(|memory| of(memory)) {
                let what = format!("{what}, {}", most.process);
                bar(&what, of(most) as f64, at_most as f64);
            }
        };
        worst("MiB over idle", Memory::over_idle, settings.over_idle_mib);
        worst("MiB kept", Memory::kept, settings.kept_mib);
        if self.load == Load::Crowd {
            worst("MiB in all", |memory| memory.peak, settings.crowd_mib);
        }
        if let Some(done) = self.around.done {
            let once = match self.load {
                // Page by page; the last page of a range may have fewer records.
                Load::Walks => done.ranges + (settings.keys / PAGE_RECORDS) as u64,
                Load::Pipelines | Load::Mgets => self.seen.good,
                // As many SETs as GETs.
                Load::Crowd => self.expected / 2,
            };
            bar("reads executed by servers", done.reads as f64, once as f64);
            if self.load == Load::Walks {
                bar("frames sent again", done.retries as f64, 0.0);
            }
        }
        bars
    }
}

/// The project's bars.
#[derive(Debug, Clone, Serialize)]
struct Bar {
    load: Load,
    commands: String,
    what: String,
    value: f64,
    at_most: f64,
    met: bool,
}

/// The whole report.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    machine: Origin,
    settings: Settings,
    figures: Vec<Figure>,
    bars: Vec<Bar>,
}

impl Report {
    pub(crate) fn new(machine: Origin, settings: Settings, figures: Vec<Figure>) -> Self {
        let ours = figures.iter().filter(|f| f.peer == PeerKind::Coterie);
        let bars = ours.flat_map(|figure| figure.bars(&settings)).collect();
        Self {
            machine,
            settings,
            figures,
            bars,
        }
    }
}

fn small(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    of: fn(&Small) -> Latency,
    a: &Around,
) -> fmt::Result {
    let (calm, beside) = (of(&a.calm), of(&a.beside));
    writeln!(
        f,
        "  small {name}  alone p50 {:.2} p99 {:.2} worst {:.1} ms; beside it p50 {:.2} p99 {:.2} \
         worst {:.1} ms: p99 {:.1} times",
        calm.p50,
        calm.p99,
        calm.worst,
        beside.p50,
        beside.p99,
        beside.worst,
        beside.p99 / calm.p99
    )
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seen, around) = (&self.seen, &self.around);
        writeln!(
            f,
            "{} {} ({}): {} good of {}, {} nulls, errors {:?}, {} broken; {:.1} MB in {:.1} s, \
             {:.0} MB/s",
            self.peer.name(),
            self.load.name(),
            self.commands,
            self.had(),
            self.expected,
            seen.nulls,
            seen.errors,
            seen.broken,
            seen.bytes as f64 / 1e6,
            around.seconds,
            self.mb_per_second
        )?;
        for example in seen.examples.values() {
            writeln!(f, "  one of them: {example}")?;
        }
        small(f, "SET", |s| s.set, around)?;
        small(f, "GET", |s| s.get, around)?;
        if around.beside.bad() > 0 {
            let (errors, wrong) = (&around.beside.errors, around.beside.wrong);
            writeln!(
                f,
                "  small commands failed: {errors:?}; {wrong} wrong values"
            )?;
        }
        for m in &around.memory {
            let (idle, peak, after) = (m.idle, m.peak, m.after);
            let (process, over) = (&m.process, m.over_idle());
            writeln!(
                f,
                "  {process:<13} {idle:>6} MiB idle, {peak:>6} at most (+{over}), {after:>6} after"
            )?;
        }
        match around.back_seconds {
            Some(seconds) => write!(f, "  memory is back after {seconds:.1} s")?,
            None => write!(f, "  memory is not back in time")?,
        }
        if let Some(done) = around.done {
            let (reads, ranges, retries) = (done.reads, done.ranges, done.retries);
            write!(
                f,
                "; {reads} reads executed on {ranges} ranges, {retries} sent again"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = &self.settings;
        writeln!(f, "{}", self.machine)?;
        writeln!(
            f,
            "load     {} clients, values of {} bytes, {} GETs each, MGETs of {} values, {} keys, a \
             crowd of {} in {} rounds; {} bystanders, one command each per {} ms",
            s.clients,
            s.value_bytes,
            s.gets,
            s.mget_keys,
            s.keys,
            s.crowd,
            s.crowd_rounds,
            s.bystanders,
            s.period_ms
        )?;
        writeln!(
            f,
            "coterie  3 servers, fsync on, replicas 3, 1 meta, 1 proxy; server flags {:?}, proxy \
             flags {:?}\n",
            s.server_flags, s.proxy_flags
        )?;
        for figure in &self.figures {
            writeln!(f, "{figure}")?;
        }
        writeln!(f, "\nbars")?;
        for bar in &self.bars {
            writeln!(
                f,
                "{:<10} {:<9} {:<34} {:>9.1}   at most {:>6.0}: {}",
                bar.load.name(),
                bar.commands,
                bar.what,
                bar.value,
                bar.at_most,
                verdict(bar.met)
            )?;
        }
        Ok(())
    }
}
