//! Clients that send small commands at a steady pace while other clients do harm. They record how
//! long each SET and GET took, which commands failed, and whether each GET returned the latest
//! value.
//!
//! Each client owns its keys and sends a command per period, each after the reply to the command
//! before. A command that is due while the client still waits is not sent; it counts as a wait from
//! the moment at which it was due. So a stall of the whole store is as large in the percentiles as
//! it was in time. Each client is a thread with its own connection: neither a runtime nor a pool
//! delays it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use parking_lot::{Mutex, MutexGuard};

use super::pauses::Pauses;
use crate::connection::Connection;
use crate::resp::Reply;

/// Time limit for a reply, after which the connection counts as lost: far longer than a proxy
/// retries.
const REPLY_TIMEOUT: Duration = Duration::from_secs(60);

/// Keys of each client, written in turn.
const KEYS: usize = 16;

/// Bytes added to each value.
const PADDING: usize = 64;

/// The number, the address and the pace of the clients.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The address to which the clients connect.
    pub addr: String,
    /// The number of clients.
    pub clients: usize,
    /// The period in which each client sends a command.
    pub period: Duration,
}

/// The measurements of the clients.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The times of their SETs, failed ones too: a client waits for an error as well.
    pub sets: Pauses,
    /// The times of their GETs.
    pub gets: Pauses,
    /// Answered GETs. Fewer than the count of `gets`, which includes GETs that were due and not
    /// sent.
    pub reads: u64,
    /// Failed commands by their error.
    pub errors: BTreeMap<String, u64>,
    /// Reads that did not return the latest value.
    pub wrong: Vec<String>,
}

/// The running clients. Dropping this value tells them to stop.
#[derive(Debug)]
pub struct Bystanders {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    threads: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Plan {
    /// Connects the clients and starts them.
    pub fn start(&self) -> anyhow::Result<Bystanders> {
        let mut bystanders = Bystanders {
            stop: Arc::default(),
            seen: Arc::default(),
            threads: Vec::new(),
        };
        for number in 0..self.clients {
            let client = Client {
                connection: Connection::open(&self.addr, REPLY_TIMEOUT)?,
                number,
                period: self.period,
                written: BTreeMap::new(),
                seen: Arc::clone(&bystanders.seen),
            };
            let stop = Arc::clone(&bystanders.stop);
            let thread = std::thread::spawn(move || client.run(&stop));
            bystanders.threads.push(thread);
        }
        Ok(bystanders)
    }

    /// Runs the clients for `time` and returns their measurements: for a reference on a calm
    /// cluster.
    pub fn measure(&self, time: Duration) -> anyhow::Result<Seen> {
        let bystanders = self.start()?;
        std::thread::sleep(time);
        bystanders.finish()
    }
}

impl Bystanders {
    /// Tells the clients to stop, waits for their last replies, and returns their measurements.
    pub fn finish(mut self) -> anyhow::Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in std::mem::take(&mut self.threads) {
            let ended = thread.join().map_err(|_| anyhow!("a bystander panicked"))?;
            ended.context("a bystander")?;
        }
        Ok(std::mem::take(&mut *lock(&self.seen)))
    }
}

impl Drop for Bystanders {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock()
}

/// The possible values of a key: the latest acknowledged value, and the values of unknown fate.
#[derive(Debug, Default)]
struct Written {
    acknowledged: Option<String>,
    maybe: Vec<String>,
}

struct Client {
    connection: Connection,
    number: usize,
    period: Duration,
    written: BTreeMap<String, Written>,
    seen: Arc<Mutex<Seen>>,
}

impl Client {
    fn run(mut self, stop: &AtomicBool) -> anyhow::Result<()> {
        let mut due = Instant::now();
        for turn in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let key = format!("bystander:{}:{}", self.number, turn / 2 % KEYS);
            match turn % 2 {
                0 => self.set(key, turn)?,
                _ => self.get(&key)?,
            }
            // After a stall the client continues at its pace; it counts the due commands and does
            // not send them.
            due = (due + self.period).max(Instant::now());
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }

    fn set(&mut self, key: String, turn: usize) -> anyhow::Result<()> {
        let value = format!("{}-{turn}-{}", self.number, "x".repeat(PADDING));
        let began = Instant::now();
        let reply = self.connection.call(&["SET", &key, &value])?;
        let took = began.elapsed();
        let written = self.written.entry(key).or_default();
        let mut seen = lock(&self.seen);
        seen.sets.record_due(took, self.period);
        match reply {
            Reply::Simple(_) => {
                // Earlier values of unknown fate may still surface afterwards, so they stay in
                // `maybe`.
                written.acknowledged = Some(value);
            }
            Reply::Error(text) => {
                if text.starts_with("UNKNOWN") {
                    written.maybe.push(value);
                }
                seen.failed_with(text);
            }
            other => bail!("SET answered {other:?}"),
        }
        Ok(())
    }

    fn get(&mut self, key: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        let reply = self.connection.call(&["GET", key])?;
        let took = began.elapsed();
        let written = self.written.entry(key.to_owned()).or_default();
        let mut seen = lock(&self.seen);
        seen.gets.record_due(took, self.period);
        let found = match reply {
            Reply::Bulk(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Reply::Null => None,
            Reply::Error(text) => {
                seen.failed_with(text);
                return Ok(());
            }
            other => bail!("GET answered {other:?}"),
        };
        seen.reads += 1;
        // The value of a key that an earlier run wrote is unknown until this run writes the key.
        let maybe = found
            .as_ref()
            .is_some_and(|value| written.maybe.contains(value));
        if written.acknowledged.is_some() && found != written.acknowledged && !maybe {
            let expected = &written.acknowledged;
            seen.wrong
                .push(format!("{key} holds {found:?} after {expected:?}"));
        }
        Ok(())
    }
}

impl Seen {
    fn failed_with(&mut self, text: String) {
        *self.errors.entry(text).or_default() += 1;
    }

    /// The number of failed commands.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// An error if a command failed, or a read did not return the latest value.
    pub fn check_good(&self) -> anyhow::Result<()> {
        ensure!(self.errors.is_empty(), "commands failed: {:?}", self.errors);
        ensure!(self.wrong.is_empty(), "wrong values: {:?}", self.wrong);
        ensure!(
            self.sets.count() > 0 && self.gets.count() > 0,
            "nothing was answered"
        );
        Ok(())
    }

    /// The larger of the 99th percentiles of SETs and GETs.
    #[must_use]
    pub fn p99(&self) -> Duration {
        self.sets.percentile(99.0).max(self.gets.percentile(99.0))
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SET: {}; GET: {}; {} failed",
            self.sets,
            self.gets,
            self.failed()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_wrong_values_are_not_good() {
        let mut seen = Seen::default();
        assert!(seen.check_good().is_err(), "nothing was answered");
        seen.sets.record(Duration::from_millis(1));
        seen.gets.record(Duration::from_millis(2));
        seen.check_good().expect("good");
        assert!(seen.p99() >= Duration::from_micros(1_900));
        let mut failed = seen.clone();
        failed.failed_with("UNKNOWN".to_owned());
        assert!(failed.check_good().is_err() && failed.failed() == 1);
        seen.wrong.push("k".to_owned());
        assert!(seen.check_good().is_err());
    }
}
