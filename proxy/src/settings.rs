//! The settings that may change while the proxy runs; every connection reads them without a lock.
//! Names and ranges are Redis' (`config.c`); `commands::config` reads and writes them by name.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::Config;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) protected_mode: AtomicBool,
    pub(crate) maxclients: AtomicU64,
    /// Seconds; 0 is never.
    pub(crate) timeout: AtomicU64,
    /// Seconds; 0 is never.
    pub(crate) tcp_keepalive: AtomicU64,
    pub(crate) proto_max_bulk_len: AtomicU64,
    pub(crate) client_query_buffer_limit: AtomicU64,
    pub(crate) output_limit: AtomicU64,
    /// Soft limit: bytes, and for how many seconds.
    pub(crate) output_limit_soft: AtomicU64,
    pub(crate) output_limit_soft_seconds: AtomicU64,
    /// Microseconds; below 0 is never.
    pub(crate) slowlog_log_slower_than: AtomicI64,
    pub(crate) slowlog_max_len: AtomicU64,
}

impl Settings {
    pub(crate) fn new(config: &Config) -> Self {
        let micros = config.slowlog_log_slower_than.as_micros();
        Self {
            protected_mode: config.protected_mode.into(),
            maxclients: config.maxclients.into(),
            timeout: config.timeout.as_secs().into(),
            tcp_keepalive: config.tcp_keepalive.as_secs().into(),
            proto_max_bulk_len: config.proto_max_bulk_len.into(),
            client_query_buffer_limit: config.client_query_buffer_limit.into(),
            output_limit: config.client_output_buffer_limit.into(),
            output_limit_soft: 0.into(),
            output_limit_soft_seconds: 0.into(),
            slowlog_log_slower_than: i64::try_from(micros).unwrap_or(i64::MAX).into(),
            slowlog_max_len: config.slowlog_max_len.into(),
        }
    }

    /// The duration from which on a command is slow; `None` for never.
    pub(crate) fn slower_than(&self) -> Option<Duration> {
        let micros = self.slowlog_log_slower_than.load(Ordering::Relaxed);
        u64::try_from(micros).ok().map(Duration::from_micros)
    }
}
