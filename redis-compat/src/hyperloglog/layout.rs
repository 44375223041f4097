//! The numbers of the layout, and the error lines of bytes that do not have it.

use crate::command::Part;
use crate::errors::error_lines;

pub(super) const PART: Part = Part::new(&[], LINES);

error_lines! {
    /// A string that is no HyperLogLog.
    pub(super) NOT_A_HYPERLOGLOG = "WRONGTYPE Key is not a valid HyperLogLog string value.";
    /// A HyperLogLog whose runs do not make up its registers.
    pub(super) CORRUPTED = "INVALIDOBJ Corrupted HLL object detected";
}

/// How many registers there are.
pub(super) const REGISTERS: usize = 1 << REGISTER_BITS;
/// The bits of a hash that choose the register.
pub(super) const REGISTER_BITS: u32 = 14;
/// The other bits of a hash. A register holds this number plus one at most.
pub(super) const HASH_BITS: u32 = 64 - REGISTER_BITS;
/// The bytes before the registers.
pub(super) const HEADER: usize = 16;
