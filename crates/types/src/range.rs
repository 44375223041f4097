//! An interval of the keys of a table: `[start, end)`, byte order, `None` for "to the end".

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::TableId;

/// The keys `start <= key < end` of a table. An empty `start` is the table's first key; an `end` of
/// `None` is past its last key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyRange {
    /// The table.
    pub table: TableId,
    /// The first key, inclusive.
    pub start: Bytes,
    /// The end, exclusive; `None` is unbounded.
    pub end: Option<Bytes>,
}

impl KeyRange {
    /// A whole table.
    #[must_use]
    pub fn all(table: TableId) -> Self {
        Self {
            table,
            start: Bytes::new(),
            end: None,
        }
    }

    /// Whether `key` of `table` lies within.
    #[must_use]
    pub fn contains(&self, table: TableId, key: &[u8]) -> bool {
        self.table == table
            && self.start.as_ref() <= key
            && self.end.as_ref().is_none_or(|end| key < end.as_ref())
    }

    /// Whether every key of `other` lies within this range.
    #[must_use]
    pub fn contains_range(&self, other: &KeyRange) -> bool {
        let ends_within = match (&self.end, &other.end) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(end), Some(other_end)) => other_end <= end,
        };
        self.table == other.table && self.start <= other.start && ends_within
    }

    /// Whether both ranges share a key.
    #[must_use]
    pub fn overlaps(&self, other: &KeyRange) -> bool {
        let before = |end: &Option<Bytes>, start: &Bytes| end.as_ref().is_some_and(|e| e <= start);
        self.table == other.table
            && !before(&self.end, &other.start)
            && !before(&other.end, &self.start)
    }

    /// Whether no key lies within.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end <= &self.start)
    }
}

impl std::fmt::Display for KeyRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}[\"{}\", ", self.table, self.start.escape_ascii())?;
        match &self.end {
            Some(end) => write!(f, "\"{}\")", end.escape_ascii()),
            None => write!(f, "end)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: &'static str, end: Option<&'static str>) -> KeyRange {
        KeyRange {
            table: TableId(0),
            start: Bytes::from_static(start.as_bytes()),
            end: end.map(|end| Bytes::from_static(end.as_bytes())),
        }
    }

    #[test]
    fn the_start_is_within_and_the_end_is_not() {
        let r = range("b", Some("d"));
        assert!(!r.contains(TableId(0), b"a") && r.contains(TableId(0), b"b"));
        assert!(r.contains(TableId(0), b"czz") && !r.contains(TableId(0), b"d"));
        assert!(!r.contains(TableId(1), b"b"), "another table");
        assert!(range("", None).contains(TableId(0), b""));
    }

    #[test]
    fn neighbours_do_not_overlap() {
        assert!(!range("a", Some("b")).overlaps(&range("b", None)));
        assert!(range("a", Some("c")).overlaps(&range("b", None)));
        assert!(range("", None).overlaps(&range("b", Some("c"))));
    }

    #[test]
    fn containment_of_ranges_minds_the_open_end() {
        assert!(range("", None).contains_range(&range("b", None)));
        assert!(!range("", Some("z")).contains_range(&range("b", None)));
        assert!(range("a", Some("z")).contains_range(&range("a", Some("z"))));
    }
}
