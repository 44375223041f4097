//! The bitmap commands: strings seen as bits, the first bit being the highest of the first byte.

mod bitfield;
mod count;
mod op;
mod single;

pub(crate) use bitfield::{bitfield, bitfield_ro};
pub(crate) use count::{bitcount, bitpos};
pub(crate) use op::bitop;
pub(crate) use single::{getbit, setbit};

use crate::{CommandError, number};

/// The longest string Redis lets a bit offset reach into.
const BYTES_MAX: i64 = 512 << 20;

/// A bit offset. Errors: `BitOffset`.
fn parse_offset(word: &[u8]) -> Result<u64, CommandError> {
    number::parse_int(word)
        .and_then(check_offset)
        .ok_or(CommandError::BitOffset)
}

fn check_offset(offset: i64) -> Option<u64> {
    let offset = u64::try_from(offset).ok()?;
    (offset >> 3 < BYTES_MAX as u64).then_some(offset)
}
