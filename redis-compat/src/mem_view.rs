//! A [`View`] over a map, for tests and tools. It keeps records encoded, so that every test of a
//! command also passes its records through the disk format.

use std::collections::BTreeMap;

use bytes::Bytes;
use coterie_types::{KeyRange, TableId};

use crate::element::in_family;
use crate::{Changes, Collection, ElementPlace, Fault, Header, Record, View, Walk};

/// A store in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemView {
    records: BTreeMap<(TableId, Bytes), Bytes>,
    elements: BTreeMap<ElementPlace, Bytes>,
}

impl MemView {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies the changes of a log entry: clears first, then records.
    pub fn apply(&mut self, changes: &Changes) {
        for range in &changes.clears {
            self.records
                .retain(|(table, key), _| !range.contains(*table, key));
            self.elements
                .retain(|place, _| !range.contains(place.of.table, &place.of.key));
        }
        for (place, value) in &changes.elements {
            match value {
                None => drop(self.elements.remove(place)),
                Some(value) => drop(self.elements.insert(place.clone(), value.clone())),
            }
        }
        for (key, record) in &changes.records {
            match record {
                None => drop(self.records.remove(key)),
                Some(record) => {
                    let mut raw = Vec::new();
                    record.encode(&mut raw);
                    self.records.insert(key.clone(), Bytes::from(raw));
                }
            }
        }
    }

    /// How many elements of spread collections are stored, those that no header names included.
    #[must_use]
    pub fn elements_len(&self) -> usize {
        self.elements.len()
    }

    /// How many records are stored, expired records included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Visits the records of an interval in key order, expired ones too, until `visit` returns
    /// false.
    pub fn scan(
        &self,
        bounds: &KeyRange,
        visit: &mut dyn FnMut(Bytes, Record) -> bool,
    ) -> Result<(), Fault> {
        let from = (bounds.table, bounds.start.clone());
        for ((table, key), raw) in self.records.range(from..) {
            if !bounds.contains(*table, key) || !visit(key.clone(), Record::decode(raw.clone())?) {
                break;
            }
        }
        Ok(())
    }

    /// Whether nothing is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

impl View for MemView {
    fn record(&self, table: TableId, key: &[u8]) -> Result<Option<Record>, Fault> {
        let raw = self.records.get(&(table, Bytes::copy_from_slice(key)));
        raw.cloned().map(Record::decode).transpose()
    }

    fn scan_keys(
        &self,
        bounds: &KeyRange,
        visit: &mut dyn FnMut(&[u8], Header) -> bool,
    ) -> Result<(), Fault> {
        self.scan(bounds, &mut |key, record| visit(&key, record.header()))
    }

    fn element(&self, of: &Collection, family: u8, element: &[u8]) -> Result<Option<Bytes>, Fault> {
        let place = ElementPlace {
            of: of.clone(),
            family,
            element: Bytes::copy_from_slice(element),
        };
        Ok(self.elements.get(&place).cloned())
    }

    fn scan_elements(
        &self,
        of: &Collection,
        family: u8,
        walk: Walk<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Fault> {
        let mut visit = |(place, value): (&ElementPlace, &Bytes)| visit(&place.element, value);
        let found = in_family(&self.elements, of, family, walk);
        match walk {
            Walk::Up(_) => drop(found.map(&mut visit).find(|goes_on| !goes_on)),
            Walk::Down(_) => drop(found.rev().map(&mut visit).find(|goes_on| !goes_on)),
        }
        Ok(())
    }
}
