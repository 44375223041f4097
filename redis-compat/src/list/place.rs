//! The ends of a list, and its places.

use std::ops::Range;

use bytes::Bytes;

use crate::errors::SYNTAX;
use crate::{CommandError, Word};

/// An end of a list: its first elements, or its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Left,
    Right,
}

impl End {
    pub(super) fn other(self) -> Self {
        self.pick(Self::Right, Self::Left)
    }

    /// `LEFT` or `RIGHT`, in any case. Errors: `SYNTAX`.
    pub(super) fn parse(word: &Bytes) -> Result<Self, CommandError> {
        match Word(word).keyword().as_str() {
            "left" => Ok(Self::Left),
            "right" => Ok(Self::Right),
            _ => Err(SYNTAX),
        }
    }

    /// The first value at the left end, the second at the right end.
    pub(super) fn pick<T>(self, left: T, right: T) -> T {
        match self {
            Self::Left => left,
            Self::Right => right,
        }
    }
}

/// An index of a command as a place in a list of `len` elements: below 0 it counts from the end. A
/// place outside of the list is below 0 or at least `len`.
pub(super) fn place_of(index: i64, len: u64) -> i64 {
    if index < 0 {
        index.saturating_add_unsigned(len)
    } else {
        index
    }
}

/// The places from one index to another, both included, as far as the list has them.
pub(super) fn places_between(start: i64, stop: i64, len: u64) -> Range<u64> {
    let start = place_of(start, len).max(0) as u64;
    let stop = place_of(stop, len).saturating_add(1).max(0) as u64;
    let stop = stop.min(len);
    start.min(stop)..stop
}
