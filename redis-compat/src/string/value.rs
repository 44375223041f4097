//! The handle of strings.

use bytes::Bytes;
use coterie_types::UnixMillis;

use crate::errors::WRONG_TYPE;
use crate::{CommandError, Encoding, EvalError, Kind, Record, Txn};

/// A string, and the expiry of its key.
pub(crate) struct StringValue(Record);

impl StringValue {
    /// The string of a string's record.
    pub(crate) fn of(record: Record) -> Self {
        debug_assert_eq!(record.kind, Kind::String);
        Self(record)
    }

    /// For the handle of values of any type.
    pub(crate) fn into_record(self) -> Record {
        self.0
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.0.value
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        self.0.value
    }

    pub(crate) fn expires_at(&self) -> Option<UnixMillis> {
        self.0.expires_at
    }

    /// How Redis would keep it.
    pub(crate) fn encoding(&self) -> Encoding {
        self.0.encoding()
    }
}

impl Txn<'_> {
    /// The string under a key. Errors: `WRONG_TYPE`, `UNDECLARED_KEY`.
    pub(crate) fn string(&mut self, key: &Bytes) -> Result<Option<StringValue>, EvalError> {
        let Some(record) = self.record(key)? else {
            return Ok(None);
        };
        if record.kind == Kind::String {
            Ok(Some(StringValue(record)))
        } else {
            Err(WRONG_TYPE.into())
        }
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

    /// Stores a string, to be kept as `encoding` says.
    pub(crate) fn put_kept(
        &mut self,
        key: Bytes,
        value: Bytes,
        encoding: Encoding,
        expires_at: Option<UnixMillis>,
    ) -> Result<(), CommandError> {
        let kept = Some(encoding).filter(|kept| *kept != Encoding::when_set(&value));
        self.put_new(key, Kind::String, value, kept, expires_at)
    }

    /// Notes that a string is kept as `raw` from now on. No watcher needs to be told.
    pub(crate) fn mark_raw(
        &mut self,
        key: &Bytes,
        string: StringValue,
    ) -> Result<(), CommandError> {
        if string.encoding() == Encoding::Raw {
            return Ok(());
        }
        let kept = Some(Encoding::Raw);
        let record = Record { kept, ..string.0 };
        self.put_same(key.clone(), record)
    }
}
