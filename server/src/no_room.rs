//! How long the node has had no room on its disk.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use coterie_raft::Group;

/// How long clients' writes wait for a leader with room before they are refused.
const PATIENCE: Duration = Duration::from_secs(5);

/// When the node noticed that it had no room; `None` while it has room.
#[derive(Debug, Default)]
pub(crate) struct NoRoom(Mutex<Option<Instant>>);

impl NoRoom {
    /// Whether a write that lacks room here may soon find a leader with room. If so, the client
    /// should retry rather than hear that the disk is full.
    pub(crate) fn may_pass(&self, group: &Group) -> bool {
        let is_new = self.lock().is_none_or(|since| since.elapsed() < PATIENCE);
        is_new && group.has_roomier_voter()
    }

    /// Notes that the node has no room, unless that is known already.
    pub(crate) fn begin(&self) {
        self.lock().get_or_insert_with(Instant::now);
    }

    /// Notes that the node has room.
    pub(crate) fn end(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
