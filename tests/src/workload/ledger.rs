//! Writes that must be found later: acknowledged writes are recorded in a ledger, and every
//! recorded key is read back.
//!
//! Each client owns its keys, so that the latest acknowledged value of a key is known. A value of
//! unknown fate may be read instead of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use redis::cmd;

use super::client::{Client, REPLY_TIMEOUT, Troubles};
use super::fate::Fate;
use super::{Load, Progress};
use crate::connection::Connection;
use crate::resp::Reply;

/// The possible values of a key: the latest acknowledged value, or a value of unknown fate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    acknowledged: Option<String>,
    unknown: Vec<String>,
}

/// The written values by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    entries: BTreeMap<String, Entry>,
}

/// The running clients.
pub type LedgerLoad = Load<(Ledger, Troubles)>;

/// The clients and their writes.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The addresses to which the clients connect.
    pub addrs: Vec<String>,
    /// The number of clients.
    pub clients: usize,
    /// A part of each key, so that ledgers of the same table can be told apart; may be empty.
    pub name: String,
    /// The number of keys of each client, written in turn.
    pub keys_per_client: usize,
    /// Bytes added to each value.
    pub padding: usize,
    /// The pause of a client between two writes; zero for none.
    pub think: Duration,
    /// The most writes of each client.
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
        // The first characters vary, so that the keys spread over ranges.
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

/// Stops the clients and merges their ledgers.
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
    /// Records an acknowledged write.
    pub fn acknowledged(&mut self, key: String, value: String) {
        let entry = self.entries.entry(key).or_default();
        entry.acknowledged = Some(value);
        // Earlier values of unknown fate may still surface afterwards, so they stay.
    }

    /// Records a write of unknown fate: it may have happened, or may happen later.
    pub fn unknown(&mut self, key: String, value: String) {
        self.entries.entry(key).or_default().unknown.push(value);
    }

    /// Adds the ledger of later writes.
    pub fn absorb(&mut self, later: Self) {
        for (key, new) in later.entries {
            let entry = self.entries.entry(key).or_default();
            entry.unknown.extend(new.unknown);
            entry.acknowledged = new.acknowledged.or(entry.acknowledged.take());
        }
    }

    /// The number of recorded keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no key is recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Reads every recorded key through `addr` and compares.
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
