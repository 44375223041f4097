//! All kinds of clients at once, and all judges after them: what every test of the cluster's own
//! doings has around it.
//!
//! Writers whose ledger is read back, counters that must be exact, registers whose history must be
//! linearizable, scanners, and a program on redis-py with its default settings. The other clients
//! use the redis crate with a reply timeout above the proxy's own, so that the proxy, who knows the
//! fate of a command, is heard; its default of 500 ms is less than an election takes.
//!
//! Keys begin with two hexadecimal digits, spread evenly, so that cuts between `00` and `ff` part
//! them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;

use super::client::Troubles;
use super::counters::{self, CountersLoad};
use super::ledger::{self, LedgerLoad};
use super::pauses::Pauses;
use super::registers::{self, Registers, RegistersLoad};
use super::scans::{self, Scans, ScansLoad};
use crate::checker;
use crate::cluster::Cluster;
use crate::foreign::{self, Background};

/// How long the clients may take to stop, and the checks after them.
const WITHIN: Duration = Duration::from_secs(60);

/// What a client of registers or a writer does between two calls, as applications do something:
/// histories stay small enough to be judged, and the machine has time for the cluster.
const THINK: Duration = Duration::from_millis(5);

/// Operations of a client after which it ends by itself: more than eight minutes of them.
const OPERATIONS_MAX: usize = 100_000;

/// Clients at work.
pub struct Crowd {
    name: String,
    proxies: Vec<String>,
    folder: std::path::PathBuf,
    ledger: LedgerLoad,
    counters: CountersLoad,
    registers: RegistersLoad,
    scans: ScansLoad,
    redis_py: Option<Background>,
    pauses: Pauses,
}

impl Crowd {
    /// Starts the clients of a cluster. `name` tells one crowd's keys from another's.
    pub fn start(cluster: &Cluster, name: &str, seed: u64) -> anyhow::Result<Self> {
        let proxies = cluster.proxies();
        let name = format!("{name}:");
        let writers = ledger::Plan {
            addrs: proxies.clone(),
            clients: 3,
            name: name.clone(),
            keys_per_client: 100,
            padding: 100,
            think: THINK,
            operations_max: usize::MAX,
        };
        let counted = ["10", "80", "f0"].map(|at| format!("{at}:{name}count"));
        let keys = (0..8).map(|n| Bytes::from(format!("{:02x}:{name}register", n * 32 + 4)));
        let registers = Registers {
            addrs: proxies.clone(),
            clients: 4,
            keys: keys.collect(),
            think: THINK,
            operations_max: OPERATIONS_MAX,
            seed,
        };
        let scans = Scans {
            addrs: proxies.clone(),
            name: name.clone(),
            fixed: 200,
            seed,
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/redis_py_load.py");
        let (host, port) = proxies[0].rsplit_once(':').context("host and port")?;
        Ok(Self {
            ledger: writers.start()?,
            counters: counters::start(&proxies, &counted, 2, usize::MAX, seed)?,
            registers: registers.start()?,
            scans: scans.start()?,
            redis_py: foreign::start_redis_py(&script, &[host, port, &name])?,
            folder: cluster.folder().to_owned(),
            pauses: Pauses::default(),
            name,
            proxies,
        })
    }

    /// Waits until each kind of client has made so much progress from now on.
    pub fn wait_for(&self, more: u64, within: Duration) -> anyhow::Result<()> {
        self.ledger.wait_for(more, within).context("writers")?;
        self.counters
            .wait_for(more / 4, within)
            .context("counters")?;
        self.registers
            .wait_for(more / 4, within)
            .context("registers")?;
        self.scans.wait_for(more / 4, within).context("scanners")
    }

    /// How long operations took since this was asked last, all clients together.
    pub fn take_pauses(&mut self) -> Pauses {
        let mut lately = self.ledger.take_pauses();
        lately.absorb(&self.counters.take_pauses());
        lately.absorb(&self.registers.take_pauses());
        self.pauses.absorb(&lately);
        lately
    }

    /// Stops the clients and judges: no error, nothing lost, nothing done twice, every history
    /// linearizable, every iteration whole. Prints the worst pause.
    pub fn finish(mut self) -> anyhow::Result<()> {
        self.take_pauses();
        let name = self.name;
        println!("{name} {}", self.pauses);
        let mut troubles = Troubles::default();
        let (written, met) = ledger::finish(self.ledger, WITHIN)?;
        troubles.merge(met);
        let (counts, met) = counters::finish(self.counters, WITHIN)?;
        troubles.merge(met);
        let (history, met) = registers::finish(self.registers, WITHIN)?;
        troubles.merge(met);
        let (found, met) = scans::finish(self.scans, WITHIN)?;
        troubles.merge(met);
        if let Some(redis_py) = self.redis_py {
            let said = redis_py.finish().context("redis-py")?;
            println!("{name} redis-py {}", said.trim());
        }
        let saved = self
            .folder
            .join(format!("history-{}", name.trim_end_matches(':')));
        std::fs::write(saved, crate::history::render(&history))?;
        troubles.expect_none();
        written.verify(&self.proxies[0]).context("the ledger")?;
        counters::verify(&counts, &self.proxies[0]).context("the counters")?;
        ensure!(found.wrong.is_empty(), "SCAN: {:?}", found.wrong);
        println!(
            "{name} {} scans, {} register calls",
            found.iterations,
            history.len()
        );
        checker::check(&history).expect_linearizable();
        Ok(())
    }
}
