//! The handles of strings: a string that was read, and a string of which parts are read.

use std::ops::Range;

use bytes::Bytes;
use coterie_types::UnixMillis;

use super::pieces::{self, Pieces, SET_MAX};
use crate::errors::WRONG_TYPE;
use crate::{CommandError, Encoding, EvalError, Fault, Kind, Record, Txn};

/// A string, and the expiry of its key.
pub(crate) struct StringValue {
    string: UnreadString,
    bytes: Bytes,
}

impl StringValue {
    /// For the handle of values of any type.
    pub(crate) fn into_record(self) -> Record {
        self.string.record
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        self.bytes
    }

    pub(crate) fn expires_at(&self) -> Option<UnixMillis> {
        self.string.expires_at()
    }
}

/// A string of which nothing was read but its record. Its pieces, if it is long, are read as
/// needed.
pub(crate) struct UnreadString {
    record: Record,
    len: usize,
}

impl UnreadString {
    /// The string of a string's record.
    pub(crate) fn of(record: Record) -> Result<Self, Fault> {
        debug_assert_eq!(record.kind, Kind::String);
        let len = if record.is_spread {
            pieces::len_by_header(&record.value)?
        } else {
            record.value.len()
        };
        Ok(Self { record, len })
    }

    /// How long it is.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn expires_at(&self) -> Option<UnixMillis> {
        self.record.expires_at
    }

    /// How Redis would keep it.
    pub(crate) fn encoding(&self) -> Encoding {
        self.record.encoding()
    }

    /// The pieces, if it is kept in pieces; else the bytes.
    pub(super) fn form(&self, txn: &Txn<'_>, key: &Bytes) -> Result<Form, Fault> {
        Ok(if self.record.is_spread {
            Form::Pieces(Pieces::of(txn, key, &self.record.value)?)
        } else {
            Form::Whole(self.record.value.clone())
        })
    }

    /// The bytes of a range; fewer, where the string ends before it.
    pub(crate) fn read(
        &self,
        txn: &Txn<'_>,
        key: &Bytes,
        range: Range<usize>,
    ) -> Result<Bytes, Fault> {
        let end = range.end.min(self.len);
        let range = range.start.min(end)..end;
        match self.form(txn, key)? {
            Form::Whole(bytes) => Ok(bytes.slice(range)),
            Form::Pieces(pieces) => pieces.read(txn, range),
        }
    }

    /// The string, read.
    pub(crate) fn read_all(self, txn: &Txn<'_>, key: &Bytes) -> Result<StringValue, Fault> {
        let bytes = match self.form(txn, key)? {
            Form::Whole(bytes) => bytes,
            Form::Pieces(pieces) => pieces.read(txn, 0..self.len)?,
        };
        Ok(StringValue {
            string: self,
            bytes,
        })
    }
}

/// How a string is kept.
pub(super) enum Form {
    Whole(Bytes),
    Pieces(Pieces),
}

impl Txn<'_> {
    /// The string under a key, not yet read. Errors: `WRONG_TYPE`, `UNDECLARED_KEY`.
    pub(crate) fn unread_string(&mut self, key: &Bytes) -> Result<Option<UnreadString>, EvalError> {
        let Some(record) = self.record(key)? else {
            return Ok(None);
        };
        if record.kind == Kind::String {
            Ok(Some(UnreadString::of(record)?))
        } else {
            Err(WRONG_TYPE.into())
        }
    }

    /// The string under a key. Errors: `WRONG_TYPE`, `UNDECLARED_KEY`.
    pub(crate) fn string(&mut self, key: &Bytes) -> Result<Option<StringValue>, EvalError> {
        let string = self.unread_string(key)?;
        let read = string.map(|string| string.read_all(self, key));
        Ok(read.transpose()?)
    }

    /// The bytes of the string under a key; none if it is absent. Errors: `WRONG_TYPE`,
    /// `UNDECLARED_KEY`.
    pub(crate) fn string_bytes(&mut self, key: &Bytes) -> Result<Bytes, EvalError> {
        let string = self.string(key)?;
        Ok(string.map_or_else(Bytes::new, StringValue::into_bytes))
    }

    /// Stores a string. Errors, of all that store: `UNDECLARED_KEY`.
    pub fn put_string(
        &mut self,
        key: Bytes,
        value: Bytes,
        expires_at: Option<UnixMillis>,
    ) -> Result<(), CommandError> {
        let encoding = Encoding::when_set(&value);
        self.put_kept(key, value, encoding, expires_at)
    }

    /// Stores a string that was built in place, which Redis keeps as `raw`.
    pub(crate) fn put_raw(
        &mut self,
        key: Bytes,
        value: Bytes,
        expires_at: Option<UnixMillis>,
    ) -> Result<(), CommandError> {
        self.put_kept(key, value, Encoding::Raw, expires_at)
    }

    /// Stores a string, to be kept as `encoding` says. The old value is not read.
    pub(crate) fn put_kept(
        &mut self,
        key: Bytes,
        value: Bytes,
        encoding: Encoding,
        expires_at: Option<UnixMillis>,
    ) -> Result<(), CommandError> {
        if value.len() > SET_MAX {
            let mut pieces = self.begin_pieces(&key, value.len());
            pieces.put_all(self, &value);
            return pieces.put_header(self, expires_at);
        }
        let kept = Some(encoding).filter(|kept| *kept != Encoding::when_set(&value));
        self.put_new(key, Kind::String, value, kept, expires_at)
    }

    /// Begins a string of this length in pieces; none is there yet.
    pub(super) fn begin_pieces(&mut self, key: &Bytes, len: usize) -> Pieces {
        Pieces {
            of: self.begin_collection(key),
            count: 0,
            len,
        }
    }

    /// Notes that a string is kept as `raw` from now on. No watcher needs to be told.
    pub(crate) fn mark_raw(
        &mut self,
        key: &Bytes,
        string: UnreadString,
    ) -> Result<(), CommandError> {
        if string.encoding() == Encoding::Raw {
            return Ok(());
        }
        let kept = Some(Encoding::Raw);
        let record = Record {
            kept,
            ..string.record
        };
        self.put_same(key.clone(), record)
    }
}

impl From<StringValue> for UnreadString {
    fn from(string: StringValue) -> Self {
        string.string
    }
}
