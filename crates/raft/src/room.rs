//! Room on disk: how much this node can still take, and which other nodes reported that theirs is
//! scarce.
//!
//! A node without room drops appends that carry data, as a lossy network would, instead of filling
//! its disk and failing; it takes everything else, lags, and catches up when there is room. Before
//! that point it reports that room is scarce, in every answer to an append, heartbeats included. A
//! leader checks [`Rooms::scarce_at`], and refuses writes that grow the data while a majority could
//! not take them. A report counts only for a while, so that an absent node is not considered full.
//!
//! A snapshot that does not fit beside the other snapshots on their way here is refused when it is
//! announced: it would only fill the disk, and be lost.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use coterie_types::{GroupId, NodeId};
use parking_lot::{Mutex, MutexGuard, RwLock};

/// How much room a node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Room {
    /// It takes everything.
    #[default]
    Ample,
    /// No further growth should be proposed; entries already in the log are taken.
    Scarce,
    /// It takes no entries with data.
    None,
}

/// The room of this node, and the reported room of the others.
pub(crate) struct Rooms {
    own: AtomicU8,
    /// Bytes that may arrive before room is scarce; unlimited until first set.
    spare_bytes: AtomicU64,
    /// Bytes of snapshots still to arrive, by group.
    coming: Mutex<BTreeMap<GroupId, u64>>,
    /// How long another node's report counts.
    valid: Duration,
    /// The nodes that reported scarce room, with the time of their last report.
    scarce: RwLock<BTreeMap<NodeId, Instant>>,
}

impl Rooms {
    pub(crate) fn new(valid: Duration) -> Self {
        Self {
            own: AtomicU8::new(Room::Ample as u8),
            spare_bytes: AtomicU64::new(u64::MAX),
            coming: Mutex::default(),
            valid,
            scarce: RwLock::default(),
        }
    }

    pub(crate) fn set_own(&self, room: Room) {
        self.own.store(room as u8, Ordering::Relaxed);
    }

    pub(crate) fn set_spare_bytes(&self, bytes: u64) {
        self.spare_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Reserves bytes for a snapshot of `group`, in place of the remainder of an earlier snapshot;
    /// the error holds the most it could have.
    pub(crate) fn expect(&self, group: GroupId, bytes: u64) -> Result<(), u64> {
        let mut coming = self.coming();
        coming.remove(&group);
        let others = coming
            .values()
            .fold(0, |sum: u64, b| sum.saturating_add(*b));
        let spare = self.spare_bytes.load(Ordering::Relaxed);
        let spare = spare.saturating_sub(others);
        if bytes > spare {
            return Err(spare);
        }
        coming.insert(group, bytes);
        Ok(())
    }

    /// Bytes of the snapshot have arrived: they no longer count as free.
    pub(crate) fn arrived(&self, group: GroupId, bytes: u64) {
        if let Some(rest) = self.coming().get_mut(&group) {
            *rest = rest.saturating_sub(bytes);
        }
    }

    /// Ends the reservation: no more of the snapshot will arrive.
    pub(crate) fn expect_none(&self, group: GroupId) {
        self.coming().remove(&group);
    }

    fn coming(&self) -> MutexGuard<'_, BTreeMap<GroupId, u64>> {
        self.coming.lock()
    }

    /// Whether this node takes entries with data.
    pub(crate) fn takes_data(&self) -> bool {
        self.own.load(Ordering::Relaxed) != Room::None as u8
    }

    /// Whether this node's room is scarce, as it reports to others.
    pub(crate) fn is_scarce(&self) -> bool {
        self.own.load(Ordering::Relaxed) != Room::Ample as u8
    }

    /// Records a report that has just arrived from another node.
    pub(crate) fn heard(&self, node: NodeId, scarce: bool) {
        if scarce {
            let mut all = self.scarce.write();
            all.insert(node, Instant::now());
        } else if self.knows(node) {
            let mut all = self.scarce.write();
            all.remove(&node);
        }
    }

    fn knows(&self, node: NodeId) -> bool {
        let all = self.scarce.read();
        all.contains_key(&node)
    }

    /// Whether no other node is known to have scarce room.
    pub(crate) fn all_ample(&self) -> bool {
        let all = self.scarce.read();
        all.is_empty()
    }

    /// Whether another node reported scarce room within the validity of a report.
    pub(crate) fn scarce_at(&self, node: NodeId) -> bool {
        let all = self.scarce.read();
        all.get(&node)
            .is_some_and(|heard| heard.elapsed() < self.valid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts_and_only_for_a_while() {
        let rooms = Rooms::new(Duration::from_secs(60));
        assert!(rooms.all_ample() && !rooms.scarce_at(NodeId(2)));
        rooms.heard(NodeId(2), true);
        assert!(!rooms.all_ample() && rooms.scarce_at(NodeId(2)));
        rooms.heard(NodeId(2), false);
        assert!(rooms.all_ample() && !rooms.scarce_at(NodeId(2)));
        let forgetful = Rooms::new(Duration::ZERO);
        forgetful.heard(NodeId(2), true);
        assert!(!forgetful.scarce_at(NodeId(2)));
    }

    #[test]
    fn snapshots_of_several_groups_must_fit_together() {
        let rooms = Rooms::new(Duration::from_secs(60));
        let (a, b) = (GroupId(1), GroupId(2));
        assert_eq!(rooms.expect(a, u64::MAX), Ok(()), "nobody has said");
        rooms.set_spare_bytes(100);
        assert_eq!(rooms.expect(a, 101), Err(100));
        assert_eq!(
            rooms.expect(b, 100),
            Ok(()),
            "what was refused takes no room"
        );
        assert_eq!(rooms.expect(b, 60), Ok(()), "in place of the one before");
        assert_eq!(rooms.expect(a, 50), Err(40));
        // Bytes that have arrived no longer count as free.
        rooms.arrived(b, 20);
        rooms.set_spare_bytes(80);
        assert_eq!(rooms.expect(a, 50), Err(40));
        rooms.expect_none(b);
        assert_eq!(rooms.expect(a, 50), Ok(()));
    }

    #[test]
    fn scarce_room_still_takes_data() {
        let rooms = Rooms::new(Duration::from_secs(60));
        assert!(rooms.takes_data() && !rooms.is_scarce());
        rooms.set_own(Room::Scarce);
        assert!(rooms.takes_data() && rooms.is_scarce());
        rooms.set_own(Room::None);
        assert!(!rooms.takes_data() && rooms.is_scarce());
    }
}
