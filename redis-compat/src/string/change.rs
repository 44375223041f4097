//! Changing parts of a string: no piece is read or written that is not touched.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::UnreadString;
use super::pieces::{EDITED_MAX, PIECE, chunks};
use super::value::Form;
use crate::{EvalError, Fault, Txn};

/// Changes of the string under a key, kept apart until they are stored.
pub(crate) struct StringChange<'k> {
    key: &'k Bytes,
    old: Option<UnreadString>,
    form: Form,
    /// The length with the changes.
    len: usize,
    changed: BTreeMap<usize, ChangedPiece>,
}

struct ChangedPiece {
    bytes: BytesMut,
    /// The string has no such piece yet.
    is_new: bool,
}

impl<'k> StringChange<'k> {
    /// No change yet of the string that was read from the key, or found absent.
    pub(crate) fn of(
        txn: &Txn<'_>,
        key: &'k Bytes,
        old: Option<UnreadString>,
    ) -> Result<Self, Fault> {
        let form = match &old {
            Some(old) => old.form(txn, key)?,
            None => Form::Whole(Bytes::new()),
        };
        Ok(Self {
            key,
            len: old.as_ref().map_or(0, UnreadString::len),
            old,
            form,
            changed: BTreeMap::new(),
        })
    }

    /// The length with the changes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Makes the string at least this long, by zeros at its end.
    pub(crate) fn grow(&mut self, len: usize) {
        self.len = self.len.max(len);
    }

    /// The bytes of a range with the changes; zeros beyond the end.
    pub(crate) fn read(&self, txn: &Txn<'_>, range: Range<usize>) -> Result<BytesMut, Fault> {
        let mut out = BytesMut::zeroed(range.len());
        for (number, part, at) in touched(range) {
            let stored;
            let piece = match self.changed.get(&number) {
                Some(changed) => &changed.bytes[..],
                None => {
                    stored = self.stored(txn, number)?.unwrap_or_default();
                    &stored[..]
                }
            };
            let end = part.end.min(piece.len());
            if part.start < end {
                let found = &piece[part.start..end];
                out[at..at + found.len()].copy_from_slice(found);
            }
        }
        Ok(out)
    }

    /// Writes bytes from `at` on. The string grows as needed.
    pub(crate) fn write(&mut self, txn: &Txn<'_>, at: usize, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.grow(at + bytes.len());
        for (number, part, from) in touched(at..at + bytes.len()) {
            if !self.changed.contains_key(&number) {
                let stored = self.stored(txn, number)?;
                let piece = ChangedPiece {
                    is_new: stored.is_none(),
                    bytes: BytesMut::from(stored.unwrap_or_default()),
                };
                self.changed.insert(number, piece);
            }
            if let Some(piece) = self.changed.get_mut(&number) {
                let len = piece.bytes.len().max(part.end);
                piece.bytes.resize(len, 0);
                piece.bytes[part.clone()].copy_from_slice(&bytes[from..from + part.len()]);
            }
        }
        Ok(())
    }

    /// A piece before its changes.
    fn stored(&self, txn: &Txn<'_>, number: usize) -> Result<Option<Bytes>, Fault> {
        let start = number * PIECE;
        match &self.form {
            Form::Whole(bytes) if start < bytes.len() => {
                Ok(Some(bytes.slice(start..bytes.len().min(start + PIECE))))
            }
            Form::Pieces(pieces) if start < pieces.len => pieces.piece(txn, number),
            Form::Whole(_) | Form::Pieces(_) => Ok(None),
        }
    }

    /// Stores the string with its changes, to be kept as `raw`. The expiry is kept.
    pub(crate) fn put(self, txn: &mut Txn<'_>) -> Result<(), EvalError> {
        let expires_at = self.old.as_ref().and_then(UnreadString::expires_at);
        let (mut pieces, whole) = match self.form {
            Form::Pieces(pieces) => (pieces, None),
            Form::Whole(bytes) if self.len > EDITED_MAX => {
                (txn.begin_pieces(self.key, self.len), Some(bytes))
            }
            Form::Whole(bytes) => {
                let mut value = zero_padded(&bytes, self.len);
                for (number, piece) in self.changed {
                    let start = number * PIECE;
                    value[start..start + piece.bytes.len()].copy_from_slice(&piece.bytes);
                }
                txn.put_raw(self.key.clone(), value.freeze(), expires_at)?;
                return Ok(());
            }
        };
        let is_spread_now = whole.is_some();
        for (number, piece) in chunks(whole.unwrap_or_default()) {
            if !self.changed.contains_key(&number) {
                pieces.put_piece(txn, number, piece, true);
            }
        }
        for (number, piece) in self.changed {
            let is_new = is_spread_now || piece.is_new;
            pieces.put_piece(txn, number, piece.bytes.freeze(), is_new);
        }
        pieces.len = self.len;
        pieces.put_header(txn, expires_at)?;
        Ok(())
    }

    /// The string without the changes.
    pub(crate) fn into_old(self) -> Option<UnreadString> {
        self.old
    }
}

/// The pieces that a range touches: the number of each, the part of it, and where in the range this
/// part begins.
fn touched(range: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>, usize)> {
    let numbers = range.start / PIECE..range.end.div_ceil(PIECE);
    numbers.map(move |number| {
        let start = number * PIECE;
        let (from, to) = (range.start.max(start), range.end.min(start + PIECE));
        (number, from - start..to - start, from - range.start)
    })
}

/// A copy of `value`, at least `len` bytes long.
pub(crate) fn zero_padded(value: &[u8], len: usize) -> BytesMut {
    let mut copy = BytesMut::zeroed(len.max(value.len()));
    copy[..value.len()].copy_from_slice(value);
    copy
}
