//! The failure of a single node, as opposed to an error that a client gets.

use std::error::Error;

/// This node alone could not read its state: it stops before it diverges from the other replicas.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    message: String,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Fault {
    /// A fault with its cause; `message` is a verb phrase like "read record".
    pub fn new(
        message: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            message: message.into(),
            source: Some(source.into()),
        }
    }

    /// Bytes from the store that no version of Coterie wrote.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            source: None,
        }
    }
}
