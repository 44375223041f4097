//! Destination and format of logs: stderr, as text for people or as a JSON object per line.
//!
//! `--log-level` takes the directives of `RUST_LOG` (`info`, `debug,openraft=warn`) and overrides
//! it. Without both, Coterie logs at `info`, and libraries only warnings.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

/// Libraries log only warnings. openraft is limited to errors: it warns of each vote that a
/// restarted peer refuses, which the restart fence does on purpose; `coterie_raft` logs the
/// relevant events. Two of its modules are off: they log an error whenever a group stops during a
/// request or a heartbeat, but the caller gets that error anyway, and replicas come and go.
const DEFAULT_DIRECTIVES: &str = "info,openraft=error,openraft::raft::raft_inner=off,\
    openraft::core::heartbeat=off,raft_engine=warn,hyper=warn";

/// Flags for the logs of the process.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Logs")]
pub struct LogConfig {
    /// Format of log lines.
    #[arg(long, env = "COTERIE_LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,

    /// Levels to log, in the notation of RUST_LOG: `info`, `debug,coterie_raft=trace`.
    #[arg(long, env = "COTERIE_LOG_LEVEL", value_name = "DIRECTIVES")]
    pub log_level: Option<String>,
}

/// Format of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Text for people.
    #[default]
    Text,
    /// A JSON object per line.
    Json,
}

/// Why the logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directives cannot be parsed.
    #[error("parse the log level `{directives}`")]
    Directives {
        /// The directives as given.
        directives: String,
        /// The position of the error.
        #[source]
        source: ParseError,
    },
    /// The logs of this process are set up already.
    #[error("set up logging a second time")]
    Installed(#[from] TryInitError),
}

impl LogConfig {
    /// From now on sends all log lines of this process to stderr.
    ///
    /// # Errors
    /// When the level cannot be parsed, or this is not the first call.
    pub fn install(&self) -> Result<(), LogError> {
        let given = self
            .log_level
            .clone()
            .or_else(|| std::env::var("RUST_LOG").ok());
        let directives = match given {
            Some(given) if !given.trim().is_empty() => given,
            _ => DEFAULT_DIRECTIVES.to_owned(),
        };
        let filter = EnvFilter::try_new(&directives)
            .map_err(|source| LogError::Directives { directives, source })?;
        let registry = tracing_subscriber::registry().with(filter);
        let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr);
        match self.log_format {
            LogFormat::Text => {
                registry
                    .with(layer.with_ansi(io::stderr().is_terminal()))
                    .try_init()?;
            }
            LogFormat::Json => {
                // Fields at the top level: a search is `.group_id == 3`, not `.fields.group_id`.
                registry.with(layer.json().flatten_event(true)).try_init()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_without_sense_are_refused() {
        let config = LogConfig {
            log_level: Some("coterie=loud".into()),
            ..LogConfig::default()
        };
        assert!(matches!(config.install(), Err(LogError::Directives { .. })));
    }

    #[test]
    fn the_default_directives_parse() {
        assert!(EnvFilter::try_new(DEFAULT_DIRECTIVES).is_ok());
    }
}
