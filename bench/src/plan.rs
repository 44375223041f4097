//! The plan of a benchmark: settings, shapes of load, operations.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

/// The user's settings.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Settings {
    /// The coterie binary to measure, a release build.
    #[arg(long, default_value = "target/release/coterie")]
    pub(crate) coterie: PathBuf,
    /// The peers to measure, in this order.
    #[arg(long, value_delimiter = ',', default_values = ["coterie", "as-it-comes", "redis", "redis-aof", "redis-wait", "etcd"])]
    pub(crate) peers: Vec<PeerKind>,
    /// Number of keys; each operation takes a key at random.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) keys: usize,
    /// Bytes of each value: random, so that compression gains nothing.
    #[arg(long, default_value_t = 128)]
    pub(crate) value_bytes: usize,
    /// Seconds for which each figure is measured.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) seconds: f64,
    /// Seconds of the same load before measuring starts.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) warmup: f64,
    /// How often each figure is measured; the median by throughput is shown.
    #[arg(long, default_value_t = 1)]
    pub(crate) runs: usize,
    /// Shapes of load: CLIENTSxPIPELINE.
    #[arg(long, value_delimiter = ',', default_values = ["50x1", "200x1", "50x16"])]
    pub(crate) shapes: Vec<Shape>,
    /// Threads that make the load.
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// Members of Coterie's meta group.
    #[arg(long, default_value_t = 3)]
    pub(crate) metas: usize,
    /// A further flag for each Coterie server; may be given several times.
    #[arg(long = "server-flag", allow_hyphen_values = true)]
    pub(crate) server_flags: Vec<String>,
    /// A further flag for the Coterie proxy; may be given several times.
    #[arg(long = "proxy-flag", allow_hyphen_values = true)]
    pub(crate) proxy_flags: Vec<String>,
    /// Keys at which table 0 is cut, so that several groups share the load.
    #[arg(long, value_delimiter = ',')]
    pub(crate) split_at: Vec<String>,
    /// Seconds of load before a figure of Coterie with balance on: long enough for its controller
    /// to act on the load.
    #[arg(long, default_value_t = 30.0)]
    pub(crate) settle: f64,
    /// Connections to etcd: its clients share them, as HTTP/2 lets them.
    #[arg(long, default_value_t = 16)]
    pub(crate) etcd_connections: usize,
    /// Records in the measurement of bytes on disk; 0 leaves it out.
    #[arg(long, default_value_t = 200_000)]
    pub(crate) disk_records: usize,
    /// Where to write the results as JSON.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

impl Settings {
    pub(crate) fn measured(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// How long a peer is under load before a figure is measured. It is the same time for Coterie
    /// with balance off and on, since compactions begin meanwhile.
    pub(crate) fn warmup(&self, peer: PeerKind) -> Duration {
        let settles = peer.is_ours() && self.peers.contains(&PeerKind::AsItComes);
        let seconds = if settles {
            self.warmup.max(self.settle)
        } else {
            self.warmup
        };
        Duration::from_secs_f64(seconds)
    }
}

/// The peers to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PeerKind {
    /// Three servers, fsync on, replicas 3, a proxy; balance is off.
    Coterie,
    /// The same with balance on, as by default.
    AsItComes,
    /// redis-server without persistence.
    Redis,
    /// redis-server with appendfsync always.
    RedisAof,
    /// A primary with two replicas, all appendfsync always, WAIT 1 after each write.
    RedisWait,
    /// Three members; put, and linearizable range.
    Etcd,
}

impl PeerKind {
    /// Whether it is Coterie.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Coterie | Self::AsItComes)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Coterie => "coterie",
            Self::AsItComes => "as it comes",
            Self::Redis => "redis",
            Self::RedisAof => "redis-aof",
            Self::RedisWait => "redis-wait",
            Self::Etcd => "etcd",
        }
    }
}

/// Number of clients, and of commands that each has in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Shape {
    pub(crate) clients: usize,
    pub(crate) pipeline: usize,
}

impl std::str::FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (clients, pipeline) = text.split_once('x')?;
            let (clients, pipeline) = (clients.parse().ok()?, pipeline.parse().ok()?);
            (clients > 0 && pipeline > 0).then_some(Self { clients, pipeline })
        };
        parse().ok_or_else(|| format!("{text:?} is not CLIENTSxPIPELINE, as in 50x16"))
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.clients, self.pipeline)
    }
}

impl Serialize for Shape {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The operations of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Operation {
    /// Write a key.
    Set,
    /// Read a key, linearizably if the peer has a choice.
    Get,
    /// Write a pipeline of keys and wait for the replica only at its end: for Redis, to compare
    /// with a wait after each write.
    SetWaitOnce,
}

impl Operation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Set => "SET",
            Self::Get => "GET",
            Self::SetWaitOnce => "SET, one WAIT",
        }
    }
}

/// The operations measured at a peer in a shape.
pub(crate) fn operations(peer: PeerKind, shape: Shape) -> Vec<Operation> {
    let mut operations = vec![Operation::Set, Operation::Get];
    if peer == PeerKind::RedisWait && shape.pipeline > 1 {
        operations.push(Operation::SetWaitOnce);
    }
    operations
}
