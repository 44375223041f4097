//! The set commands.

mod payload;
mod value;

pub(crate) use payload::{is_payload, put_payload, take_payload};
pub(crate) use value::Set;

use crate::command::Part;

pub(crate) const PARTS: &[Part] = &[];
