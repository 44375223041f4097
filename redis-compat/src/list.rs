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
mod place;
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
pub(crate) use place::End;

use crate::command::Part;

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
