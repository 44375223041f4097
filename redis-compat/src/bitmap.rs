//! The bitmap commands: strings seen as bits, the first bit being the highest of the first byte.

mod bitfield;
mod count;
mod offset;
mod op;
mod single;

use crate::command::Part;

pub(crate) const PARTS: &[Part] = &[
    bitfield::PART,
    count::PART,
    offset::PART,
    op::PART,
    single::PART,
];
