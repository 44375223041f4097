//! How much one entry does. All of it is held in memory at once, and nobody is answered before all
//! of it is applied; so what does not fit goes into another entry.
//!
//! An entry is *full* once it has passed one of the limits. A full entry begins no further frame,
//! and cuts a pipeline before its next write. A transaction may pass the limits of an entry, but
//! not its own.
//!
//! Every replica decides the same from the same entries: these are constants of the program, and
//! only tests apply entries within others.

/// See the module's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of keys and values that an entry changes, each key once: they become one batch.
    pub changed_bytes: usize,
    /// The same of all changes, each time a key is changed: they take their time.
    pub written_bytes: usize,
    /// Bytes of answers.
    pub answer_bytes: usize,
    /// Bytes of keys and values that a transaction may change, and all that the entry changed
    /// before it. One that passes them alone is refused.
    pub transaction_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            changed_bytes: 32 << 20,
            written_bytes: 256 << 20,
            answer_bytes: 32 << 20,
            transaction_bytes: 256 << 20,
        }
    }
}
