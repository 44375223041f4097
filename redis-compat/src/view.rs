//! The store as a command sees it: records by key and in key order, and elements of collections.
//!
//! The storage crate implements [`View`] over its engine, tests over a map. A view is read-only and
//! does not change while an entry is applied; the changes of the entry live in [`crate::Txn`].

use bytes::Bytes;
use coterie_types::{KeyRange, TableId};

use crate::{Collection, Fault, Header, Record, Walk};

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

    /// The value of an element.
    fn element(&self, of: &Collection, family: u8, element: &[u8]) -> Result<Option<Bytes>, Fault>;

    /// Visits elements of a family and their values until `visit` returns false: upwards from
    /// `from` to the last element, or `back` down from it to the first.
    fn scan_elements(
        &self,
        of: &Collection,
        family: u8,
        walk: Walk<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Fault>;
}
