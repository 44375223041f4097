//! The head of a collection of members: facts about all of them. It stands before the packed
//! members, or behind the header of a spread collection.
//!
//! ```text
//! byte        0x01 = some members have a deadline, 0x02 = kept as an `intset`
//! 8 bytes     the lowest deadline in Unix ms, big endian, if 0x01
//! varint      how many members have a deadline, if 0x01
//! ```
//!
//! The layout is on disk: pinned by the tests below, described in `docs/disk-format.md`.

use bytes::{Buf, BufMut, Bytes};
use coterie_types::{UnixMillis, varint};

use crate::Fault;

const HAS_DEADLINES: u8 = 0x01;
const INTSET: u8 = 0x02;

/// Facts about all members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// Redis would keep the set as an `intset`.
    pub(crate) is_intset: bool,
    /// `None` while no member has a deadline.
    pub(crate) deadlines: Option<Deadlines>,
}

/// The deadlines of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadlines {
    pub(crate) lowest: UnixMillis,
    /// How many members have a deadline: not 0.
    pub(crate) count: u64,
}

impl Head {
    /// Appends the head as it is stored.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let intset = if self.is_intset { INTSET } else { 0 };
        match self.deadlines {
            None => out.put_u8(intset),
            Some(deadlines) => {
                out.put_u8(intset | HAS_DEADLINES);
                out.put_u64(deadlines.lowest.0);
                varint::put(out, deadlines.count);
            }
        }
    }

    /// Takes a head off the front of `input`.
    pub(crate) fn take(input: &mut Bytes) -> Result<Self, Fault> {
        let cut = || Fault::corrupt("the head of a collection is cut short");
        let flags = input.try_get_u8().map_err(|_| cut())?;
        if flags & !(HAS_DEADLINES | INTSET) != 0 {
            return Err(Fault::corrupt("the head of a collection has unknown flags"));
        }
        let deadlines = if flags & HAS_DEADLINES == 0 {
            None
        } else {
            let lowest = UnixMillis(input.try_get_u64().map_err(|_| cut())?);
            let count = varint::take(input).ok_or_else(cut)?;
            Some(Deadlines { lowest, count })
        };
        Ok(Self {
            is_intset: flags & INTSET != 0,
            deadlines,
        })
    }

    /// A member's deadline changes. Returns whether the lowest may be another now.
    pub(super) fn change(&mut self, old: Option<UnixMillis>, new: Option<UnixMillis>) -> bool {
        if old == new {
            return false;
        }
        let before = self.deadlines;
        let mut count = before.map_or(0, |deadlines| deadlines.count);
        count += u64::from(new.is_some());
        count = count.saturating_sub(old.is_some().into());
        let lowest = before.map(|deadlines| deadlines.lowest);
        let least = lowest.into_iter().chain(new).min();
        self.deadlines = least
            .filter(|_| count > 0)
            .map(|lowest| Deadlines { lowest, count });
        old.is_some() && old == lowest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(head: Head) -> Vec<u8> {
        let mut out = Vec::new();
        head.encode(&mut out);
        out
    }

    #[test]
    fn the_layout_on_disk_is_pinned() {
        let deadlines = Some(Deadlines {
            lowest: UnixMillis(0x0192_0304_0506),
            count: 300,
        });
        let of = |is_intset, deadlines| Head {
            is_intset,
            deadlines,
        };
        let cases: [(Head, &[u8]); 4] = [
            (of(false, None), b"\x00"),
            (of(true, None), b"\x02"),
            (
                of(false, deadlines),
                b"\x01\0\0\x01\x92\x03\x04\x05\x06\xac\x02",
            ),
            (
                of(true, deadlines),
                b"\x03\0\0\x01\x92\x03\x04\x05\x06\xac\x02",
            ),
        ];
        for (head, bytes) in cases {
            assert_eq!(encoded(head), bytes);
            let mut input = Bytes::copy_from_slice(bytes);
            assert_eq!(Head::take(&mut input).unwrap(), head);
            assert!(input.is_empty());
            for len in 0..bytes.len() {
                assert!(Head::take(&mut Bytes::copy_from_slice(&bytes[..len])).is_err());
            }
        }
        assert!(Head::take(&mut Bytes::from_static(b"\x04")).is_err());
    }

    #[test]
    fn deadlines_are_counted() {
        let at = |millis| Some(UnixMillis(millis));
        let mut head = Head::default();
        assert!(!head.change(None, None));
        assert!(!head.change(None, at(7)));
        assert!(!head.change(None, at(5)));
        let of = |lowest, count| {
            Some(Deadlines {
                lowest: UnixMillis(lowest),
                count,
            })
        };
        assert_eq!(head.deadlines, of(5, 2));
        assert!(!head.change(at(7), at(9)));
        assert!(head.change(at(5), at(6)), "another may be the lowest");
        assert_eq!(head.deadlines, of(5, 2), "until it is looked for");
        head.change(at(6), None);
        head.change(at(9), None);
        assert_eq!(head.deadlines, None);
    }
}
