//! The settings: peers, loads and their sizes.

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
    #[arg(long, value_delimiter = ',', default_values = ["redis", "coterie"])]
    pub(crate) peers: Vec<PeerKind>,
    /// The loads to measure.
    #[arg(long, value_delimiter = ',', default_values = ["pipelines", "mgets", "walks", "crowd"])]
    pub(crate) loads: Vec<Load>,
    /// Multiplies the sizes of the loads: 0.05 takes about a minute.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) scale: f64,
    /// Clients that read large values.
    #[arg(long, default_value_t = 16)]
    pub(crate) clients: usize,
    /// GETs in the pipeline of each reading client.
    #[arg(long, default_value_t = 300)]
    pub(crate) gets: usize,
    /// Bytes of a large value; values read by MGET have a tenth of it.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) value_bytes: usize,
    /// Number of large values.
    #[arg(long, default_value_t = 16)]
    pub(crate) values: usize,
    /// Values in each MGET.
    #[arg(long, default_value_t = 100)]
    pub(crate) mget_keys: usize,
    /// Seconds in which MGETs are sent.
    #[arg(long, default_value_t = 12.0)]
    pub(crate) mget_seconds: f64,
    /// Keys of the table that is walked.
    #[arg(long, default_value_t = 5_000_000)]
    pub(crate) keys: usize,
    /// Seconds after which a walk without a reply is given up.
    #[arg(long, default_value_t = 600)]
    pub(crate) walk_seconds: u64,
    /// Clients that write and read large values, all at once.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) crowd: usize,
    /// How often each of these clients writes and reads a value.
    #[arg(long, default_value_t = 3)]
    pub(crate) crowd_rounds: usize,
    /// Clients that send small commands meanwhile (bystanders).
    #[arg(long, default_value_t = 4)]
    pub(crate) bystanders: usize,
    /// Milliseconds between two commands of a bystander.
    #[arg(long, default_value_t = 10)]
    pub(crate) period_ms: u64,
    /// Seconds in which the bystanders are measured alone.
    #[arg(long, default_value_t = 6.0)]
    pub(crate) calm_seconds: f64,
    /// Seconds after a load until its memory must be released.
    #[arg(long, default_value_t = 15.0)]
    pub(crate) back_seconds: f64,
    /// MiB that a process may take over its idle size.
    #[arg(long, default_value_t = 512)]
    pub(crate) over_idle_mib: u64,
    /// MiB over its idle size that a process may keep afterwards.
    #[arg(long, default_value_t = 64)]
    pub(crate) kept_mib: u64,
    /// MiB that a server or a proxy may take under the crowd, idle size included.
    #[arg(long, default_value_t = 2_048)]
    pub(crate) crowd_mib: u64,
    /// A further flag for each Coterie server; may be given several times.
    #[arg(long = "server-flag", allow_hyphen_values = true)]
    pub(crate) server_flags: Vec<String>,
    /// A further flag for the Coterie proxy; may be given several times.
    #[arg(long = "proxy-flag", allow_hyphen_values = true)]
    pub(crate) proxy_flags: Vec<String>,
    /// Where to write the results as JSON.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

impl Settings {
    /// The same, with the sizes of the loads multiplied.
    pub(crate) fn scaled(&self) -> Self {
        let scaled = |size: usize| ((size as f64 * self.scale).ceil() as usize).max(1);
        Self {
            gets: scaled(self.gets),
            keys: scaled(self.keys),
            crowd: scaled(self.crowd),
            mget_seconds: (self.mget_seconds * self.scale).max(2.0),
            ..self.clone()
        }
    }

    pub(crate) fn mget(&self) -> Duration {
        Duration::from_secs_f64(self.mget_seconds)
    }

    pub(crate) fn calm(&self) -> Duration {
        Duration::from_secs_f64(self.calm_seconds)
    }

    pub(crate) fn back_within(&self) -> Duration {
        Duration::from_secs_f64(self.back_seconds)
    }

    pub(crate) fn walk_within(&self) -> Duration {
        Duration::from_secs(self.walk_seconds)
    }
}

/// The peers to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PeerKind {
    /// Three servers, a proxy, a meta and a controller, each a process.
    Coterie,
    /// redis-server without persistence.
    Redis,
}

impl PeerKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Coterie => "coterie",
            Self::Redis => "redis",
        }
    }
}

/// The loads; see the head of `replies`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Load {
    /// Pipelines of GETs.
    Pipelines,
    /// MGETs, again and again.
    Mgets,
    /// DBSIZE and KEYS.
    Walks,
    /// Many clients that write and read.
    Crowd,
}

impl Load {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pipelines => "pipelines",
            Self::Mgets => "mgets",
            Self::Walks => "walks",
            Self::Crowd => "crowd",
        }
    }
}
