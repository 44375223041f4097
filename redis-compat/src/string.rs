//! The string commands, by their effect on a value.

mod change;
mod condition;
mod delex;
mod edit;
mod expiry;
mod get;
mod incr;
mod incr_ex;
mod incr_float;
mod lcs;
mod many;
mod pieces;
mod set;
mod value;

pub(crate) use change::{StringChange, zero_padded};
pub(crate) use expiry::Unit;
pub(crate) use get::clamp;
pub(crate) use value::{StringValue, UnreadString};

use crate::command::Part;

pub(crate) const PARTS: &[Part] = &[
    condition::PART,
    delex::PART,
    edit::PART,
    get::PART,
    incr::PART,
    incr_ex::PART,
    incr_float::PART,
    lcs::PART,
    many::PART,
    set::PART,
];
