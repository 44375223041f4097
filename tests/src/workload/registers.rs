//! Clients that GET, SET, INCR, SETNX, GETSET and DEL a few keys and record a history for the
//! linearizability checker.
//!
//! Values are numbers, and SET values are unique per client and call, so that a read identifies the
//! write that it saw. Many clients share few keys, so that calls meet.

use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use redis::{Cmd, cmd};

use super::client::{Client, Troubles};
use super::fate::Fate;
use super::{Load, Progress};
use crate::history::{self, Action, ClientHistory, Moments, Observed, Operation};
use crate::rng::Rng;

/// The clients and their calls.
#[derive(Debug, Clone)]
pub struct Registers {
    /// The addresses to which the clients connect.
    pub addrs: Vec<String>,
    /// The number of clients.
    pub clients: usize,
    /// The keys that they share.
    pub keys: Vec<Bytes>,
    /// The pause of a client between two calls; zero for none.
    pub think: Duration,
    /// The most operations of each client.
    pub operations_max: usize,
    /// The seed.
    pub seed: u64,
}

/// The running clients.
pub type RegistersLoad = Load<(ClientHistory, Troubles)>;

impl Registers {
    /// Starts the clients.
    pub fn start(&self) -> anyhow::Result<RegistersLoad> {
        let moments = Moments::default();
        let mut rng = Rng::new(self.seed);
        let rngs: Vec<Rng> = (0..self.clients).map(|_| rng.fork()).collect();
        Load::start(self.clients, |number, progress| {
            let history = ClientHistory::new(number, moments.clone());
            run(
                self.clone(),
                number,
                rngs[number].clone(),
                history,
                progress,
            )
        })
    }
}

/// Stops the clients and returns their merged history and their errors.
pub fn finish(load: RegistersLoad, within: Duration) -> anyhow::Result<(Vec<Operation>, Troubles)> {
    let mut troubles = Troubles::default();
    let mut clients = Vec::new();
    for (history, met) in load.stop(within).context("stop the register clients")? {
        clients.push(history);
        troubles.merge(met);
    }
    Ok((history::merge(clients), troubles))
}

async fn run(
    plan: Registers,
    number: usize,
    mut rng: Rng,
    mut history: ClientHistory,
    progress: Progress,
) -> (ClientHistory, Troubles) {
    let mut client = Client::new(&plan.addrs, number);
    while !progress.stopped() && history.len() < plan.operations_max {
        if !client.connect().await {
            continue;
        }
        let key = rng.pick(&plan.keys).clone();
        let action = any_action(&mut rng, number, history.len());
        history.began(key.clone(), action.clone());
        let began = Instant::now();
        match call(&mut client, &key, &action).await {
            Ok(observed) => {
                history.observed(observed);
                progress.acknowledged(began);
            }
            Err(Fate::NotExecuted) => history.not_executed(),
            Err(Fate::Rejected(_)) => history.observed(Observed::Rejected),
            Err(Fate::Unknown) => {}
        }
        super::think(plan.think).await;
    }
    (history, client.troubles)
}

fn any_action(rng: &mut Rng, client: usize, call: usize) -> Action {
    // Digits, so that INCR works on it. Its size tells it from a count.
    let fresh = Bytes::from(format!("{}", (client + 1) * 10_000_000 + call * 100));
    match rng.below(20) {
        0..7 => Action::Get,
        7..11 => Action::Set(fresh),
        11..15 => Action::Incr,
        15..17 => Action::GetSet(fresh),
        17..19 => Action::SetNx(fresh),
        _ => Action::Del,
    }
}

async fn call(client: &mut Client, key: &[u8], action: &Action) -> Result<Observed, Fate> {
    let with = |name: &str, value: &Bytes| -> Cmd {
        let mut command = cmd(name);
        command.arg(key).arg(value.as_ref());
        command
    };
    let plain = |name: &str| -> Cmd {
        let mut command = cmd(name);
        command.arg(key);
        command
    };
    let value = |value: Option<Vec<u8>>| Observed::Value(value.map(Bytes::from));
    Ok(match action {
        Action::Get => value(client.call(&plain("GET")).await?),
        Action::GetSet(new) => value(client.call(&with("GETSET", new)).await?),
        Action::Set(new) => {
            client.call::<()>(&with("SET", new)).await?;
            Observed::Ok
        }
        Action::SetNx(new) => Observed::Integer(client.call(&with("SETNX", new)).await?),
        Action::Append(tail) => Observed::Integer(client.call(&with("APPEND", tail)).await?),
        Action::Incr => Observed::Integer(client.call(&plain("INCR")).await?),
        Action::Del => Observed::Integer(client.call(&plain("DEL")).await?),
    })
}
