//! The string commands, by what they do to a value.

mod expiry;
mod get;
mod incr;
mod set;

pub(crate) use get::get;
pub(crate) use incr::{decr, decrby, incr, incrby};
pub(crate) use set::set;
