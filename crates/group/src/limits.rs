//! Bounds of the work of an entry. All of it is held in memory at once, and no client is answered
//! before all of it is applied; the excess goes into another entry.
//!
//! An entry is *full* once it has passed a limit. A full entry begins no further frame, and cuts a
//! pipeline before its next write. A transaction may pass the limits of an entry, but not its own.
//!
//! Every replica must decide the same from the same entries: the limits are constants of the
//! program, and only tests apply entries within other limits.

/// The limits of an entry; see the module's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of keys and values that an entry changes, each key counted once: they become a single
    /// batch.
    pub changed_bytes: usize,
    /// The same with every change of a key counted: they take time.
    pub written_bytes: usize,
    /// Bytes of answers.
    pub answer_bytes: usize,
    /// Bytes of keys and values that a transaction may change, including the changes of the entry
    /// before it. A transaction that passes the limit alone is refused.
    pub transaction_bytes: usize,
    /// Bytes of keys and values that a frame with scripts may change: its effects are an entry's
    /// bytes. A script that passes the limit is refused.
    pub script_bytes: usize,
    /// Bytes of keys and values after which no further frame joins an entry of scripts.
    pub scripts_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            changed_bytes: 32 << 20,
            written_bytes: 256 << 20,
            answer_bytes: 32 << 20,
            transaction_bytes: 256 << 20,
            script_bytes: 64 << 20,
            scripts_bytes: 2 << 20,
        }
    }
}
