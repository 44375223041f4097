//! The sorted set commands: members in the order of their scores.

mod add;
mod combine;
mod get;
mod listing;
mod order;
mod packed;
mod payload;
mod pop;
mod random;
mod range;
mod remove;
mod scan;
mod score;
mod span;
mod spread;
mod store;
#[cfg(test)]
mod tests;
mod value;

pub(crate) use payload::{is_payload, put_payload, take_payload};
pub(crate) use value::SortedSet;

use crate::command::Part;

pub(crate) const PARTS: &[Part] = &[
    add::PART,
    combine::PART,
    get::PART,
    pop::PART,
    random::PART,
    range::PART,
    remove::PART,
    scan::PART,
    span::PART,
];
