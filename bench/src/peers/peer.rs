//! The processes of a peer.

use coterie_tests::cluster::Cluster;
use coterie_tests::process::Process;
use coterie_tests::redis_server::RedisServer;

/// A peer that runs. Dropped, it is ended.
pub(crate) enum Peer {
    Coterie(Box<Cluster>),
    /// A server alone, or a primary and its replicas; whether writes wait for a replica.
    Redis {
        servers: Vec<RedisServer>,
        wait: bool,
    },
    Etcd {
        members: Vec<Process>,
        leader: String,
    },
}
