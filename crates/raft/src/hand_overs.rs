//! The gate that proposals pass, and the heir that a hand-over has named (see `hand_over`).

use coterie_types::{NodeId, Term};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::RwLock;

/// The hand-over state of a replica; idle unless the replica leads.
#[derive(Default)]
pub(crate) struct HandOvers {
    /// Every proposal passes the gate; a hand-over shuts it.
    pub(crate) gate: RwLock<()>,
    pub(crate) one_at_a_time: tokio::sync::Mutex<()>,
    /// The node for which a hand-over is confirmed, and in which term.
    heir: Mutex<Option<Heir>>,
}

/// The heir of a hand-over, and the leader's term.
pub(crate) struct Heir {
    pub(crate) node: NodeId,
    pub(crate) term: Term,
}

impl HandOvers {
    /// Names the heir for as long as the returned guard lives.
    pub(crate) fn name(&self, node: NodeId, term: Term) -> Named<'_> {
        *self.lock() = Some(Heir { node, term });
        Named(self)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<Heir>> {
        self.heir.lock()
    }
}

/// The named heir. After the drop no hand-over is confirmed.
pub(crate) struct Named<'a>(&'a HandOvers);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}
