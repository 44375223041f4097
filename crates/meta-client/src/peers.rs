//! The addresses of the meta members, and the last known leader.

use parking_lot::{Mutex, MutexGuard};

/// The addresses of the members; see the module's head.
#[derive(Debug)]
pub(crate) struct Peers {
    /// As configured; empty only if configured so.
    configured: Vec<String>,
    /// The last known leader. May be a member that is not in the configured list.
    leader: Mutex<Option<String>>,
}

impl Peers {
    pub(crate) fn new(configured: Vec<String>) -> Self {
        Self {
            configured,
            leader: Mutex::default(),
        }
    }

    /// The address for this attempt, counted from 0: first the last known leader, then all members
    /// in turn.
    pub(crate) fn at_try(&self, attempt: usize) -> Option<String> {
        if attempt == 0
            && let Some(leader) = self.lock().clone()
        {
            return Some(leader);
        }
        self.in_turn(attempt)
    }

    /// The configured members in turn.
    pub(crate) fn in_turn(&self, turn: usize) -> Option<String> {
        let index = turn.checked_rem(self.configured.len())?;
        self.configured.get(index).cloned()
    }

    /// Number of configured members.
    pub(crate) fn len(&self) -> usize {
        self.configured.len()
    }

    /// Notes that `addr` answered as the leader.
    pub(crate) fn led(&self, addr: &str) {
        let mut leader = self.lock();
        if leader.as_deref() != Some(addr) {
            *leader = Some(addr.to_owned());
        }
    }

    /// Notes that `addr` does not lead, or cannot be reached.
    pub(crate) fn did_not_lead(&self, addr: &str) {
        let mut leader = self.lock();
        if leader.as_deref() == Some(addr) {
            *leader = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.leader.lock()
    }
}
