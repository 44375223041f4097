//! Clients that send small commands at a steady pace while others do harm: how long each of their
//! SETs and GETs took, which failed, and whether each read what was written last.
//!
//! Each client owns its keys and sends one command at a time, one in each period. What it cannot
//! send because the one before it is not answered counts as waiting from when it was due: a stall
//! of everything is then as large in the percentiles as it was in time. They are threads, with a
//! connection each, so that neither a runtime nor a pool stands between them and the socket.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};

use super::pauses::Pauses;
use crate::connection::Connection;
use crate::resp::Reply;

/// How long a client waits for a reply before its connection counts as lost: far longer than a
/// proxy tries.
const REPLY_TIMEOUT: Duration = Duration::from_secs(60);

/// Keys of each client, written in turn.
const KEYS: usize = 16;

/// Bytes added to each value.
const PADDING: usize = 64;

/// What there is to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where the clients connect.
    pub addr: String,
    /// How many there are.
    pub clients: usize,
    /// One command of each client per period.
    pub period: Duration,
}

/// What the clients saw.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// How long their SETs took, failed ones too: a client waits for an error as well.
    pub sets: Pauses,
    /// How long their GETs took.
    pub gets: Pauses,
    /// GETs that were answered: fewer than `gets` counts, as those that came due are no commands.
    pub reads: u64,
    /// Commands that failed, by what they were answered.
    pub errors: BTreeMap<String, u64>,
    /// Reads of another value than was written last.
    pub wrong: Vec<String>,
}

/// Clients at work. Dropped, they are told to stop.
#[derive(Debug)]
pub struct Bystanders {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    threads: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Plan {
    /// Starts the clients, each connected already.
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

    /// What the clients see in so much time: for a look at a calm cluster.
    pub fn measure(&self, time: Duration) -> anyhow::Result<Seen> {
        let bystanders = self.start()?;
        std::thread::sleep(time);
        bystanders.finish()
    }
}

impl Bystanders {
    /// Tells the clients to stop, waits for their last replies, and gives what they saw.
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

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A key's value: the last acknowledged, and those of unknown fate since.
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
            // After a stall it goes on at its pace: what was due meanwhile is counted, not sent.
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
                // One of unknown fate from before may still surface after it: keep those.
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
        // A key that another run left is not known here until it is written.
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

    /// How many commands failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Fails if any command failed, or read another value than was written last.
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
