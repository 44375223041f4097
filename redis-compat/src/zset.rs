//! The sorted set commands: members in the order of their scores.

mod add;
mod blocking;
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
pub(crate) use score::{parse_score, parse_weight};
pub(crate) use span::{Scores, Selection, Span};
pub(crate) use store::store;
pub(crate) use value::SortedSet;

pub(crate) use order::Item;

use crate::command::Part;

pub(crate) const PARTS: &[Part] = &[
    add::PART,
    blocking::PART,
    combine::PART,
    get::PART,
    pop::PART,
    random::PART,
    range::PART,
    remove::PART,
    scan::PART,
    span::PART,
];
