//! How far the import of one range is: which keys are known here, and what was copied.
//!
//! Ownership comes first and the records after (design §9). A key of the range is *known* when this
//! group can tell what it holds without asking the source: when its record is here, when it was
//! marked (it was looked up and not there, or was removed since), when the copy in key order is past
//! it, or when an interval with it was emptied. Once known, a key stays known, and what still arrives
//! of it is not taken. What cannot be told from a record or a mark is [`Known`], which is kept in the
//! store too, so that a reader finds it as of the same moment as the records.

use bytes::Bytes;
use coterie_protocol::{DecodeError, decode, encode};
use coterie_types::{Epoch, KeyRange, RangeId, TableId};
use serde::{Deserialize, Serialize};

use crate::digest::Tally;

/// Which keys of an imported range are known without a record or a mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The key before which all are copied; `None` when all of the range is.
    cursor: Option<Bytes>,
    /// Intervals that were emptied.
    cleared: Vec<KeyRange>,
}

impl Known {
    /// Whether this key is one of them.
    #[must_use]
    pub fn holds(&self, table: TableId, key: &[u8]) -> bool {
        self.cursor.as_ref().is_none_or(|cursor| key < cursor)
            || self.cleared.iter().any(|range| range.contains(table, key))
    }

    /// From where on the source has to be asked; `None` when nowhere.
    #[must_use]
    pub fn cursor(&self) -> Option<&Bytes> {
        self.cursor.as_ref()
    }

    /// The copy has come so far.
    pub(crate) fn advance(&mut self, cursor: Option<Bytes>) {
        self.cursor = cursor;
    }

    /// For the store.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    /// From the store.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode(bytes)
    }
}

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    pub(crate) known: Known,
    /// What the chunks came to, those records included that were known here by then.
    pub(crate) copied: Tally,
}

/// A record of the source that comes with the frames that need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// The range that is being imported.
    pub range_id: RangeId,
    /// Its epoch: a range that left and came back is another import, of other records.
    pub epoch: Epoch,
    /// The key's table.
    pub table: TableId,
    /// The key.
    pub key: Bytes,
    /// Its record as stored, if it has one.
    pub record: Option<Bytes>,
}

impl Import {
    /// Nothing is here yet.
    pub(crate) fn begin(bounds: &KeyRange) -> Self {
        let known = Known {
            cursor: Some(bounds.start.clone()),
            cleared: Vec::new(),
        };
        let copied = Tally::default();
        Self { known, copied }
    }

    /// What is known without a record or a mark.
    #[must_use]
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// What was copied in key order so far.
    #[must_use]
    pub fn copied(&self) -> Tally {
        self.copied
    }

    /// Notes that an interval was emptied; whether that is news.
    pub(crate) fn clear(&mut self, interval: &KeyRange) -> bool {
        let cleared = &mut self.known.cleared;
        if cleared.iter().any(|range| range.contains_range(interval)) {
            return false;
        }
        cleared.retain(|range| !interval.contains_range(range));
        cleared.push(interval.clone());
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    const T: TableId = TableId(0);

    fn interval(start: &'static str, end: &'static str) -> KeyRange {
        KeyRange {
            table: T,
            start: Bytes::from_static(start.as_bytes()),
            end: Some(Bytes::from_static(end.as_bytes())),
        }
    }

    #[test]
    fn what_is_copied_or_emptied_is_known() {
        let mut import = Import::begin(&interval("b", "k"));
        assert!(!import.known.holds(T, b"b"));
        import.known.cursor = Some(Bytes::from_static(b"d"));
        assert!(import.known.holds(T, b"c") && !import.known.holds(T, b"d"));
        assert!(import.clear(&interval("f", "g")) && !import.clear(&interval("f", "g")));
        assert!(import.known.holds(T, b"f") && !import.known.holds(T, b"g"));
        assert!(import.clear(&interval("e", "h")));
        assert_eq!(import.known.cleared, [interval("e", "h")]);
        let stored = import.known.encode();
        assert_eq!(Known::decode(&stored).unwrap(), import.known);
        import.known.cursor = None;
        assert!(import.known.holds(T, b"z"));
    }
}
