//! The settings that may change while the proxy runs; every connection reads them without a lock.
//! Names and ranges are Redis' (`config.c`); `commands::config` reads and writes them by name.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::Config;

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
    pub(crate) output_limit: AtomicU64,
    /// Soft limit: bytes, and for how many seconds.
    pub(crate) output_limit_soft: AtomicU64,
    pub(crate) output_limit_soft_seconds: AtomicU64,
    /// Microseconds; below 0 is never.
    pub(crate) slowlog_log_slower_than: AtomicI64,
    pub(crate) slowlog_max_len: AtomicU64,
}

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
            output_limit: config.client_output_buffer_limit.into(),
            output_limit_soft: 0.into(),
            output_limit_soft_seconds: 0.into(),
            slowlog_log_slower_than: i64::try_from(micros).unwrap_or(i64::MAX).into(),
            slowlog_max_len: config.slowlog_max_len.into(),
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
