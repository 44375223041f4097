//! The settings that may change while the proxy runs; every connection reads them without a lock.
//! Names and ranges are Redis' (`config.c`); `commands::config` reads and writes them by name.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::{Allowed, Config};

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
    pub(crate) output_limits: OutputLimits,
    /// Microseconds; below 0 is never.
    pub(crate) slowlog_log_slower_than: AtomicI64,
    pub(crate) slowlog_max_len: AtomicU64,
    /// Keys that clients keep, of all clients; 0 for no bound.
    pub(crate) tracking_table_max_keys: AtomicU64,
    /// Milliseconds from which on LATENCY keeps events; 0 is never.
    pub(crate) latency_monitor_threshold: AtomicU64,
    pub(crate) debug_command: Allowed,
}

/// How much may wait for a client, by its class.
#[derive(Debug)]
pub(crate) struct OutputLimits {
    /// Replies.
    pub(crate) normal: OutputLimit,
    /// Without effect: a proxy has no replicas.
    pub(crate) replica: OutputLimit,
    /// Messages that the client did not ask for.
    pub(crate) pubsub: OutputLimit,
}

/// The bytes beyond which a client is closed; 0 for no limit.
#[derive(Debug)]
pub(crate) struct OutputLimit {
    /// At once.
    pub(crate) hard: AtomicU64,
    /// After `soft_seconds`.
    pub(crate) soft: AtomicU64,
    pub(crate) soft_seconds: AtomicU64,
}

impl OutputLimit {
    fn new(hard: u64, soft: u64, soft_seconds: u64) -> Self {
        Self {
            hard: hard.into(),
            soft: soft.into(),
            soft_seconds: soft_seconds.into(),
        }
    }
}

/// Redis' limits of replicas and of subscribers (`config.c`, `clientBufferLimitsDefaults`); the
/// hard limit of subscribers is a flag.
const REPLICA_BYTES: (u64, u64) = (256 << 20, 64 << 20);
const PUBSUB_SOFT_BYTES: u64 = 8 << 20;
const SOFT_SECONDS: u64 = 60;

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
            output_limits: OutputLimits {
                normal: OutputLimit::new(config.client_output_buffer_limit, 0, 0),
                replica: OutputLimit::new(REPLICA_BYTES.0, REPLICA_BYTES.1, SOFT_SECONDS),
                pubsub: OutputLimit::new(
                    config.pubsub_output_buffer_limit,
                    PUBSUB_SOFT_BYTES,
                    SOFT_SECONDS,
                ),
            },
            slowlog_log_slower_than: i64::try_from(micros).unwrap_or(i64::MAX).into(),
            slowlog_max_len: config.slowlog_max_len.into(),
            tracking_table_max_keys: 1_000_000.into(),
            latency_monitor_threshold: 0.into(),
            debug_command: config.enable_debug_command,
        }
    }

    /// The duration from which on a command is slow; `None` for never.
    pub(crate) fn slower_than(&self) -> Option<Duration> {
        let micros = self.slowlog_log_slower_than.load(Ordering::Relaxed);
        u64::try_from(micros).ok().map(Duration::from_micros)
    }
}
