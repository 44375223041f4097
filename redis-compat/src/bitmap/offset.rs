//! Bit offsets, as several commands take them.

use crate::command::Part;
use crate::errors::error_lines;
use crate::{CommandError, Txn, number};

pub(super) const PART: Part = Part::new(&[], LINES);

error_lines! {
    /// A bit offset below zero or past the longest string.
    pub(crate) BIT_OFFSET = "ERR bit offset is not an integer or out of range";
}

/// The longest string Redis lets a bit offset reach into.
const BYTES_MAX: i64 = 512 << 20;

/// A bit offset. Errors: `BIT_OFFSET`.
pub(super) fn parse_offset(word: &[u8]) -> Result<u64, CommandError> {
    number::parse_int(word)
        .and_then(check_offset)
        .ok_or(BIT_OFFSET)
}

/// Refuses to make a value longer than may be: the words are about the offset, as Redis has them
/// past its own limit (`bitops.c`, `getBitOffsetFromArgument`).
pub(super) fn check_len(txn: &Txn<'_>, len: usize) -> Result<(), CommandError> {
    txn.check_len(len).map_err(|_| BIT_OFFSET)
}

pub(super) fn check_offset(offset: i64) -> Option<u64> {
    let offset = u64::try_from(offset).ok()?;
    (offset >> 3 < BYTES_MAX as u64).then_some(offset)
}
