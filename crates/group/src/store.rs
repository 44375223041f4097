//! Import bookkeeping kept in the store beside the records: marks and `Known` (see `import`).

use bytes::Bytes;
use coterie_redis_compat::{Fault, View};
use coterie_types::{KeyRange, RangeId, TableId};

/// A [`View`] with the marks of imports.
pub trait Store: View {
    /// Whether the key was marked in the import of the range.
    fn is_marked(&self, range_id: RangeId, table: TableId, key: &[u8]) -> Result<bool, Fault>;
}

/// A change of the store that is not made by a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreChange {
    /// Remove the records of an interval that is not owned (any longer). Before everything else.
    Discard(KeyRange),
    /// Mark a key: this group knows its value without the source.
    Mark {
        /// The range that is being imported.
        range_id: RangeId,
        /// The key's table.
        table: TableId,
        /// The key.
        key: Bytes,
    },
    /// Store the [`crate::Known`] of an import.
    Know {
        /// The range.
        range_id: RangeId,
        /// [`crate::Known::encode`].
        known: Bytes,
    },
    /// The import is over: delete its marks and its [`crate::Known`].
    Forget(RangeId),
}
