//! The load, and the length of the measurement.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::plan::Shape;

/// The user's settings.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Settings {
    /// The coterie binary to measure, a release build.
    #[arg(long, default_value = "target/release/coterie")]
    pub(crate) coterie: PathBuf,
    /// Number of keys; each write picks a key at random.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) keys: usize,
    /// Bytes of each value.
    #[arg(long, default_value_t = 128)]
    pub(crate) value_bytes: usize,
    /// The shape of the load: CLIENTSxPIPELINE.
    #[arg(long, default_value = "50x16")]
    pub(crate) shape: Shape,
    /// Threads that make the load.
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// Seconds of the load before anything is measured.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) warmup: f64,
    /// Seconds that are measured before the first split and after the last move.
    #[arg(long, default_value_t = 20.0)]
    pub(crate) calm_seconds: f64,
    /// A further flag for each server; may be given several times.
    #[arg(long = "server-flag", allow_hyphen_values = true)]
    pub(crate) server_flags: Vec<String>,
    /// Where to write the results as JSON.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

impl Settings {
    pub(crate) fn warmup(&self) -> Duration {
        Duration::from_secs_f64(self.warmup)
    }

    pub(crate) fn calm(&self) -> Duration {
        Duration::from_secs_f64(self.calm_seconds)
    }
}
