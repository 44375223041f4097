//! What applying needs of the store besides the records, and what it changes there besides them: what
//! is known of ranges that are being imported (`import`).

use bytes::Bytes;
use coterie_redis_compat::{Fault, View};
use coterie_types::{KeyRange, RangeId, TableId};

/// A [`View`] with the marks of imports.
pub trait Store: View {
    /// Whether the key was marked in the import of the range.
    fn is_marked(&self, range_id: RangeId, table: TableId, key: &[u8]) -> Result<bool, Fault>;
}

/// A change of the store that is no command's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreChange {
    /// Remove the records of an interval that is not owned (any more). Before everything else.
    Discard(KeyRange),
    /// Mark a key: what this group has of it is all there is.
    Mark {
        /// The range that is being imported.
        range_id: RangeId,
        /// The key's table.
        table: TableId,
        /// The key.
        key: Bytes,
    },
    /// Keep what is known of an import without records and marks.
    Know {
        /// The range.
        range_id: RangeId,
        /// [`crate::Known::encode`].
        known: Bytes,
    },
    /// Forget the marks and what is known: the import is over.
    Forget(RangeId),
}
