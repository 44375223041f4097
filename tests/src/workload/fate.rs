//! The fate of a command that ended in an error: surely not executed, or perhaps executed.
//!
//! Coterie's errors tell: `TRYAGAIN` means not executed, `UNKNOWN` perhaps executed. A broken
//! connection or a timeout after sending leaves the fate open. Any other error refuses the command
//! itself; a workload does not expect such errors and reports them.

use redis::{ErrorKind, RedisError};

/// The fate of a command without a good reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Surely not executed.
    NotExecuted,
    /// It may have been executed, or may yet be.
    Unknown,
    /// The server refused the command with this error.
    Rejected(String),
}

/// The fate of a sent command, by its error.
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
