//! A member's value and deadline, as they are stored behind its name.
//!
//! ```text
//! varint      the deadline in Unix ms, or 0 if there is none
//! rest        the value
//! ```
//!
//! No bytes at all stand for no value and no deadline: members of sets take none.
//!
//! The layout is on disk: pinned by the tests below, described in `docs/disk-format.md`.

use bytes::Bytes;
use coterie_types::{UnixMillis, varint};

use crate::Fault;

/// What is stored behind the name of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    /// Of sets, empty.
    pub(crate) value: Bytes,
    /// From this time on the member is absent to every command.
    pub(crate) deadline: Option<UnixMillis>,
}

impl Cell {
    pub(super) fn encode(&self) -> Bytes {
        if self.deadline.is_none() && self.value.is_empty() {
            return Bytes::new();
        }
        let deadline = self.deadline.map_or(0, |at| at.0);
        let mut out = Vec::with_capacity(varint::len(deadline) + self.value.len());
        varint::put(&mut out, deadline);
        out.extend_from_slice(&self.value);
        Bytes::from(out)
    }

    /// The value shares memory with `raw`.
    pub(super) fn decode(mut raw: Bytes) -> Result<Self, Fault> {
        let deadline = match raw.is_empty() {
            true => 0,
            false => varint::take(&mut raw)
                .ok_or_else(|| Fault::corrupt("the cell of a member is cut short"))?,
        };
        Ok(Self {
            value: raw,
            deadline: (deadline > 0).then_some(UnixMillis(deadline)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_on_disk_is_pinned() {
        let cell = |value: &'static str, deadline: Option<u64>| Cell {
            value: Bytes::from(value),
            deadline: deadline.map(UnixMillis),
        };
        let cases: [(Cell, &[u8]); 4] = [
            (cell("", None), b""),
            (cell("v", None), b"\0v"),
            (cell("", Some(300)), b"\xac\x02"),
            (cell("v", Some(300)), b"\xac\x02v"),
        ];
        for (cell, bytes) in cases {
            assert_eq!(cell.encode(), bytes);
            assert_eq!(Cell::decode(cell.encode()).unwrap(), cell);
        }
        assert!(Cell::decode(Bytes::from_static(b"\x80")).is_err());
    }
}
