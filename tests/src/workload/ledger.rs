//! Writes that must be found later: what was acknowledged is written down, and everything written
//! down is read back.
//!
//! Each client owns its keys, so that the last acknowledged value of a key is known; a write of
//! unknown fate widens what may be read until the next acknowledged one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use redis::cmd;

use super::client::{Client, REPLY_TIMEOUT, Troubles};
use super::fate::Fate;
use super::{Load, Progress};
use crate::connection::Connection;
use crate::resp::Reply;

/// What a key may hold: the last acknowledged value, or one written since whose fate is unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    acknowledged: Option<String>,
    unknown: Vec<String>,
}

/// What was written, by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    entries: BTreeMap<String, Entry>,
}

/// Clients at work.
pub type LedgerLoad = Load<(Ledger, Troubles)>;

/// What to write.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where the clients connect.
    pub addrs: Vec<String>,
    /// How many clients.
    pub clients: usize,
    /// Stands in each key, so that ledgers of one table can be told apart; may be empty.
    pub name: String,
    /// Keys of each client, written in turn.
    pub keys_per_client: usize,
    /// Bytes added to each value.
    pub padding: usize,
    /// How long a client waits between two writes; zero for none.
    pub think: Duration,
    /// Writes of each client after which it ends by itself.
    pub operations_max: usize,
}

impl Plan {
    /// Starts the clients.
    pub fn start(&self) -> anyhow::Result<LedgerLoad> {
        Load::start(self.clients, |number, progress| {
            run(self.clone(), number, progress)
        })
    }
}

async fn run(plan: Plan, number: usize, progress: Progress) -> (Ledger, Troubles) {
    let mut client = Client::new(&plan.addrs, number);
    let mut ledger = Ledger::default();
    let mut sent = 0;
    while !progress.stopped() && sent < plan.operations_max {
        if !client.connect().await {
            continue;
        }
        // The first characters differ, so that the keys spread over ranges.
        let key = format!(
            "{:02x}:{}{number}:{}",
            sent % 251,
            plan.name,
            sent % plan.keys_per_client
        );
        let value = format!("{number}-{sent}-{}", "x".repeat(plan.padding));
        sent += 1;
        let mut set = cmd("SET");
        set.arg(&key).arg(&value);
        let began = Instant::now();
        match client.call::<()>(&set).await {
            Ok(()) => {
                ledger.acknowledged(key, value);
                progress.acknowledged(began);
            }
            Err(Fate::Unknown) => ledger.unknown(key, value),
            Err(Fate::NotExecuted | Fate::Rejected(_)) => {}
        }
        super::think(plan.think).await;
    }
    (ledger, client.troubles)
}

/// Stops the clients and joins their ledgers.
pub fn finish(load: LedgerLoad, within: Duration) -> anyhow::Result<(Ledger, Troubles)> {
    let mut all = Ledger::default();
    let mut troubles = Troubles::default();
    for (ledger, met) in load.stop(within).context("stop the writing clients")? {
        all.absorb(ledger);
        troubles.merge(met);
    }
    Ok((all, troubles))
}

impl Ledger {
    /// A write was acknowledged.
    pub fn acknowledged(&mut self, key: String, value: String) {
        let entry = self.entries.entry(key).or_default();
        entry.acknowledged = Some(value);
        // One of unknown fate from before may still surface after it: keep those.
    }

    /// A write may have happened, or may happen later.
    pub fn unknown(&mut self, key: String, value: String) {
        self.entries.entry(key).or_default().unknown.push(value);
    }

    /// Adds what was written later.
    pub fn absorb(&mut self, later: Self) {
        for (key, new) in later.entries {
            let entry = self.entries.entry(key).or_default();
            entry.unknown.extend(new.unknown);
            entry.acknowledged = new.acknowledged.or(entry.acknowledged.take());
        }
    }

    /// How many keys are written down.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Reads every key through `addr` and compares.
    pub fn verify(&self, addr: &str) -> anyhow::Result<()> {
        let mut connection = Connection::open(addr, REPLY_TIMEOUT)?;
        let entries: Vec<_> = self.entries.iter().collect();
        for chunk in entries.chunks(200) {
            for (key, _) in chunk {
                connection.send(&["GET", key])?;
            }
            for (key, entry) in chunk {
                entry
                    .verify(&connection.receive()?)
                    .with_context(|| format!("key {key}"))?;
            }
        }
        Ok(())
    }
}

impl Entry {
    fn verify(&self, reply: &Reply) -> anyhow::Result<()> {
        let found = match reply {
            Reply::Bulk(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            Reply::Null => None,
            other => bail!("GET answered {other:?}"),
        };
        let may_be_unknown = found
            .as_ref()
            .is_some_and(|value| self.unknown.contains(value));
        ensure!(
            found == self.acknowledged || may_be_unknown,
            "holds {found:?}, but {:?} was acknowledged last",
            self.acknowledged
        );
        Ok(())
    }
}
