//! Where logs go and how they look: stderr, text for people or one JSON object per line.
//!
//! `--log-level` takes the directives of `RUST_LOG` (`info`, `debug,openraft=warn`) and wins over
//! it. With neither, what Coterie does is told at `info`, and libraries only when they warn.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

/// Libraries only when they warn; openraft warns of each vote that a restarted peer refuses, which
/// is what the restart fence is for: what matters of it, `coterie_raft` says. Two of its modules call
/// it an error when a group stops while it is asked something, or while its heartbeats are under way:
/// who asked is told by the answer, and replicas come and go.
const DEFAULT_DIRECTIVES: &str = "info,openraft=error,openraft::raft::raft_inner=off,\
    openraft::core::heartbeat=off,raft_engine=warn,hyper=warn";

/// Flags that say how the process logs.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Logs")]
pub struct LogConfig {
    /// How log lines look.
    #[arg(long, env = "COTERIE_LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,

    /// What is logged, in the notation of RUST_LOG: `info`, `debug,coterie_raft=trace`.
    #[arg(long, env = "COTERIE_LOG_LEVEL", value_name = "DIRECTIVES")]
    pub log_level: Option<String>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directives are not understood.
    #[error("parse the log level `{directives}`")]
    Directives {
        /// What was given.
        directives: String,
        /// Where it goes wrong.
        #[source]
        source: ParseError,
    },
    /// The process logs already.
    #[error("set up logging a second time")]
    Installed(#[from] TryInitError),
}

impl LogConfig {
    /// Sends everything logged by this process to stderr from now on.
    ///
    /// # Errors
    /// When the level is not understood, or this is not the first call.
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
