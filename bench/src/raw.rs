//! Measurements before they are a report.

use std::time::Duration;

use serde::Serialize;

use crate::cpu;
use crate::load::Seen;

/// A figure, unprocessed.
pub(crate) struct Raw {
    pub(crate) seen: Seen,
    pub(crate) took: Duration,
    pub(crate) cpu_before: cpu::Used,
    pub(crate) cpu_after: cpu::Used,
}

/// Bytes on disk per record beyond key and value, after compaction and without compression.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Overhead {
    pub(crate) records: usize,
    pub(crate) key_and_value_bytes: usize,
    pub(crate) bytes_per_record: f64,
    pub(crate) how: String,
}
