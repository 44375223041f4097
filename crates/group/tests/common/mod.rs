//! A replica in memory: the state machine over a map, with the import bookkeeping.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub(crate) mod leader;
pub(crate) mod pieces;
pub(crate) mod toy;

use coterie_group::{Body, Effects, Entry, GroupState, Limits, MemStore};
use coterie_types::{GroupId, UnixMillis};

/// A group with a single replica.
pub(crate) struct Replica {
    pub(crate) state: GroupState,
    pub(crate) store: MemStore,
    pub(crate) clock: u64,
    pub(crate) limits: Limits,
}

impl Replica {
    pub(crate) fn new(group: GroupId) -> Self {
        Self {
            state: GroupState::new(group),
            store: MemStore::default(),
            clock: 1_000,
            limits: Limits::default(),
        }
    }

    /// Applies an entry as every replica does; checks that the persisted state can be decoded.
    pub(crate) fn apply(&mut self, body: Body) -> Effects {
        let entry = Entry {
            clock: UnixMillis(self.clock),
            seed: 0,
            value_bytes_max: 1 << 20,
            body,
        };
        let entry = Entry::decode(entry.encode()).unwrap();
        let effects = self
            .state
            .apply_within(entry, &self.store, &self.limits)
            .unwrap();
        self.store.persist(&effects);
        let again = GroupState::decode(&self.state.encode()).unwrap();
        assert_eq!(again, self.state);
        effects
    }
}
