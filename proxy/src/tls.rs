//! TLS for clients: its flags, the certificate in force, and how it changes while the proxy runs.
//!
//! Flags bear Redis' names. The files of the certificate are read again when they change, and by
//! CONFIG SET (`commands::config_tls`). The port for HTTP stays plain.

mod flags;
mod handshake;

pub use flags::TlsConfig;
pub(crate) use handshake::Handshakes;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coterie_tls::{AuthClients, ClientTls, File, Files, Made, Protocols, TlsError, Watched};
use parking_lot::Mutex;
use tokio_rustls::TlsAcceptor;

/// Minimum time between two warnings about handshakes: a stranger may try often.
const WARNING_PAUSE: Duration = Duration::from_secs(1);

pub(crate) const CERT: &str = "--tls-cert-file";
pub(crate) const KEY: &str = "--tls-key-file";
pub(crate) const CA: &str = "--tls-ca-cert-file";

/// See the module's head.
pub(crate) struct Tls {
    /// Where clients connect by TLS.
    pub(crate) addr: SocketAddr,
    watched: Arc<Watched<ClientTls>>,
    /// When a failed handshake was last logged.
    warned_at: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// TLS at an address that is listened on.
    pub(crate) fn new(addr: SocketAddr, watched: Arc<Watched<ClientTls>>) -> Self {
        Self {
            addr,
            watched,
            warned_at: Mutex::default(),
        }
    }

    /// Accepts with the certificate in force.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.watched.settings())
    }

    /// The files and settings in force.
    pub(crate) fn in_force(&self) -> ClientTls {
        self.watched.kind()
    }

    /// Puts settings in force, for clients that connect from now on.
    pub(crate) fn put(&self, made: Made<ClientTls>) {
        self.watched.put(made);
    }

    /// Logs a handshake that failed, unless another was logged a moment ago.
    fn warn(&self, addr: SocketAddr, reason: &str) {
        let mut warned_at = self.warned_at.lock();
        if warned_at.is_none_or(|at| at.elapsed() >= WARNING_PAUSE) {
            *warned_at = Some(Instant::now());
            tracing::warn!(%addr, reason, "a client's TLS handshake failed");
        } else {
            tracing::debug!(%addr, reason, "a client's TLS handshake failed");
        }
    }
}
