//! A peer of this bench: Coterie as separate processes, or a redis-server.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use coterie_tests::cluster::{Cluster, Role};
use coterie_tests::redis_server::RedisServer;
use tempfile::TempDir;

use super::settings::{PeerKind, Settings};
use crate::peers::START_WITHIN;

/// See the module's head. Its processes end when it is dropped.
pub(crate) enum Peer {
    Coterie(Box<Cluster>),
    Redis { server: RedisServer, _dir: TempDir },
}

/// A cluster's counters of the work it does for clients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    /// Read commands that servers executed.
    pub(crate) reads: u64,
    /// Attempts of the proxy to send a frame again.
    pub(crate) retries: u64,
    /// Ranges; a walk reads each of them.
    pub(crate) ranges: u64,
}

impl Peer {
    /// Starts a peer and waits until it serves.
    pub(crate) fn start(kind: PeerKind, settings: &Settings) -> anyhow::Result<Self> {
        match kind {
            PeerKind::Coterie => coterie(settings),
            PeerKind::Redis => {
                let dir = tempfile::Builder::new()
                    .prefix("coterie-bench-")
                    .tempdir()?;
                let server = RedisServer::start(dir.path(), "redis", &[])?;
                Ok(Self::Redis { server, _dir: dir })
            }
        }
    }

    /// Where clients connect.
    pub(crate) fn addr(&self) -> String {
        match self {
            Self::Coterie(cluster) => cluster.proxy(),
            Self::Redis { server, .. } => server.addr(),
        }
    }

    /// The processes, by name.
    pub(crate) fn pids(&self) -> anyhow::Result<BTreeMap<String, u32>> {
        match self {
            Self::Coterie(cluster) => cluster.pids(),
            Self::Redis { server, .. } => {
                let pid = server.process.pid().context("redis-server has ended")?;
                Ok(BTreeMap::from([("redis".to_owned(), pid)]))
            }
        }
    }

    /// The counters now; `None` for a redis-server.
    pub(crate) fn work(&self) -> anyhow::Result<Option<Work>> {
        let Self::Coterie(cluster) = self else {
            return Ok(None);
        };
        Ok(Some(Work {
            reads: cluster.metric(Role::Server, "coterie_server_reads_total")? as u64,
            retries: cluster.metric(Role::Proxy, "coterie_proxy_retries_total")? as u64,
            ranges: cluster.admin().ranges()?.len() as u64,
        }))
    }
}

fn coterie(settings: &Settings) -> anyhow::Result<Peer> {
    let binary = &settings.coterie;
    let path = binary.display();
    ensure!(
        binary.is_file(),
        "no coterie binary at {path}; see --coterie"
    );
    let server_flags: Vec<&str> = settings.server_flags.iter().map(String::as_str).collect();
    let proxy_flags: Vec<&str> = settings.proxy_flags.iter().map(String::as_str).collect();
    let cluster = Cluster::builder()
        .binary(binary.clone())
        .count(Role::Meta, 1)
        .flags(Role::Server, &server_flags)
        .flags(Role::Proxy, &proxy_flags)
        .start()
        .context("start the cluster")?;
    cluster.hold_still(START_WITHIN)?;
    Ok(Peer::Coterie(Box::new(cluster)))
}
