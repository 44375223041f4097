//! Walks through a store in key order, in both directions.

use std::ops::Bound;

use crate::StorageError;

/// A place in an interval of a fixed state: at an entry, or at no entry.
///
/// A cursor sees the state at its creation, and no later writes. It starts at no entry, and is at
/// no entry after a step beyond the last or the first entry; from there only a seek leads back. It
/// holds memory of the store, so it should not outlive its command.
pub trait Cursor {
    /// Goes to the first entry at or behind `key`.
    fn seek(&mut self, key: &[u8]) -> Result<(), StorageError>;

    /// Goes to the last entry before `key`.
    fn seek_before(&mut self, key: &[u8]) -> Result<(), StorageError>;

    /// Goes to the next entry.
    fn next(&mut self) -> Result<(), StorageError>;

    /// Goes to the previous entry.
    fn prev(&mut self) -> Result<(), StorageError>;

    /// Key and value of the entry.
    fn entry(&self) -> Option<(&[u8], &[u8])>;
}

/// A cursor over an interval without keys.
pub(crate) struct Empty;

impl Cursor for Empty {
    fn seek(&mut self, _key: &[u8]) -> Result<(), StorageError> {
        Ok(())
    }

    fn seek_before(&mut self, _key: &[u8]) -> Result<(), StorageError> {
        Ok(())
    }

    fn next(&mut self) -> Result<(), StorageError> {
        Ok(())
    }

    fn prev(&mut self) -> Result<(), StorageError> {
        Ok(())
    }

    fn entry(&self) -> Option<(&[u8], &[u8])> {
        None
    }
}

/// Start and end of a part of an interval.
pub(crate) type Rest<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// The rest of a walk through an interval: from `bound` to its end, or back to its start; `None` if
/// nothing is left.
pub(crate) fn rest<'a>(
    start: &'a [u8],
    end: &'a [u8],
    bound: Bound<&'a [u8]>,
    is_back: bool,
) -> Option<Rest<'a>> {
    let (from, to) = match (bound, is_back) {
        (Bound::Included(key) | Bound::Excluded(key), false) if key >= start => (bound, end),
        (_, false) => (Bound::Included(start), end),
        (Bound::Excluded(key), true) => (Bound::Included(start), end.min(key)),
        (_, true) => (Bound::Included(start), end),
    };
    let is_left = match from {
        Bound::Included(key) | Bound::Excluded(key) => key < to,
        Bound::Unbounded => true,
    };
    is_left.then_some((from, Bound::Excluded(to)))
}
