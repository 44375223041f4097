//! Room on disk: what this node can still take, and which others said that they can take no more.
//!
//! A node without room loses appends that carry data, as a network would, rather than fill its disk
//! and break; it takes everything else, lags, and catches up when there is room. Before it comes to
//! that it says that room is scarce, in every answer to an append, heartbeats included; a leader asks
//! ([`Rooms::scarce_at`]) and refuses what would grow while a majority could not take it. What was said
//! counts for a while only, so that a node that is away is not taken for one that is full.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use coterie_types::NodeId;

/// How much room a node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Room {
    /// It takes everything.
    #[default]
    Ample,
    /// Nothing more that grows should be proposed; what is in the log is taken.
    Scarce,
    /// It takes no entries with data.
    None,
}

/// The room of this node, and what is known of the others'.
pub(crate) struct Rooms {
    own: AtomicU8,
    /// How long a node's word counts.
    valid: Duration,
    /// Who said last that room is scarce, and when.
    scarce: RwLock<BTreeMap<NodeId, Instant>>,
}

impl Rooms {
    pub(crate) fn new(valid: Duration) -> Self {
        Self {
            own: AtomicU8::new(Room::Ample as u8),
            valid,
            scarce: RwLock::default(),
        }
    }

    pub(crate) fn set_own(&self, room: Room) {
        self.own.store(room as u8, Ordering::Relaxed);
    }

    /// Whether this node takes entries with data.
    pub(crate) fn takes_data(&self) -> bool {
        self.own.load(Ordering::Relaxed) != Room::None as u8
    }

    /// What this node says of itself.
    pub(crate) fn is_scarce(&self) -> bool {
        self.own.load(Ordering::Relaxed) != Room::Ample as u8
    }

    /// What another node said of itself just now.
    pub(crate) fn heard(&self, node: NodeId, scarce: bool) {
        if scarce {
            let mut all = self.scarce.write().unwrap_or_else(PoisonError::into_inner);
            all.insert(node, Instant::now());
        } else if self.knows(node) {
            let mut all = self.scarce.write().unwrap_or_else(PoisonError::into_inner);
            all.remove(&node);
        }
    }

    fn knows(&self, node: NodeId) -> bool {
        let all = self.scarce.read().unwrap_or_else(PoisonError::into_inner);
        all.contains_key(&node)
    }

    /// Whether no other node is known to have little room.
    pub(crate) fn all_ample(&self) -> bool {
        let all = self.scarce.read().unwrap_or_else(PoisonError::into_inner);
        all.is_empty()
    }

    /// Whether another node has said lately that its room is scarce.
    pub(crate) fn scarce_at(&self, node: NodeId) -> bool {
        let all = self.scarce.read().unwrap_or_else(PoisonError::into_inner);
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
    fn scarce_room_still_takes_data() {
        let rooms = Rooms::new(Duration::from_secs(60));
        assert!(rooms.takes_data() && !rooms.is_scarce());
        rooms.set_own(Room::Scarce);
        assert!(rooms.takes_data() && rooms.is_scarce());
        rooms.set_own(Room::None);
        assert!(!rooms.takes_data() && rooms.is_scarce());
    }
}
