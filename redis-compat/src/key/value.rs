//! The handle of values of any type: what the generic commands see of a key.

use bytes::Bytes;
use coterie_types::{TableId, UnixMillis, Version};

use crate::hash::Hash;
use crate::string::StringValue;
use crate::{CommandError, EvalError, Fault, Kind, Record, Txn};

/// The value of a key, and its expiry.
pub(crate) struct Value(Record);

/// A value by its type. A new type is a compile error wherever types differ.
pub(crate) enum Typed {
    String(StringValue),
    Hash(Hash),
}

impl Value {
    pub(crate) fn typed(self) -> Result<Typed, Fault> {
        Ok(match self.0.kind {
            Kind::String => Typed::String(StringValue::of(self.0)),
            Kind::Hash => Typed::Hash(Hash::of(&self.0)?),
        })
    }

    /// The string, if it is a string.
    pub(crate) fn into_string(self) -> Option<StringValue> {
        match self.0.kind {
            Kind::String => Some(StringValue::of(self.0)),
            Kind::Hash => None,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.0.kind
    }

    pub(crate) fn expires_at(&self) -> Option<UnixMillis> {
        self.0.expires_at
    }

    /// The last change, for `WATCH`.
    pub(crate) fn version(&self) -> Version {
        self.0.version
    }

    /// The reply of `OBJECT ENCODING`.
    pub(crate) fn encoding_name(&self) -> &'static str {
        self.0.encoding().name()
    }

    /// Bytes that it takes in the store, without its key.
    pub(crate) fn stored_bytes(&self) -> usize {
        self.0.encoded_len()
    }
}

impl From<StringValue> for Value {
    fn from(string: StringValue) -> Self {
        Self(string.into_record())
    }
}

impl Txn<'_> {
    /// The value of a key, of any type. Errors: `UNDECLARED_KEY`.
    pub(crate) fn value(&mut self, key: &Bytes) -> Result<Option<Value>, EvalError> {
        Ok(self.record(key)?.map(Value))
    }

    /// Whether a key is there. Errors: `UNDECLARED_KEY`.
    pub(crate) fn exists(&mut self, key: &Bytes) -> Result<bool, EvalError> {
        Ok(self.record(key)?.is_some())
    }

    /// The same, in any table.
    pub(crate) fn exists_in(&mut self, table: TableId, key: &Bytes) -> Result<bool, EvalError> {
        Ok(self.record_in(table, key)?.is_some())
    }

    /// Stores a value under another key, with its expiry. Errors: `UNDECLARED_KEY`.
    pub(crate) fn copy_to(
        &mut self,
        table: TableId,
        key: Bytes,
        value: Value,
    ) -> Result<(), CommandError> {
        self.put_record(table, key, value.0)
    }

    /// Changes the expiry of a key that holds this value. Errors: `UNDECLARED_KEY`.
    pub(crate) fn set_expiry(
        &mut self,
        key: Bytes,
        value: Value,
        expires_at: Option<UnixMillis>,
    ) -> Result<(), CommandError> {
        let record = Record {
            expires_at,
            ..value.0
        };
        self.put_record(self.table(), key, record)
    }
}
