//! The processes of a peer.

use coterie_tests::cluster::Cluster;
use coterie_tests::process::Process;
use coterie_tests::redis_server::RedisServer;

/// A running peer; its processes end when it is dropped.
pub(crate) enum Peer {
    Coterie(Box<Cluster>),
    /// A server, or a primary and its replicas; whether writes wait for a replica.
    Redis {
        servers: Vec<RedisServer>,
        wait: bool,
    },
    Etcd {
        members: Vec<Process>,
        leader: String,
    },
}
