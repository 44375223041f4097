//! Clients that INCR shared counters. In the end every counter must equal the number of
//! acknowledged increments: no increment is lost or executed twice.
//!
//! An increment of unknown fate may be in the sum once or not at all.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use redis::cmd;

use super::client::{Client, Troubles};
use super::fate::Fate;
use super::{Load, Progress};
use crate::connection::Connection;
use crate::rng::Rng;

/// The increments of a counter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Acknowledged increments.
    pub acknowledged: i64,
    /// Increments of unknown fate.
    pub unknown: i64,
}

/// The increments by counter, of a client or of all.
pub type Counts = BTreeMap<String, Count>;

/// The running clients.
pub type CountersLoad = Load<(Counts, Troubles)>;

/// Starts `clients` that increment `keys`, at most `operations_max` times each.
pub fn start(
    addrs: &[String],
    keys: &[String],
    clients: usize,
    operations_max: usize,
    seed: u64,
) -> anyhow::Result<CountersLoad> {
    Load::start(clients, |number, progress| {
        let rng = Rng::new(seed.wrapping_add(number as u64));
        let client = Client::new(addrs, number);
        run(client, keys.to_vec(), rng, operations_max, progress)
    })
}

async fn run(
    mut client: Client,
    keys: Vec<String>,
    mut rng: Rng,
    operations_max: usize,
    progress: Progress,
) -> (Counts, Troubles) {
    let mut counts = Counts::new();
    let mut sent = 0;
    while !progress.stopped() && sent < operations_max {
        if !client.connect().await {
            continue;
        }
        let key = rng.pick(&keys).clone();
        let mut incr = cmd("INCR");
        incr.arg(&key);
        sent += 1;
        let began = Instant::now();
        match client.call::<i64>(&incr).await {
            Ok(_) => {
                counts.entry(key).or_default().acknowledged += 1;
                progress.acknowledged(began);
            }
            Err(Fate::Unknown) => counts.entry(key).or_default().unknown += 1,
            Err(Fate::NotExecuted | Fate::Rejected(_)) => {}
        }
    }
    (counts, client.troubles)
}

/// Stops the clients and sums their increments.
pub fn finish(load: CountersLoad, within: Duration) -> anyhow::Result<(Counts, Troubles)> {
    let mut all = Counts::new();
    let mut troubles = Troubles::default();
    for (counts, met) in load.stop(within).context("stop the counting clients")? {
        troubles.merge(met);
        absorb(&mut all, &counts);
    }
    Ok((all, troubles))
}

/// Adds `more` to `counts`.
pub fn absorb(counts: &mut Counts, more: &Counts) {
    for (key, count) in more {
        let sum = counts.entry(key.clone()).or_default();
        sum.acknowledged += count.acknowledged;
        sum.unknown += count.unknown;
    }
}

/// Compares the increments with the values of the counters.
pub fn verify(counts: &Counts, addr: &str) -> anyhow::Result<()> {
    let mut connection = Connection::open(addr, super::client::REPLY_TIMEOUT)?;
    for (key, count) in counts {
        let reply = connection.call(&["GET", key])?;
        let stands: i64 = match reply.text() {
            Some(text) => text
                .parse()
                .with_context(|| format!("counter {key}: {text}"))?,
            None => {
                ensure!(
                    reply == crate::resp::Reply::Null,
                    "counter {key}: {reply:?}"
                );
                0
            }
        };
        let most = count.acknowledged + count.unknown;
        ensure!(
            (count.acknowledged..=most).contains(&stands),
            "counter {key} stands at {stands}, and {} increments were acknowledged, {} unknown",
            count.acknowledged,
            count.unknown
        );
    }
    Ok(())
}
