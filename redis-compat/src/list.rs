//! The list commands: elements in an order, which is that of their places.
//!
//! A list is packed into the record of its key while it is small (`value.rs`), and else spread: its
//! elements stand in leaves, records of some hundred elements, and a tree counts them (`rope.rs`).
//! So an element in the middle is found, set, inserted and removed at a cost that grows with the
//! depth of the tree, and a push or a pop writes the leaf at its end and the header, at any length.

mod blocking;
mod edit;
mod get;
mod moves;
mod nodes;
mod payload;
mod pop;
mod pos;
mod push;
mod rope;
mod run;
#[cfg(test)]
mod tests;
mod tree;
mod trim;
mod value;

pub(crate) use payload::{is_payload, put_payload, take_payload};

use bytes::Bytes;

use crate::command::Part;
use crate::errors::SYNTAX;
use crate::{CommandError, Word};

pub(crate) const PARTS: &[Part] = &[
    blocking::PART,
    edit::PART,
    get::PART,
    moves::PART,
    pop::PART,
    pos::PART,
    push::PART,
    trim::PART,
];

/// An end of a list: its first elements, or its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Left,
    Right,
}

impl End {
    pub(crate) fn other(self) -> Self {
        self.pick(Self::Right, Self::Left)
    }

    /// `LEFT` or `RIGHT`, in any case. Errors: `SYNTAX`.
    fn parse(word: &Bytes) -> Result<Self, CommandError> {
        match Word(word).keyword().as_str() {
            "left" => Ok(Self::Left),
            "right" => Ok(Self::Right),
            _ => Err(SYNTAX),
        }
    }

    /// The first value at the left end, the second at the right end.
    fn pick<T>(self, left: T, right: T) -> T {
        match self {
            Self::Left => left,
            Self::Right => right,
        }
    }
}

/// An index of a command as a place in a list of `len` elements: below 0 it counts from the end. A
/// place outside of the list is below 0 or at least `len`.
fn place_of(index: i64, len: u64) -> i64 {
    if index < 0 {
        index.saturating_add_unsigned(len)
    } else {
        index
    }
}

/// The places from one index to another, both included, as far as the list has them.
fn places_between(start: i64, stop: i64, len: u64) -> std::ops::Range<u64> {
    let start = place_of(start, len).max(0) as u64;
    let stop = place_of(stop, len).saturating_add(1).max(0) as u64;
    let stop = stop.min(len);
    start.min(stop)..stop
}
