//! The time and chance of a log entry, and the clocks that decide whether a record is expired.
//!
//! Nothing in this crate knows any other clock or source of chance, so replicas that execute the
//! same entry over the same state reach the same state.

use coterie_types::{GroupId, UnixMillis};

use crate::Header;

/// All the time and chance of a log entry, or of a read outside the log.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// The group that applies.
    pub group: GroupId,
    /// The group clock: for an entry its own time, for a read that of the last applied entry.
    pub now: UnixMillis,
    /// Reads outside the log only: the leader's current clock, not before `now`.
    pub read_now: Option<UnixMillis>,
    /// Whatever chance the entry has.
    pub seed: u64,
    /// The group's change counter: the number the next change gets.
    pub next_change: u64,
}

/// The clocks that a record's expiry is compared with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    pub(crate) now: UnixMillis,
    pub(crate) read_now: Option<UnixMillis>,
}

impl Clock {
    /// Whether the record is there, by the applied clock.
    pub(crate) fn is_live(self, header: Header) -> bool {
        !header.is_expired(self.now)
    }

    /// Whether the record is there by the applied clock and not by the leader's.
    pub(crate) fn is_unsure(self, header: Header) -> bool {
        self.is_live(header) && self.read_now.is_some_and(|now| header.is_expired(now))
    }
}
