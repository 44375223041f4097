//! All kinds of clients at once, and all judges after them: tests of moves, splits, repairs and
//! restarts run it around the change.
//!
//! It has writers whose ledger is read back, counters that must be exact, registers whose history
//! must be linearizable, scanners, and a program on redis-py with its default settings. The other
//! clients use the redis crate with a reply timeout above the proxy's own, so that they get the
//! reply of the proxy, which knows the fate of a command. The crate's default of 500 ms is shorter
//! than an election.
//!
//! Keys begin with two hexadecimal digits, spread evenly, so that splits between `00` and `ff`
//! divide them.

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

/// Time limit for the stop of each kind of clients.
const WITHIN: Duration = Duration::from_secs(60);

/// The pause of writers and register clients between two calls, as applications pause: histories
/// stay small enough to be judged, and the machine has time for the cluster.
const THINK: Duration = Duration::from_millis(5);

/// The most operations of a register client: more than eight minutes of them.
const OPERATIONS_MAX: usize = 100_000;

/// The running clients.
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
    /// Starts the clients of a cluster. `name` is part of each key, so that crowds do not share
    /// keys.
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

    /// Waits until each kind of client has made progress: `more` writes, and a quarter as many
    /// operations of the other kinds.
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

    /// The times of the operations since the last call, of all clients but redis-py and the
    /// scanners.
    pub fn take_pauses(&mut self) -> Pauses {
        let mut lately = self.ledger.take_pauses();
        lately.absorb(&self.counters.take_pauses());
        lately.absorb(&self.registers.take_pauses());
        self.pauses.absorb(&lately);
        lately
    }

    /// Stops the clients and judges: no error, no write lost or executed twice, every history
    /// linearizable, every iteration complete. Prints the worst pause.
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
