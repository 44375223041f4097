//! A replica in memory: the state machine over a map, with what imports keep besides the records.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use coterie_group::{Body, Effects, Entry, GroupState, Known, Store, StoreChange};
use coterie_redis_compat::{Changes, Fault, MemView, Record, View};
use coterie_types::{GroupId, KeyRange, RangeId, TableId, UnixMillis};

/// A store in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemStore {
    pub(crate) view: MemView,
    pub(crate) marks: BTreeSet<(RangeId, TableId, Bytes)>,
    pub(crate) known: BTreeMap<RangeId, Known>,
}

impl View for MemStore {
    fn record(&self, table: TableId, key: &[u8]) -> Result<Option<Record>, Fault> {
        self.view.record(table, key)
    }

    fn scan(
        &self,
        bounds: &KeyRange,
        visit: &mut dyn FnMut(Bytes, Record) -> bool,
    ) -> Result<(), Fault> {
        self.view.scan(bounds, visit)
    }
}

impl Store for MemStore {
    fn is_marked(&self, range_id: RangeId, table: TableId, key: &[u8]) -> Result<bool, Fault> {
        let key = Bytes::copy_from_slice(key);
        Ok(self.marks.contains(&(range_id, table, key)))
    }
}

impl MemStore {
    /// Persists what an entry did.
    pub(crate) fn persist(&mut self, effects: &Effects) {
        for change in &effects.store {
            if let StoreChange::Discard(bounds) = change {
                self.view.apply(&Changes {
                    clears: vec![bounds.clone()],
                    ..Changes::default()
                });
            }
        }
        self.view.apply(&effects.changes);
        for change in effects.store.clone() {
            match change {
                StoreChange::Discard(_) => {}
                StoreChange::Mark {
                    range_id,
                    table,
                    key,
                } => drop(self.marks.insert((range_id, table, key))),
                StoreChange::Know { range_id, known } => {
                    self.known.insert(range_id, Known::decode(&known).unwrap());
                }
                StoreChange::Forget(range_id) => {
                    self.marks.retain(|(id, ..)| *id != range_id);
                    self.known.remove(&range_id);
                }
            }
        }
    }
}

/// A group of one replica.
pub(crate) struct Replica {
    pub(crate) state: GroupState,
    pub(crate) store: MemStore,
    pub(crate) clock: u64,
}

impl Replica {
    pub(crate) fn new(group: GroupId) -> Self {
        Self {
            state: GroupState::new(group),
            store: MemStore::default(),
            clock: 1_000,
        }
    }

    /// Applies an entry as every replica does; what was persisted is checked to be a state.
    pub(crate) fn apply(&mut self, body: Body) -> Effects {
        let entry = Entry {
            clock: UnixMillis(self.clock),
            seed: 0,
            value_bytes_max: 1 << 20,
            body,
        };
        let entry = Entry::decode(entry.encode()).unwrap();
        let effects = self.state.apply(entry, &self.store).unwrap();
        self.store.persist(&effects);
        let again = GroupState::decode(&self.state.encode()).unwrap();
        assert_eq!(again, self.state);
        effects
    }
}
