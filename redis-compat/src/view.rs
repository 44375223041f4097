//! The store as a command sees it: records by key, and in key order.
//!
//! The storage crate implements [`View`] over its engine, tests over a map. A view is read-only and
//! does not change while an entry is applied; the changes of the entry live in [`crate::Txn`].

use coterie_types::{KeyRange, TableId};

use crate::{Fault, Header, Record};

/// Read access to the records of a group's store.
pub trait View {
    /// The stored record, even if expired.
    fn record(&self, table: TableId, key: &[u8]) -> Result<Option<Record>, Fault>;

    /// Visits the keys with `start <= key < end` in order, expired ones too, until `visit` returns
    /// false. No value is read.
    fn scan_keys(
        &self,
        bounds: &KeyRange,
        visit: &mut dyn FnMut(&[u8], Header) -> bool,
    ) -> Result<(), Fault>;
}
