//! The keys that a command may touch: those that the group owns and whose records it has.

use std::collections::BTreeMap;

use bytes::Bytes;
use coterie_redis_compat::{Fault, Txn};
use coterie_types::{RangeId, TableId};

use crate::import::Import;
use crate::ownership::Ownership;
use crate::store::Store;

/// The keys that a group owns and whose records it has.
#[derive(Clone, Copy)]
pub(crate) struct Land<'a> {
    pub(crate) ownership: &'a Ownership,
    pub(crate) imports: &'a BTreeMap<RangeId, Import>,
}

impl Land<'_> {
    /// Whether the record of an owned key has arrived, or there is none.
    pub(crate) fn knows(
        &self,
        table: TableId,
        key: &Bytes,
        txn: &Txn<'_>,
        store: &dyn Store,
    ) -> Result<bool, Fault> {
        let Some(arriving) = self.ownership.import_of(table, key) else {
            return Ok(true);
        };
        let range_id = arriving.range.range_id;
        let import = self.imports.get(&range_id);
        Ok(import.is_none_or(|import| import.known.holds(table, key))
            || txn.knows(table, key)?
            || store.is_marked(range_id, table, key)?)
    }
}
