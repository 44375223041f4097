//! A proxy's knowledge of a group, kept for as long as the proxy runs: the group's leader, as far
//! as known, and the numbers of the frames sent to it.
//!
//! A hint of a higher term wins. A node that did not answer is a suspect for a moment: meanwhile,
//! hints of other nodes that it leads are ignored, as they need time to notice its failure, too.
//!
//! It also records since which map the group owns its present intervals: a frame that was routed by
//! an older map, and was surely not applied, may have another owner by now.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use coterie_rpc::Progress;
use coterie_types::{GroupId, NodeId, Term};
use parking_lot::{Mutex, MutexGuard};

use super::window::Window;

/// How long a node that did not answer stays a suspect.
const SUSPECT_FOR: Duration = Duration::from_millis(250);

/// See the module's head.
#[derive(Debug)]
pub(crate) struct GroupRoute {
    pub(crate) id: GroupId,
    pub(crate) window: Arc<Window>,
    /// The numbers of frames that may wait for data. They have a session of their own, as they may
    /// take long.
    pub(crate) waits: Arc<Window>,
    /// When it last answered reads, and when writes.
    progress: [Arc<Progress>; 2],
    /// The next candidate to ask while no leader is known.
    next_probe: AtomicUsize,
    leader: Mutex<Leader>,
    /// A digest of the intervals it owns by the newest map; 0 for none.
    owned: AtomicU64,
    /// The generation of the first map with these intervals.
    owned_since: AtomicU64,
}

#[derive(Debug, Default)]
struct Leader {
    node: Option<NodeId>,
    term: Term,
    suspect: Option<(NodeId, Instant)>,
}

impl GroupRoute {
    pub(crate) fn new(id: GroupId) -> Self {
        Self {
            id,
            window: Arc::new(Window::new()),
            waits: Arc::new(Window::of_waits()),
            progress: Default::default(),
            next_probe: AtomicUsize::new(0),
            leader: Mutex::default(),
            owned: AtomicU64::new(0),
            owned_since: AtomicU64::new(0),
        }
    }

    /// Records that the group owns the intervals of this digest by the map of this generation,
    /// which is about to become the newest. Called for each map in turn.
    pub(crate) fn owns(&self, digest: u64, generation: u64) {
        if self.owned.swap(digest, Ordering::Relaxed) != digest {
            self.owned_since.store(generation, Ordering::Release);
        }
    }

    /// Whether the group now owns other intervals than by the map of this generation.
    pub(crate) fn owns_other_than(&self, generation: u64) -> bool {
        self.owned_since.load(Ordering::Acquire) > generation
    }

    /// Records that the group answered a frame, so it makes progress with other frames of the kind.
    /// A group that writes can read, too; a group that reads may have lost its quorum.
    pub(crate) fn progressed(&self, is_read: bool) {
        let [reads, writes] = &self.progress;
        reads.note();
        if !is_read {
            writes.note();
        }
    }

    /// When the group last answered frames of the kind.
    pub(crate) fn progress(&self, is_read: bool) -> &Arc<Progress> {
        &self.progress[usize::from(!is_read)]
    }

    /// The leader, if known.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        self.lock().node
    }

    /// The candidate to ask when no leader is known; takes them in turn.
    pub(crate) fn probe<T: Copy>(&self, candidates: &[T]) -> Option<T> {
        let turn = self.next_probe.fetch_add(1, Ordering::Relaxed);
        candidates.get(turn % candidates.len().max(1)).copied()
    }

    /// Records that `node` executed a frame, and so leads.
    pub(crate) fn confirm(&self, node: NodeId) {
        let mut leader = self.lock();
        if leader.node != Some(node) {
            leader.node = Some(node);
        }
    }

    /// Records that `from` does not lead, and the leader it names. Returns whether a leader is
    /// known, which can be asked at once.
    pub(crate) fn redirect(&self, from: NodeId, to: Option<NodeId>, term: Term) -> bool {
        let mut leader = self.lock();
        if leader.node == Some(from) {
            leader.node = None;
        }
        let suspected = leader
            .suspect
            .is_some_and(|(node, since)| to == Some(node) && since.elapsed() < SUSPECT_FOR);
        if let Some(to) = to
            && to != from
            && !suspected
            && (leader.node.is_none() || term > leader.term)
            && term >= leader.term
        {
            leader.node = Some(to);
            leader.term = term;
            return true;
        }
        leader.node.is_some()
    }

    /// Records that `node` did not answer.
    pub(crate) fn suspect(&self, node: NodeId) {
        let mut leader = self.lock();
        leader.suspect = Some((node, Instant::now()));
        if leader.node == Some(node) {
            leader.node = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Leader> {
        // Nothing panics while holding it.
        self.leader.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);
    const C: NodeId = NodeId(3);

    #[test]
    fn the_hint_of_a_higher_term_wins() {
        let group = GroupRoute::new(GroupId(1));
        assert!(group.redirect(A, Some(B), Term(3)));
        assert_eq!(group.leader(), Some(B));
        assert!(
            group.redirect(C, Some(A), Term(2)),
            "B is still there to ask"
        );
        assert_eq!(group.leader(), Some(B), "C's word is older");
        assert!(group.redirect(C, Some(A), Term(4)));
        assert_eq!(group.leader(), Some(A));
        assert!(!group.redirect(A, None, Term(5)));
        assert_eq!(group.leader(), None);
    }

    #[test]
    fn a_suspect_is_not_gone_back_to_at_once() {
        let group = GroupRoute::new(GroupId(1));
        group.confirm(A);
        group.suspect(A);
        assert_eq!(group.leader(), None);
        assert!(!group.redirect(B, Some(A), Term(1)));
        assert!(group.redirect(B, Some(C), Term(2)));
    }

    #[test]
    fn candidates_are_asked_in_turn() {
        let group = GroupRoute::new(GroupId(1));
        let asked: Vec<_> = (0..4).map(|_| group.probe(&[A, B, C])).collect();
        assert_eq!(asked, [Some(A), Some(B), Some(C), Some(A)]);
        assert_eq!(group.probe::<NodeId>(&[]), None);
    }
}
