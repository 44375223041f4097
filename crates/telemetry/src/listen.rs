//! The error of an address that cannot be listened on.

use std::io;

/// A role, or its endpoint, cannot listen on an address.
#[derive(Debug, thiserror::Error)]
#[error("listen on {addr}")]
pub struct ListenError {
    /// The address.
    pub addr: String,
    /// The system's error.
    #[source]
    pub source: io::Error,
}

impl ListenError {
    /// For `map_err`: names the address.
    pub fn at(addr: &str) -> impl FnOnce(io::Error) -> Self {
        let addr = addr.to_owned();
        move |source| Self { addr, source }
    }
}
