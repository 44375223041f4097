//! When a leader may serve a read without asking a quorum.
//!
//! Followers promise a lease from the moment they receive a leader's message. The leader counts the
//! lease from the moment it sent the message that a quorum has acknowledged, so the lease ends on
//! the leader first. The leader uses 0.8 of it, as a margin for clocks that run at different
//! speeds. Time is monotonic, so a process that was paused finds its lease over.
//!
//! A read may be served when all of these hold:
//!
//! - this node leads and is a voter;
//! - an entry of this term is applied (so every write acknowledged by an earlier leader is);
//! - the quorum's last acknowledgement is younger than 0.8 of the lease, or there is no other
//!   voter;
//! - no transfer of leadership was begun here in this term (a transfer bypasses the followers'
//!   leases).
//!
//! Source: Raft thesis §6.4.1; design §5.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use openraft::Instant;
use openraft::async_runtime::WatchReceiver;

use crate::machine::{OpenraftMachine, Progress};
use crate::type_config::TypeConfig;

type Raft = openraft::Raft<TypeConfig, OpenraftMachine>;

/// Transfers of leadership that bar lease reads.
#[derive(Default)]
pub(crate) struct Transfers {
    under_way: AtomicBool,
    /// The term in which the transfer was begun; the transfer can only take effect in that term.
    term: AtomicU64,
}

impl Transfers {
    /// Bars lease reads in `term` from now on, for the rest of the term: once the transfer was
    /// confirmed, the target may campaign at any time.
    pub(crate) fn begin(&self, term: u64) {
        self.term.store(term, Ordering::SeqCst);
        self.under_way.store(true, Ordering::SeqCst);
    }

    fn bars(&self, term: u64) -> bool {
        self.under_way.load(Ordering::SeqCst) && self.term.load(Ordering::SeqCst) == term
    }
}

/// Whether a read may be served now.
pub(crate) fn allows_read(
    raft: &Raft,
    progress: &Progress,
    transfers: &Transfers,
    lease: Duration,
) -> bool {
    let term = raft.server_metrics().borrow_watched().vote.leader_id.term;
    !transfers.bars(term) && leads_surely(raft, progress, lease)
}

/// Like [`allows_read`], but ignores transfers: whether this node leads, has applied all entries
/// acknowledged before its term, and heard from a quorum within the lease.
pub(crate) fn leads_surely(raft: &Raft, progress: &Progress, lease: Duration) -> bool {
    let Ok(leader) = raft.as_leader() else {
        return false;
    };
    let term = leader.term();
    let fresh =
        |acked: openraft::alias::InstantOf<TypeConfig>| acked.elapsed() < lease.mul_f32(0.8);
    let metrics = raft.server_metrics();
    let metrics = metrics.borrow_watched();
    let voters = metrics.membership_config.membership().get_joint_config();
    let this = raft.node_id();
    // A leader that is being removed hands over without regard to leases.
    let is_voter = voters.iter().any(|config| config.contains(this));
    // Without another voter there can be no other leader.
    let is_alone = is_voter && voters.iter().flatten().all(|voter| voter == this);
    progress.applied_term.load(Ordering::Acquire) == term
        && is_voter
        && (is_alone || leader.last_quorum_acked().is_some_and(fresh))
}
