//! The store as commands see it: records by key, decoded.

use std::cell::Cell;
use std::ops::Bound;

use bytes::Bytes;
use coterie_group::{Known, Store};
use coterie_redis_compat::{Collection, Fault, Header, Record, View, Walk};
use coterie_storage::{Reader, StorageError, layout};
use coterie_types::{KeyRange, RangeId, TableId};

/// A [`View`] over a store, or over an unchanging view of it.
pub(super) struct StoreView<'a>(pub(super) &'a dyn Reader);

impl StoreView<'_> {
    /// Keys of an import that are known without a record or a mark; `None` when the import is over.
    pub(super) fn known(&self, range_id: RangeId) -> Result<Option<Known>, Fault> {
        let stored = self.0.get(&layout::known_key(range_id));
        let stored = stored.map_err(|error| Fault::new("read what is known", error))?;
        let known = stored.map(|stored| Known::decode(&stored)).transpose();
        known.map_err(|error| Fault::new("read what is known", error))
    }
}

impl View for StoreView<'_> {
    fn record(&self, table: TableId, key: &[u8]) -> Result<Option<Record>, Fault> {
        let found = self.0.get(&layout::header_key(table, key));
        match found.map_err(|error| Fault::new("read record", error))? {
            Some(raw) => Record::decode(raw).map(Some),
            None => Ok(None),
        }
    }

    fn scan_keys(
        &self,
        bounds: &KeyRange,
        visit: &mut dyn FnMut(&[u8], Header) -> bool,
    ) -> Result<(), Fault> {
        let (start, end) = layout::header_interval(bounds);
        let mut damaged = None;
        let mut each = |stored: &[u8], raw: &[u8]| {
            let parsed = layout::parse_header(stored)
                .ok_or_else(|| Fault::corrupt("a store key that is no header's"))
                .and_then(|(_, key)| Ok((key, Header::decode(raw)?.0)));
            match parsed {
                Ok((key, header)) => visit(&key, header),
                Err(fault) => {
                    damaged = Some(fault);
                    false
                }
            }
        };
        let scanned = self.0.scan(&start, &end, &mut each);
        scanned.map_err(|error| Fault::new("scan keys", error))?;
        damaged.map_or(Ok(()), Err)
    }

    fn element(&self, of: &Collection, family: u8, element: &[u8]) -> Result<Option<Bytes>, Fault> {
        let key = layout::element_key((of.table, &of.key), of.incarnation, family, element);
        let found = self.0.get(&key);
        found.map_err(|error| Fault::new("read element", error))
    }

    fn scan_elements(
        &self,
        of: &Collection,
        family: u8,
        walk: Walk<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Fault> {
        let scanned = walk_elements(self.0, of, family, walk, visit);
        scanned.map_err(|error| Fault::new("scan elements", error))
    }
}

/// A [`StoreView`] that notes whether elements were read.
pub(super) struct NotingView<'a> {
    view: StoreView<'a>,
    has_read_elements: Cell<bool>,
}

impl<'a> NotingView<'a> {
    pub(super) fn new(reader: &'a dyn Reader) -> Self {
        Self {
            view: StoreView(reader),
            has_read_elements: Cell::new(false),
        }
    }

    pub(super) fn has_read_elements(&self) -> bool {
        self.has_read_elements.get()
    }
}

impl View for NotingView<'_> {
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
        self.has_read_elements.set(true);
        self.view.element(of, family, element)
    }

    fn scan_elements(
        &self,
        of: &Collection,
        family: u8,
        walk: Walk<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Fault> {
        self.has_read_elements.set(true);
        self.view.scan_elements(of, family, walk, visit)
    }
}

/// Visits elements of a family in the order of the walk, until `visit` returns false.
pub(super) fn walk_elements(
    reader: &dyn Reader,
    of: &Collection,
    family: u8,
    walk: Walk<'_>,
    visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
) -> Result<(), StorageError> {
    let key =
        |element: &[u8]| layout::element_key((of.table, &of.key), of.incarnation, family, element);
    let (start, end) = layout::family_interval((of.table, &of.key), of.incarnation, family);
    let mut cursor = reader.cursor(&start, &end)?;
    let is_down = matches!(walk, Walk::Down(_));
    match walk {
        Walk::Up(Bound::Unbounded) => cursor.seek(&start)?,
        Walk::Up(Bound::Included(from)) => cursor.seek(&key(from))?,
        Walk::Up(Bound::Excluded(from)) => cursor.seek(&after(key(from)))?,
        Walk::Down(Bound::Unbounded) => cursor.seek_before(&end)?,
        Walk::Down(Bound::Included(from)) => cursor.seek_before(&after(key(from)))?,
        Walk::Down(Bound::Excluded(from)) => cursor.seek_before(&key(from))?,
    }
    while let Some((stored, value)) = cursor.entry() {
        if !visit(&stored[start.len()..], value) {
            break;
        }
        if is_down {
            cursor.prev()?;
        } else {
            cursor.next()?;
        }
    }
    Ok(())
}

/// The least key behind this one.
fn after(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

impl Store for StoreView<'_> {
    fn is_marked(&self, range_id: RangeId, table: TableId, key: &[u8]) -> Result<bool, Fault> {
        let found = self.0.get(&layout::mark_key(range_id, table, key));
        let found = found.map_err(|error| Fault::new("read mark", error))?;
        Ok(found.is_some())
    }
}

#[cfg(test)]
mod tests {
    use coterie_storage::{Batch, Engine, MemEngine};
    use coterie_types::{GroupId, Version};

    use super::*;

    const T: TableId = TableId(1);

    fn put(engine: &MemEngine, key: Vec<u8>, raw: &[u8]) {
        let mut batch = Batch::default();
        batch.put(key, raw.to_vec());
        engine.write(batch).unwrap();
    }

    fn keys(engine: &MemEngine, max: usize) -> Result<Vec<(Vec<u8>, u64)>, Fault> {
        let mut keys = Vec::new();
        let mut visit = |key: &[u8], header: Header| {
            keys.push((key.to_vec(), header.version.change));
            keys.len() < max
        };
        StoreView(engine).scan_keys(&KeyRange::all(T), &mut visit)?;
        Ok(keys)
    }

    #[test]
    fn keys_are_those_of_headers_and_damage_is_told() {
        let engine = MemEngine::default();
        put(&engine, layout::header_key(T, b"a"), b"\x00\x01\x07value");
        put(&engine, layout::header_key(T, b"b\0"), b"\x00\x01\x08");
        let (group, change) = (GroupId(1), 7);
        let incarnation = Version { group, change };
        for table in [TableId(0), T] {
            let element = layout::element_key((table, b"a"), incarnation, 0, b"field");
            put(&engine, element, b"value");
        }
        let both = [(b"a".to_vec(), 7), (b"b\0".to_vec(), 8)];
        assert_eq!(keys(&engine, 9).unwrap(), both);
        assert_eq!(keys(&engine, 1).unwrap(), both[..1]);
        put(&engine, layout::header_key(T, b"c"), b"\x00");
        assert!(keys(&engine, 2).is_ok() && keys(&engine, 3).is_err());
        let mut suffixed = layout::header_key(T, b"b");
        suffixed.push(1);
        put(&engine, suffixed, b"\x00\x01\x07");
        assert!(keys(&engine, 2).is_err());
    }
}
