//! Long strings: pieces of 4 KiB, each an element of a spread collection (`txn/spread.rs`).
//!
//! ```text
//! header      the rest of it is the length of the string (varint)
//! family 0    number of the piece (u32, big endian) -> its bytes
//! ```
//!
//! Piece `n` begins at byte `4096 * n`. A piece that is absent, and the missing end of a short
//! piece, are zeros up to the end of the string. So a change of a part writes the pieces that it
//! touches and no others, however long the string is.
//!
//! A string that is set whole stays in the record of its key up to [`SET_MAX`]: setting it again
//! and again leaves no pieces behind that would have to be reclaimed. A string of which a part is
//! changed goes into pieces beyond [`EDITED_MAX`]. It is never a single record again until it is
//! set.
//!
//! The layout is on disk: pinned by the tests below, described in `docs/disk-format.md`.

use std::ops::{Bound, Range};

use bytes::{Bytes, BytesMut};
use coterie_types::{UnixMillis, varint};

use crate::txn::spread::SpreadHeader;
use crate::{Collection, CommandError, Fault, Kind, Txn, Walk};

/// The bytes of a piece.
pub(super) const PIECE: usize = 4 << 10;
/// The longest string of which a part was changed that is kept in a single record.
pub(super) const EDITED_MAX: usize = 64 << 10;
/// The longest string that is set whole and kept in a single record.
pub(super) const SET_MAX: usize = 1 << 20;

/// No string is longer: the number of a piece has 32 bits, and memory its bounds.
const LEN_MAX: usize = 4 << 30;
const FAMILY: u8 = 0;

/// A string in pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pieces {
    /// Where the pieces are.
    pub(super) of: Collection,
    /// How many are stored.
    pub(super) count: u64,
    /// The length of the string.
    pub(super) len: usize,
}

/// The length of a string, by the value of its record, which is a header.
pub(super) fn len_by_header(value: &Bytes) -> Result<usize, Fault> {
    let mut rest = SpreadHeader::decode(value)?.rest;
    let len = varint::take(&mut rest).and_then(|len| usize::try_from(len).ok());
    len.filter(|len| *len <= LEN_MAX)
        .ok_or_else(|| Fault::corrupt("the header of a long string has no length"))
}

impl Pieces {
    /// The string under a key, by the value of its record, which is a header.
    pub(super) fn of(txn: &Txn<'_>, key: &Bytes, value: &Bytes) -> Result<Self, Fault> {
        let header = SpreadHeader::decode(value)?;
        Ok(Self {
            of: header.of(txn.table(), key),
            count: header.count,
            len: len_by_header(value)?,
        })
    }

    /// A piece, if it is stored.
    pub(super) fn piece(&self, txn: &Txn<'_>, number: usize) -> Result<Option<Bytes>, Fault> {
        txn.element(&self.of, FAMILY, &element(number))
    }

    /// The bytes of a range within the string.
    pub(super) fn read(&self, txn: &Txn<'_>, range: Range<usize>) -> Result<Bytes, Fault> {
        let mut out = BytesMut::zeroed(range.len());
        if range.is_empty() {
            return Ok(out.freeze());
        }
        let (first, last) = (range.start / PIECE, (range.end - 1) / PIECE);
        if first == last {
            if let Some(piece) = self.piece(txn, first)? {
                copy_piece(&mut out, &range, first, &piece);
            }
            return Ok(out.freeze());
        }
        let mut wrong = false;
        let from = element(first);
        let walk = Walk::Up(Bound::Included(&from[..]));
        txn.scan_elements(&self.of, FAMILY, walk, &mut |element, piece| {
            let number = element.try_into().map(u32::from_be_bytes);
            wrong |= number.is_err();
            let number = number.map_or(usize::MAX, |number| number as usize);
            if number <= last {
                copy_piece(&mut out, &range, number, piece);
            }
            number < last
        })?;
        if wrong {
            return Err(Fault::corrupt("a piece of a long string has no number"));
        }
        Ok(out.freeze())
    }

    /// Stores a piece, which is new or not.
    pub(super) fn put_piece(
        &mut self,
        txn: &mut Txn<'_>,
        number: usize,
        bytes: Bytes,
        is_new: bool,
    ) {
        self.count += u64::from(is_new);
        txn.put_element(&self.of, FAMILY, element(number).to_vec(), bytes);
    }

    /// Stores all of a value as pieces; there are none before.
    pub(super) fn put_all(&mut self, txn: &mut Txn<'_>, value: &Bytes) {
        for (number, piece) in chunks(value.clone()) {
            self.put_piece(txn, number, piece, true);
        }
    }

    /// Stores the header.
    pub(super) fn put_header(
        &self,
        txn: &mut Txn<'_>,
        expires_at: Option<UnixMillis>,
    ) -> Result<(), CommandError> {
        let mut rest = Vec::new();
        varint::put(&mut rest, self.len as u64);
        let header = SpreadHeader {
            incarnation: self.of.incarnation,
            count: self.count,
            rest: rest.into(),
        };
        txn.put_header(self.of.key.clone(), Kind::String, &header, None, expires_at)
    }
}

/// The pieces of a whole string, with their numbers.
pub(super) fn chunks(value: Bytes) -> impl Iterator<Item = (usize, Bytes)> {
    let count = value.len().div_ceil(PIECE);
    (0..count).map(move |number| {
        let start = number * PIECE;
        (number, value.slice(start..value.len().min(start + PIECE)))
    })
}

fn element(number: usize) -> [u8; 4] {
    (number as u32).to_be_bytes()
}

/// Copies the part of a piece that lies in a range to its place in the bytes of the range.
fn copy_piece(out: &mut [u8], range: &Range<usize>, number: usize, piece: &[u8]) {
    let start = number * PIECE;
    let (from, to) = (range.start.max(start), range.end.min(start + piece.len()));
    if from < to {
        out[from - range.start..to - range.start].copy_from_slice(&piece[from - start..to - start]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::txn::tests::{T, b, ctx};
    use crate::{MemView, View};

    #[test]
    fn the_pieces_on_disk_are_pinned() {
        let mut view = MemView::new();
        let mut txn = Txn::new(&view, ctx(1));
        let value = Bytes::from(vec![b'x'; SET_MAX + 1]);
        txn.put_string(b("k"), value, None).unwrap();
        let changes = txn.finish().unwrap();
        view.apply(&changes);
        let record = view.record(T, b"k").unwrap().unwrap();
        let mut raw = Vec::new();
        record.encode(&mut raw);
        // Group 1, change 2; of group 1, change 1; 257 pieces; 1048577 bytes.
        assert_eq!(raw, b"\x90\x01\x02\x01\x01\x81\x02\x81\x80\x40");
        let pieces: Vec<_> = changes.elements.iter().collect();
        assert_eq!(pieces.len(), 257);
        let (place, piece) = pieces[256];
        assert_eq!((place.family, &place.element[..]), (0, &b"\0\0\x01\0"[..]));
        assert_eq!(piece.as_ref().unwrap(), "x");
        assert_eq!(pieces[0].1.as_ref().unwrap().len(), PIECE);
        for header in [&b"\x01\x01\x05"[..], b"\x01\x01\x05\xff\xff\xff\xff\x7f"] {
            assert!(len_by_header(&Bytes::from(header)).is_err(), "{header:?}");
        }
    }
}
