//! The string commands, by what they do to a value.

mod edit;
mod expiry;
mod get;
mod incr;
mod incr_float;
mod lcs;
mod many;
mod set;

pub(crate) use edit::zero_padded;
pub(crate) use expiry::Unit;
pub(crate) use get::clamp;

use crate::Command;

pub(crate) const ROWS: &[&[Command]] = &[
    edit::ROWS,
    get::ROWS,
    incr::ROWS,
    incr_float::ROWS,
    lcs::ROWS,
    many::ROWS,
    set::ROWS,
];
