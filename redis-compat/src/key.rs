//! The generic commands: keys of any type.

mod copy;
mod del;
mod dump;
mod expire;
mod object;
mod rename;
mod sort;
mod ttl;
mod value;

pub use dump::BAD_DUMP;
pub(crate) use value::{Typed, Value};

use crate::command::Part;

pub(crate) const PARTS: &[Part] = &[
    copy::PART,
    del::PART,
    dump::PART,
    expire::PART,
    object::PART,
    rename::PART,
    sort::PART,
    ttl::PART,
];
