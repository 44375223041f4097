//! The peers, in turn: each is started in a folder of its own on the same file system, filled,
//! measured and stopped.

mod coterie;
mod etcd;
mod peer;
mod redis;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::cpu;
use crate::load::{self, Data, Task};
use crate::plan::{PeerKind, Settings};
use crate::raw::Raw;

pub(crate) use coterie::{START_WITHIN, bytes_per_record};
pub(crate) use peer::Peer;

impl Peer {
    /// Starts a peer in `dir` and waits until it serves.
    pub(crate) fn start(kind: PeerKind, settings: &Settings, dir: &Path) -> anyhow::Result<Self> {
        match kind {
            PeerKind::Coterie => coterie::start(settings, false),
            PeerKind::AsItComes => coterie::start(settings, true),
            PeerKind::Redis => redis::start(dir, false, 0),
            PeerKind::RedisAof => redis::start(dir, true, 0),
            PeerKind::RedisWait => redis::start(dir, true, 2),
            PeerKind::Etcd => etcd::start(dir),
        }
    }

    /// Writes every key once.
    pub(crate) fn fill(&self, data: &Data) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let key = |nth| Data::key(nth).into_bytes();
        runtime.block_on(async {
            match self {
                Self::Coterie(cluster) => load::resp::fill(&cluster.proxy(), data, key).await,
                Self::Redis { servers, .. } => {
                    load::resp::fill(&servers[0].addr(), data, key).await
                }
                Self::Etcd { leader, .. } => load::etcd::fill(leader, data).await,
            }
        })
    }

    /// Measures a figure, after `warmup` under the same load.
    pub(crate) fn measure(
        &mut self,
        task: Task,
        warmup: Duration,
        settings: &Settings,
    ) -> anyhow::Result<Raw> {
        let processes = self.processes();
        let mark = || cpu::used(&processes);
        let clients = task.shape.clients;
        let times = (warmup, settings.measured());
        let threads = settings.threads;
        let resp = |addr: String, wait| load::resp::Resp {
            addr,
            wait,
            task: task.clone(),
        };
        let (seen, took, cpu_before, cpu_after) = match self {
            Self::Coterie(cluster) => {
                load::run(&resp(cluster.proxy(), false), clients, threads, times, mark)?
            }
            Self::Redis { servers, wait } => load::run(
                &resp(servers[0].addr(), *wait),
                clients,
                threads,
                times,
                mark,
            )?,
            Self::Etcd { leader, .. } => {
                let etcd = load::etcd::Etcd {
                    leader: leader.clone(),
                    connections: settings.etcd_connections.clamp(1, clients),
                    task: Task {
                        data: Arc::clone(&task.data),
                        ..task
                    },
                };
                load::run(&etcd, clients, threads, times, mark)?
            }
        };
        Ok(Raw {
            seen,
            took,
            cpu_before,
            cpu_after,
        })
    }

    /// Where it is reached by RESP, and whether writes wait for a replica.
    pub(crate) fn resp(&self) -> Option<(String, bool)> {
        match self {
            Self::Coterie(cluster) => Some((cluster.proxy(), false)),
            Self::Redis { servers, wait } => Some((servers[0].addr(), *wait)),
            Self::Etcd { .. } => None,
        }
    }

    /// The processes of the server side.
    fn processes(&mut self) -> Vec<cpu::Process> {
        let process = |role: &str, pid| cpu::Process {
            role: role.to_owned(),
            pid,
        };
        match self {
            Self::Coterie(cluster) => coterie::processes(cluster),
            Self::Redis { servers, .. } => servers
                .iter()
                .enumerate()
                .filter_map(|(n, server)| {
                    let role = if n == 0 { "primary" } else { "replica" };
                    Some(process(role, server.process.pid()?))
                })
                .collect(),
            Self::Etcd { members, .. } => members
                .iter()
                .filter_map(|m| Some(process("member", m.pid()?)))
                .collect(),
        }
    }
}
