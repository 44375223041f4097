//! The failure of a store.

/// The store failed: this node alone is broken (disk, damage).
#[derive(Debug, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct StorageError {
    /// The operation, a verb phrase.
    pub what: &'static str,
    /// The engine's error text.
    pub reason: String,
    /// Whether the disk had no room: the operation works again once there is some.
    pub is_no_room: bool,
}

impl StorageError {
    pub(crate) fn new(what: &'static str, reason: impl std::fmt::Display) -> Self {
        Self {
            what,
            reason: reason.to_string(),
            is_no_room: false,
        }
    }

    /// Bytes that no version of Coterie wrote.
    #[must_use]
    pub fn corrupt(what: &'static str, reason: &str) -> Self {
        Self::new(what, reason)
    }

    pub(crate) fn no_room(self, is_no_room: bool) -> Self {
        Self { is_no_room, ..self }
    }
}
