//! A [`Store`] over maps, for tests and tools.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use coterie_redis_compat::{Changes, Collection, Fault, Header, MemView, Record, View, Walk};
use coterie_types::{KeyRange, RangeId, TableId};

use crate::{Effects, Known, Store, StoreChange};

/// A store in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemStore {
    /// The records.
    pub view: MemView,
    /// Keys that imports marked.
    pub marks: BTreeSet<(RangeId, TableId, Bytes)>,
    /// The [`Known`] of each import.
    pub known: BTreeMap<RangeId, Known>,
}

impl View for MemStore {
    fn record(&self, table: TableId, key: &[u8]) -> Result<Option<Record>, Fault> {
        self.view.record(table, key)
    }

    fn scan_keys(
        &self,
        bounds: &KeyRange,
        visit: &mut dyn FnMut(&[u8], Header) -> bool,
    ) -> Result<(), Fault> {
        self.view.scan_keys(bounds, visit)
    }

    fn element(&self, of: &Collection, family: u8, element: &[u8]) -> Result<Option<Bytes>, Fault> {
        self.view.element(of, family, element)
    }

    fn scan_elements(
        &self,
        of: &Collection,
        family: u8,
        walk: Walk<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Fault> {
        self.view.scan_elements(of, family, walk, visit)
    }
}

impl Store for MemStore {
    fn is_marked(&self, range_id: RangeId, table: TableId, key: &[u8]) -> Result<bool, Fault> {
        let key = Bytes::copy_from_slice(key);
        Ok(self.marks.contains(&(range_id, table, key)))
    }
}

impl MemStore {
    /// See [`MemView::scan`].
    pub fn scan(
        &self,
        bounds: &KeyRange,
        visit: &mut dyn FnMut(Bytes, Record) -> bool,
    ) -> Result<(), Fault> {
        self.view.scan(bounds, visit)
    }

    /// Persists the effects of an entry.
    pub fn persist(&mut self, effects: &Effects) {
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
                    // This process encoded it, so decoding cannot fail.
                    if let Ok(known) = Known::decode(&known) {
                        self.known.insert(range_id, known);
                    }
                }
                StoreChange::Forget(range_id) => {
                    self.marks.retain(|(id, ..)| *id != range_id);
                    self.known.remove(&range_id);
                }
            }
        }
    }
}
