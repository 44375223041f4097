//! redis-server: without persistence, with an append-only file synced at every write, or a primary
//! with replicas that all sync at every write.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use coterie_tests::connection::Connection;
use coterie_tests::redis_server::RedisServer;
use coterie_tests::wait;

use super::peer::Peer;

/// Starts a server, synced at every write or without persistence, and replicas like it.
pub(super) fn start(dir: &Path, synced: bool, replicas: usize) -> anyhow::Result<Peer> {
    let persistence: &[&str] = if synced {
        &["--appendonly", "yes", "--appendfsync", "always"]
    } else {
        &[]
    };
    let mut servers = vec![RedisServer::start(dir, "primary", persistence)?];
    for number in 1..=replicas {
        let primary = servers[0].port().to_string();
        let flags = [persistence, &["--replicaof", "127.0.0.1", &primary]].concat();
        servers.push(RedisServer::start(
            dir,
            &format!("replica-{number}"),
            &flags,
        )?);
    }
    let primary = servers[0].addr();
    wait::until("the replicas are in step", Duration::from_secs(60), || {
        let mut connection = Connection::open(&primary, Duration::from_secs(5))?;
        let info = connection
            .call(&["INFO", "replication"])?
            .text()
            .unwrap_or_default();
        let online = info.matches("state=online").count();
        ensure!(online == replicas, "{online} of {replicas} are online");
        Ok(())
    })?;
    Ok(Peer::Redis {
        servers,
        wait: replicas > 0,
    })
}
