//! The settings that may change while the proxy runs; every connection reads them without a lock.
//! Names and ranges are Redis' (`config.c`); `commands::config` reads and writes them by name.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{Allowed, Config};

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Settings {
    password: ArcSwapOption<Password>,
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

/// A password and its digest. Comparing digests takes the same time for any input.
#[derive(Debug)]
struct Password {
    text: Vec<u8>,
    digest: [u8; 32],
}

impl Settings {
    pub(crate) fn new(config: &Config) -> Self {
        let micros = config.slowlog_log_slower_than.as_micros();
        let settings = Self {
            password: ArcSwapOption::empty(),
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
            latency_monitor_threshold: 0.into(),
            debug_command: config.enable_debug_command,
        };
        let password = config.requirepass.as_ref();
        settings.set_password(password.map_or(b"", |secret| secret.expose().as_bytes()));
        settings
    }

    /// Whether clients must authenticate.
    pub(crate) fn has_password(&self) -> bool {
        self.password.load().is_some()
    }

    /// Whether `given` is the password.
    pub(crate) fn is_password(&self, given: &[u8]) -> bool {
        let password = self.password.load();
        let digest: [u8; 32] = Sha256::digest(given).into();
        password
            .as_ref()
            .is_some_and(|password| password.digest.ct_eq(&digest).into())
    }

    /// The password, for `CONFIG GET`; empty for none.
    pub(crate) fn password(&self) -> Vec<u8> {
        let password = self.password.load();
        password
            .as_ref()
            .map_or_else(Vec::new, |password| password.text.clone())
    }

    /// Sets the password; empty for none.
    pub(crate) fn set_password(&self, text: &[u8]) {
        let password = (!text.is_empty()).then(|| Password {
            text: text.to_vec(),
            digest: Sha256::digest(text).into(),
        });
        self.password.store(password.map(Into::into));
    }

    /// The duration from which on a command is slow; `None` for never.
    pub(crate) fn slower_than(&self) -> Option<Duration> {
        let micros = self.slowlog_log_slower_than.load(Ordering::Relaxed);
        u64::try_from(micros).ok().map(Duration::from_micros)
    }
}
