//! The progress of a range's import: which keys are known here, and which records were copied.
//!
//! Ownership moves first, the records afterwards (design §9). A key of the range is *known* when
//! this group can tell its value without asking the source: its record is here, it was marked
//! (looked up and absent, or removed since), the copy in key order is past it, or an interval that
//! contains it was emptied. A known key stays known, and a record that arrives for it later is
//! ignored. [`Known`] covers the cases that neither a record nor a mark can express. It is stored
//! with the records, so readers see both at the same state.
//!
//! A spread collection arrives in pieces: its elements in their order, then its header. Elements
//! without a header are not visible, so the key is known as soon as all of it is here, and not
//! before. [`Pieces`] has the progress of the keys whose elements are arriving.

use std::collections::BTreeMap;

use bytes::Bytes;
use coterie_protocol::{DecodeError, decode, encode};
use coterie_types::{Epoch, KeyRange, RangeId, TableId, Version};
use serde::{Deserialize, Serialize};

use crate::digest::Tally;

/// The keys of an imported range that are known without a record or a mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// All keys before the cursor are copied; `None` when the whole range is.
    cursor: Option<Bytes>,
    /// Intervals that were emptied.
    cleared: Vec<KeyRange>,
}

impl Known {
    /// Whether this key is known without a record or a mark.
    #[must_use]
    pub fn holds(&self, table: TableId, key: &[u8]) -> bool {
        self.cursor.as_ref().is_none_or(|cursor| key < cursor)
            || self.cleared.iter().any(|range| range.contains(table, key))
    }

    /// The first key for which the source has to be asked; `None` when the whole range is copied.
    #[must_use]
    pub fn cursor(&self) -> Option<&Bytes> {
        self.cursor.as_ref()
    }

    /// Moves the cursor: the keys before it are copied.
    pub(crate) fn advance(&mut self, cursor: Option<Bytes>) {
        self.cursor = cursor;
    }

    /// Encodes it for the store.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    /// Decodes it from the store.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode(bytes)
    }
}

/// The progress of an import; see the module's head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    pub(crate) known: Known,
    /// The tally of all copied chunks, including records of keys that were known here already.
    pub(crate) copied: Tally,
}

/// The keys of an import whose elements are arriving, and how far each has come.
pub type Pieces = BTreeMap<Bytes, Piece>;

/// Keys of an import whose elements may arrive in turn, at most.
pub(crate) const PIECES_MAX: usize = 64;

/// The progress of a spread collection that is arriving.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The incarnation of its elements: that of the header at the source.
    pub incarnation: Version,
    /// The place of the next element.
    pub next: Place,
    /// The tally of the elements that have arrived.
    pub arrived: Tally,
}

/// The place of an element within its collection: family and element.
pub type Place = (u8, Bytes);

/// Adds an element to the tally of its collection.
pub fn add_element(tally: &mut Tally, family: u8, element: &[u8], value: &[u8]) {
    let mut place = Vec::with_capacity(element.len() + 1);
    place.push(family);
    place.extend_from_slice(element);
    tally.add(&place, value);
}

/// A record of the source, proposed together with the frames that need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// The range that is being imported.
    pub range_id: RangeId,
    /// Its epoch: a range that left and came back is a different import, of other records.
    pub epoch: Epoch,
    /// The key's table.
    pub table: TableId,
    /// The key.
    pub key: Bytes,
    /// Its record as stored, if it has one.
    pub record: Option<Bytes>,
}

impl Import {
    /// An import that has just begun: no record is here yet.
    pub(crate) fn begin(bounds: &KeyRange) -> Self {
        let known = Known {
            cursor: Some(bounds.start.clone()),
            cleared: Vec::new(),
        };
        let copied = Tally::default();
        Self { known, copied }
    }

    /// The keys that are known without a record or a mark.
    #[must_use]
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// The tally of the records copied in key order so far.
    #[must_use]
    pub fn copied(&self) -> Tally {
        self.copied
    }

    /// Notes that an interval was emptied; returns whether that changed anything.
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
