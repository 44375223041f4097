//! Memory for long replies and long requests: replies that clients have not taken yet, and requests
//! that groups have not answered. Each of the two has a bound for all clients together.
//!
//! Short replies and requests need no permit: a client has few of them in flight. For a long reply,
//! bytes are taken before the group is asked; for a long argument, before it is read; clients take
//! turns. The bytes are given back as the client reads, or when the request is answered. So a reply
//! that a slow client does not take stays unread in the store, and an argument that has no room
//! stays in the client's socket.
//!
//! A reply or request in several parts (a reply combined from groups' replies, a request of several
//! arguments) could run out of memory half-way and wait for others that do the same. To avoid this
//! deadlock, a single reply and a single request may go beyond the bound at a time ([`Beyond`]).
//!
//! Clients that hold memory and make no progress, while others wait for it, are closed
//! (`stalled_clients`).

use std::sync::Arc;

use coterie_budget::{Budget, Permit};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Most bytes that need no permit: of a request, or of a frame's replies. Each lane always has room
/// for this much.
pub(crate) const SHORT_BYTES: usize = 64 << 10;

/// See the module's head. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct ClientMemory {
    pub(crate) budget: Budget,
    /// Bytes that a client may hold; a single longer reply may take as much as it needs.
    pub(crate) client_bytes: usize,
    beyond: Arc<Mutex<()>>,
}

/// The right to go beyond the bound. Held until the reply was taken, or the request answered.
pub(crate) type Beyond = OwnedMutexGuard<()>;

/// Memory for a reply or request that comes in parts.
#[derive(Debug)]
pub(crate) struct Gathering {
    memory: ClientMemory,
    permit: Permit,
    beyond: Option<Beyond>,
}

impl ClientMemory {
    /// Memory of `bytes` for all clients together, and `client_bytes` for each.
    pub(crate) fn new(bytes: usize, client_bytes: usize) -> Self {
        Self {
            budget: Budget::new(bytes),
            client_bytes: client_bytes.max(SHORT_BYTES),
            beyond: Arc::default(),
        }
    }

    /// Starts a reply or request in parts, once there is memory for `bytes`.
    pub(crate) async fn gather(&self, bytes: usize) -> Gathering {
        Gathering {
            permit: self.budget.take(bytes).await,
            memory: self.clone(),
            beyond: None,
        }
    }
}

impl Gathering {
    /// Waits until it has memory for `bytes` in all, or its turn to go beyond the bound.
    pub(crate) async fn reach(&mut self, bytes: usize) {
        let more = bytes.saturating_sub(self.permit.bytes());
        if more == 0 {
            return;
        }
        if self.beyond.is_none() {
            let budget = &self.memory.budget;
            let beyond = Arc::clone(&self.memory.beyond);
            tokio::select! {
                biased;
                permit = budget.take(more) => self.permit.merge(permit),
                beyond = beyond.lock_owned() => self.beyond = Some(beyond),
            }
        }
        let more = bytes.saturating_sub(self.permit.bytes());
        self.permit.grow(more);
    }

    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.permit.bytes()
    }

    /// Gives back all but `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        self.permit.shrink_to(bytes);
    }

    /// Ends with the complete reply, which the client's own memory now accounts for. Returns the
    /// right to go beyond the bound, if it was used.
    pub(crate) fn finish(self) -> Option<Beyond> {
        self.beyond
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn one_reply_at_a_time_goes_beyond_the_bound() {
        let memory = ClientMemory::new(100, 0);
        let mut one = memory.gather(10).now_or_never().unwrap();
        let mut two = memory.gather(10).now_or_never().unwrap();
        one.reach(500).now_or_never().unwrap();
        assert_eq!(memory.budget.used(), 510);
        assert!(two.reach(90).now_or_never().is_none(), "not both");
        assert_eq!(memory.budget.waiting(), 0, "it was given up");
        let mut reaching = Box::pin(two.reach(90));
        assert!((&mut reaching).now_or_never().is_none());
        assert_eq!(memory.budget.waiting(), 1);
        // By then its memory is free, and so is the right to go beyond.
        drop(one.finish());
        reaching.now_or_never().unwrap();
        assert_eq!(memory.budget.used(), 90);
    }
}
