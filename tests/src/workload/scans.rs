//! Clients that SCAN while keys are written and deleted: each full iteration must return a key that
//! exists throughout exactly once.
//!
//! The fixed keys are written before the scanner starts. The churner writes and deletes keys
//! between them. Half of all keys have a long common prefix, which a cursor cannot encode by
//! itself. The scanner continues with its cursor at any proxy, with any COUNT. When the reply with
//! a page is lost, it repeats the call with the same cursor, which a cursor must allow.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use redis::cmd;

use super::client::{Client, REPLY_TIMEOUT, Troubles};
use super::{Load, Progress};
use crate::connection::Connection;
use crate::resp::Reply;
use crate::rng::Rng;

/// The common prefix of half of all keys.
const FAMILY: &str = "7f:a-family-of-keys-with-a-long-beginning-in-common:";
/// The COUNTs that the scanner chooses from.
const COUNTS: [usize; 5] = [1, 7, 10, 100, 1000];

/// The keys and the proxies of a scanner and a churner.
#[derive(Debug, Clone)]
pub struct Scans {
    /// The addresses to which the clients connect.
    pub addrs: Vec<String>,
    /// A part of each key, which tells it from other keys of the table.
    pub name: String,
    /// The number of keys that exist throughout.
    pub fixed: usize,
    /// The seed.
    pub seed: u64,
}

/// The findings of a client.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The number of iterations from cursor 0 to cursor 0.
    pub iterations: usize,
    /// A line per faulty iteration.
    pub wrong: Vec<String>,
}

/// The running clients: a churner and a scanner.
pub type ScansLoad = Load<(Found, Troubles)>;

impl Scans {
    /// Writes the fixed keys and starts the clients.
    pub fn start(&self) -> anyhow::Result<ScansLoad> {
        let mut connection = Connection::open(&self.addrs[0], REPLY_TIMEOUT)?;
        for n in 0..self.fixed {
            connection.send(&["SET", &self.fixed_key(n), "fixed"])?;
        }
        for _ in 0..self.fixed {
            let reply = connection.receive()?;
            ensure!(reply == Reply::Simple("OK".to_owned()), "{reply:?}");
        }
        Load::start(2, |number, progress| {
            let rng = Rng::new(self.seed.wrapping_add(number as u64));
            work(self.clone(), number, rng, progress)
        })
    }

    fn fixed_key(&self, n: usize) -> String {
        self.key(n, "fixed")
    }

    fn key(&self, n: usize, kind: &str) -> String {
        let name = &self.name;
        match n % 2 {
            0 => format!("{:02x}:{name}{kind}:{n}", n * 37 % 256),
            _ => format!("{FAMILY}{name}{kind}:{n}"),
        }
    }

    /// The number of a fixed key; `None` for any other key.
    fn number_of(&self, key: &str) -> Option<usize> {
        let rest = match key.strip_prefix(FAMILY) {
            Some(rest) => rest,
            None => key.split_once(':')?.1,
        };
        rest.strip_prefix(&self.name)?
            .strip_prefix("fixed:")?
            .parse()
            .ok()
    }

    /// The faults of an iteration, if there are any.
    fn judge(&self, returned: &BTreeMap<usize, usize>) -> Option<String> {
        let wrong: Vec<String> = (0..self.fixed)
            .filter_map(|n| match returned.get(&n).copied().unwrap_or(0) {
                1 => None,
                times => Some(format!("{} came {times} times", self.fixed_key(n))),
            })
            .collect();
        (!wrong.is_empty()).then(|| wrong.join(", "))
    }
}

/// Stops the clients and returns their findings and errors.
pub fn finish(load: ScansLoad, within: Duration) -> anyhow::Result<(Found, Troubles)> {
    let (mut all, mut troubles) = (Found::default(), Troubles::default());
    for (found, met) in load.stop(within).context("stop the scanning clients")? {
        all.iterations += found.iterations;
        all.wrong.extend(found.wrong);
        troubles.merge(met);
    }
    Ok((all, troubles))
}

async fn work(plan: Scans, number: usize, rng: Rng, progress: Progress) -> (Found, Troubles) {
    match number {
        0 => (Found::default(), churn(&plan, rng, progress).await),
        _ => scan(&plan, rng, progress).await,
    }
}

/// Writes and deletes keys between the fixed keys.
async fn churn(plan: &Scans, mut rng: Rng, progress: Progress) -> Troubles {
    let mut client = Client::new(&plan.addrs, 0);
    while !progress.stopped() {
        if !client.connect().await {
            continue;
        }
        let n = rng.below(plan.fixed.max(1) * 2);
        let key = plan.key(n, "churn");
        let command = if rng.percent(50) {
            redis::Cmd::set(&key, "passing")
        } else {
            redis::Cmd::del(&key)
        };
        let began = Instant::now();
        if client.call::<redis::Value>(&command).await.is_ok() {
            progress.acknowledged(began);
        }
    }
    client.troubles
}

/// Iterates until the workload is stopped, and judges each iteration.
async fn scan(plan: &Scans, mut rng: Rng, progress: Progress) -> (Found, Troubles) {
    let mut clients: Vec<Client> = (0..plan.addrs.len())
        .map(|first| Client::new(&plan.addrs, first))
        .collect();
    let mut found = Found::default();
    while !progress.stopped() {
        let Some(returned) = iterate(plan, &mut clients, &mut rng, &progress).await else {
            break;
        };
        found.iterations += 1;
        found.wrong.extend(plan.judge(&returned));
    }
    let mut troubles = Troubles::default();
    for client in clients {
        troubles.merge(client.troubles);
    }
    (found, troubles)
}

/// A full iteration: how often each fixed key was returned. `None` if the workload was stopped
/// before its end.
async fn iterate(
    plan: &Scans,
    clients: &mut [Client],
    rng: &mut Rng,
    progress: &Progress,
) -> Option<BTreeMap<usize, usize>> {
    let mut returned = BTreeMap::new();
    let mut cursor = "0".to_owned();
    loop {
        if progress.stopped() {
            return None;
        }
        let at = rng.below(clients.len());
        let client = &mut clients[at];
        if !client.connect().await {
            continue;
        }
        let mut command = cmd("SCAN");
        command.arg(&cursor).arg("COUNT").arg(*rng.pick(&COUNTS));
        let began = Instant::now();
        let Ok((next, keys)) = client.call::<(String, Vec<String>)>(&command).await else {
            continue;
        };
        progress.acknowledged(began);
        for n in keys.iter().filter_map(|key| plan.number_of(key)) {
            *returned.entry(n).or_default() += 1;
        }
        if next == "0" {
            return Some(returned);
        }
        cursor = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_missed_or_comes_twice_is_named() {
        let plan = Scans {
            addrs: vec![],
            name: "s:".to_owned(),
            fixed: 3,
            seed: 1,
        };
        for n in [2, 3] {
            assert_eq!(plan.number_of(&plan.fixed_key(n)), Some(n));
        }
        assert_eq!(plan.number_of(&plan.key(3, "churn")), None);
        assert_eq!(plan.number_of("00:s:churn:2"), None);
        let good = BTreeMap::from([(0, 1), (1, 1), (2, 1)]);
        assert_eq!(plan.judge(&good), None);
        let bad = BTreeMap::from([(0, 1), (2, 2)]);
        let told = plan.judge(&bad).expect("it is wrong");
        assert!(
            told.contains("fixed:1 came 0") && told.contains("fixed:2 came 2"),
            "{told}"
        );
    }
}
