//! The members' addresses, and which of them led last.

use std::sync::{Mutex, PoisonError};

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Peers {
    /// As configured; never empty unless it was configured so.
    configured: Vec<String>,
    /// Who led last, as far as known. May be a member that is not in the configured list.
    leader: Mutex<Option<String>>,
}

impl Peers {
    pub(crate) fn new(configured: Vec<String>) -> Self {
        Self {
            configured,
            leader: Mutex::default(),
        }
    }

    /// Whom to ask at this try, counted from 0: who led last at first, then everybody in turn.
    pub(crate) fn at_try(&self, attempt: usize) -> Option<String> {
        if attempt == 0
            && let Some(leader) = self.lock().clone()
        {
            return Some(leader);
        }
        self.in_turn(attempt)
    }

    /// The configured members one after another.
    pub(crate) fn in_turn(&self, turn: usize) -> Option<String> {
        let index = turn.checked_rem(self.configured.len())?;
        self.configured.get(index).cloned()
    }

    /// How many are configured.
    pub(crate) fn len(&self) -> usize {
        self.configured.len()
    }

    /// `addr` answered as the leader does.
    pub(crate) fn led(&self, addr: &str) {
        let mut leader = self.lock();
        if leader.as_deref() != Some(addr) {
            *leader = Some(addr.to_owned());
        }
    }

    /// `addr` does not lead, or cannot be reached.
    pub(crate) fn did_not_lead(&self, addr: &str) {
        let mut leader = self.lock();
        if leader.as_deref() == Some(addr) {
            *leader = None;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.leader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
