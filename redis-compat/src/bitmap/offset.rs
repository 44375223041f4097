//! Bit offsets, and the error line of an offset out of range.

use crate::command::Part;
use crate::errors::error_lines;
use crate::{CommandError, Txn, number};

pub(super) const PART: Part = Part::new(&[], LINES);

error_lines! {
    /// A bit offset below zero or past the longest string.
    pub(super) BIT_OFFSET = "ERR bit offset is not an integer or out of range";
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

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use coterie_types::{GroupId, TableId, UnixMillis};

    use crate::{Context, MemView, Resolved, Resp, Txn, execute};

    #[test]
    fn an_offset_past_the_longest_value_is_out_of_range() {
        let view = MemView::default();
        let context = Context {
            group: GroupId(1),
            now: UnixMillis(1),
            read_now: None,
            seed: 1,
            next_change: 1,
        };
        let mut txn = Txn::new(&view, context);
        txn.set_value_bytes_max(4);
        let refused = "-ERR bit offset is not an integer or out of range\r\n";
        for (line, expected) in [
            ("setbit k 31 1", ":0\r\n"),
            ("setbit k 32 1", refused),
            ("setbit k 32 5", refused),
            ("bitfield k set u8 24 1", "*1\r\n:1\r\n"),
            ("bitfield k set u8 25 1", refused),
            ("bitfield k get u8 24 incrby u8 32 0", refused),
            // Reading makes nothing longer.
            ("getbit k 32", ":0\r\n"),
            ("bitfield k get u8 32", "*1\r\n:0\r\n"),
        ] {
            let words = line
                .split(' ')
                .map(|w| Bytes::copy_from_slice(w.as_bytes()));
            let mut reply = BytesMut::new();
            let command = Resolved::new(TableId(0), words.collect());
            execute(&mut txn, &command, Resp::V2, &mut reply).unwrap();
            assert_eq!(reply, expected, "{line}");
        }
    }
}
