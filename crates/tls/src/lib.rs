//! TLS by rustls: certificates, keys and authorities from files, read again when the files change.
//!
//! Two uses: [`ClientTls`] is the side of a proxy that clients connect to, [`ClusterTls`] is both
//! sides of a connection between processes of the cluster. Each turns the content of its [`Files`]
//! into rustls' settings. [`Watched`] holds the newest settings of a use, and replaces them when
//! the files change.
//!
//! Rules: settings are replaced as a whole or not at all, so that a certificate never meets the key
//! of another; files that cannot be used leave the old settings in force, and say so in the log and
//! in a metric. New connections use the newest settings; open connections are not touched. A flag
//! is named in every error about its file.
//!
//! Callers: `crates/rpc` (connections between processes), the proxy (clients).

mod clients;
mod cluster;
mod error;
mod file;
mod files;
mod metrics;
#[cfg(test)]
mod test_authority;
mod validity;
mod watched;

pub use clients::{AuthClients, ClientTls, Protocols};
pub use cluster::{ClusterTls, Mutual};
pub use error::TlsError;
pub use file::File;
pub use files::Files;
pub use watched::{Kind, Made, Watched};

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// The only provider of cryptography: *ring*, which needs no tool beyond a C compiler.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
