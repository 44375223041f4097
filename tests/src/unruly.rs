//! Clients that behave badly: each performs random acts, each act on a connection of its own, until
//! it is stopped. A seed determines the acts.
//!
//! The acts are in `acts`, the bytes that they send in `requests`. Their keys are those of the
//! command grammar and `unruly:*`, a fixed number of keys, so that the data stays within bounds
//! however long the clients run. An act waits at most `REPLY_TIMEOUT` for bytes. A failure is
//! recorded if the reply to a well-formed command does not come within that time, though the client
//! reads.

mod acts;
mod requests;
mod socket;
mod tally;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};

use crate::connection::Connection;
use crate::resp::Reply;
use crate::rng::Rng;
use acts::Act;
use socket::REPLY_TIMEOUT;

pub use tally::Tally;

/// The number of clients, their proxy, and their permissions.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The address to which the clients connect.
    pub addr: String,
    /// The number of clients.
    pub clients: usize,
    /// The seed of their acts.
    pub seed: u64,
    /// Whether they may send CLIENT PAUSE, which stops every client of the proxy.
    pub may_pause: bool,
    /// The longest rest of a client between two acts; it bounds the load.
    pub rest: Duration,
}

/// The running clients. Dropping this value tells them to stop.
#[derive(Debug)]
pub struct Unruly {
    stop: Arc<AtomicBool>,
    acts: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Tally>>,
}

impl Plan {
    /// Writes the large values that the clients read, and starts them.
    pub fn start(&self) -> anyhow::Result<Unruly> {
        write_large(&self.addr)?;
        let mut unruly = Unruly {
            stop: Arc::default(),
            acts: Arc::default(),
            threads: Vec::new(),
        };
        let mut seeds = Rng::new(self.seed);
        for _ in 0..self.clients {
            let (plan, rng) = (self.clone(), seeds.fork());
            let (stop, acts) = (Arc::clone(&unruly.stop), Arc::clone(&unruly.acts));
            let thread = std::thread::spawn(move || run(&plan, rng, &stop, &acts));
            unruly.threads.push(thread);
        }
        Ok(unruly)
    }
}

fn run(plan: &Plan, mut rng: Rng, stop: &AtomicBool, acts: &AtomicU64) -> Tally {
    let mut tally = Tally::default();
    while !stop.load(Ordering::Relaxed) {
        let act = Act::pick(&mut rng, plan.may_pause);
        *tally.acts.entry(act.name()).or_default() += 1;
        // A broken connection is expected here; the tally has the failures that matter.
        let _ = act.run(&plan.addr, &mut rng, &mut tally);
        acts.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(plan.rest * u32::try_from(rng.below(1000)).unwrap_or(0) / 1000);
    }
    tally
}

/// Writes the large values that the acts only read; they must be unchanged in the end.
fn write_large(addr: &str) -> anyhow::Result<()> {
    let mut connection = Connection::open(addr, REPLY_TIMEOUT)?;
    for (key, value) in requests::large() {
        let reply = connection.call(&[b"SET", key.as_bytes(), &value])?;
        ensure!(
            reply == Reply::Simple("OK".to_owned()),
            "SET answered {reply:?}"
        );
    }
    Ok(())
}

/// An error unless the large values are unchanged.
pub fn verify_large(addr: &str) -> anyhow::Result<()> {
    let mut connection = Connection::open(addr, REPLY_TIMEOUT)?;
    for (key, value) in requests::large() {
        let reply = connection.call(&["GET", &key])?;
        ensure!(reply == Reply::Bulk(value), "{key} is not what was written");
    }
    Ok(())
}

impl Unruly {
    /// Acts done so far.
    #[must_use]
    pub fn acts(&self) -> u64 {
        self.acts.load(Ordering::Relaxed)
    }

    /// Tells the clients to stop, waits for the end of their acts, and returns the sum of their
    /// tallies.
    pub fn finish(mut self) -> anyhow::Result<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        for thread in std::mem::take(&mut self.threads) {
            let tally = thread.join().map_err(|_| anyhow!("it panicked"));
            all.absorb(tally.context("an unruly client")?);
        }
        Ok(all)
    }
}

impl Drop for Unruly {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis_server::{self, RedisServer};

    /// Runs the acts against a redis-server: it answers every well-formed command, and has no
    /// client left in the end.
    #[test]
    fn a_redis_server_bears_them() {
        if !redis_server::is_installed() {
            eprintln!("SKIPPED: no redis-server on this machine");
            return;
        }
        let dir = tempfile::tempdir().expect("a folder");
        let redis = RedisServer::start(dir.path(), "redis", &[]).expect("starts");
        let plan = Plan {
            addr: redis.addr(),
            clients: 4,
            seed: crate::rng::seed(),
            may_pause: true,
            rest: Duration::from_millis(40),
        };
        let unruly = plan.start().expect("starts");
        let within = Duration::from_secs(60);
        let done = crate::wait::until("acts are done", within, || {
            ensure!(unruly.acts() >= 100, "{} acts", unruly.acts());
            Ok(())
        });
        done.expect("done");
        let tally = unruly.finish().expect("ends");
        println!("{tally}");
        assert!(
            tally.replies > 0 && tally.unanswered.is_empty(),
            "{tally:?}"
        );
        verify_large(&redis.addr()).expect("as written");
        crate::wait::until("the clients are gone", within, || {
            let mut connection = Connection::open(&redis.addr(), within)?;
            let list = connection
                .call(&["CLIENT", "LIST"])?
                .text()
                .unwrap_or_default();
            ensure!(list.lines().count() == 1, "{list}");
            Ok(())
        })
        .expect("gone");
    }
}
