//! What an error at the client says about the command: surely not executed, or perhaps.
//!
//! Coterie says which: `TRYAGAIN` means it has not been, `UNKNOWN` that it may have been. A broken
//! connection or a timeout after sending leaves it open. Anything else is an answer to the command
//! itself, which a workload does not expect and reports.

use redis::{ErrorKind, RedisError};

/// What became of a command that was not answered as wished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Surely not executed; nothing was changed.
    NotExecuted,
    /// It may have been executed, or may yet be.
    Unknown,
    /// The server answered, with this error.
    Rejected(String),
}

/// Reads the fate from an error of a command that was sent.
#[must_use]
pub fn of(error: &RedisError) -> Fate {
    match error.code() {
        Some("TRYAGAIN" | "LOADING" | "CLUSTERDOWN" | "MASTERDOWN" | "BUSY") => Fate::NotExecuted,
        Some("UNKNOWN") => Fate::Unknown,
        Some(_) => Fate::Rejected(error.to_string()),
        None if matches!(error.kind(), ErrorKind::Server(_)) => Fate::Rejected(error.to_string()),
        None => Fate::Unknown,
    }
}
