//! The store as commands see it: records by key, decoded.

use bytes::Bytes;
use coterie_group::{Known, Store};
use coterie_redis_compat::{Fault, Record, View};
use coterie_storage::{Reader, layout};
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

    fn scan(
        &self,
        bounds: &KeyRange,
        visit: &mut dyn FnMut(Bytes, Record) -> bool,
    ) -> Result<(), Fault> {
        let (start, end) = layout::header_interval(bounds);
        let mut damaged = None;
        let mut each = |stored: &[u8], value: &[u8]| {
            let parsed = layout::parse_header(stored)
                .ok_or_else(|| Fault::corrupt("a store key that is no header's"))
                .and_then(|(_, key)| {
                    let record = Record::decode(Bytes::copy_from_slice(value))?;
                    Ok((Bytes::from(key.into_owned()), record))
                });
            match parsed {
                Ok((key, record)) => visit(key, record),
                Err(fault) => {
                    damaged = Some(fault);
                    false
                }
            }
        };
        let scanned = self.0.scan(&start, &end, &mut each);
        scanned.map_err(|error| Fault::new("scan records", error))?;
        damaged.map_or(Ok(()), Err)
    }
}

impl Store for StoreView<'_> {
    fn is_marked(&self, range_id: RangeId, table: TableId, key: &[u8]) -> Result<bool, Fault> {
        let found = self.0.get(&layout::mark_key(range_id, table, key));
        let found = found.map_err(|error| Fault::new("read mark", error))?;
        Ok(found.is_some())
    }
}
