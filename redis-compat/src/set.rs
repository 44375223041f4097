//! The set commands.

mod add;
mod algebra;
mod deadline;
mod get;
mod payload;
mod random;
mod scan;
mod store;
mod value;

pub(crate) use payload::{is_payload, put_payload, take_payload};
pub(crate) use random::random_count;
pub(crate) use value::Set;

use crate::command::Part;

pub(crate) const PARTS: &[Part] = &[
    add::PART,
    algebra::PART,
    deadline::PART,
    get::PART,
    random::PART,
    scan::PART,
    store::PART,
];
