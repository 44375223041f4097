//! The settings: peers, subscribers, publishers.

use std::path::PathBuf;

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
    pub(crate) peers: Vec<Peer>,
    /// Proxies that are running already, instead of a cluster of this bench.
    #[arg(long, value_delimiter = ',')]
    pub(crate) at: Vec<String>,
    /// Subscribers, all to the same channel.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) subscribers: usize,
    /// Publishers; each waits for its reply before it goes on.
    #[arg(long, default_value_t = 4)]
    pub(crate) publishers: usize,
    /// Messages per second, of all publishers together.
    #[arg(long, default_value_t = 100.0)]
    pub(crate) rate: f64,
    /// Seconds for which messages are published.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) seconds: f64,
    /// Bytes of a message, 48 at least.
    #[arg(long, default_value_t = 64)]
    pub(crate) message_bytes: usize,
    /// Seconds after the last publication in which subscribers may still get messages.
    #[arg(long, default_value_t = 60.0)]
    pub(crate) patience: f64,
    /// Threads that read for the subscribers.
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// Where to write the results as JSON.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

/// A peer to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Peer {
    /// Three servers and two proxies.
    Coterie,
    /// A redis-server.
    Redis,
}
