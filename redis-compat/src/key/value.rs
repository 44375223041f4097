//! The handle of values of any type: what the generic commands see of a key.

use bytes::Bytes;
use coterie_types::{TableId, UnixMillis, Version};

use crate::hash::Hash;
use crate::set::Set;
use crate::stream::Stream;
use crate::string::StringValue;
use crate::txn::spread::SpreadHeader;
use crate::zset::SortedSet;
use crate::{CommandError, Encoding, EvalError, Fault, Kind, Record, Txn};

/// The value of a key, and its expiry.
pub(crate) struct Value(Record);

/// A value by its type. A new type is a compile error wherever types differ.
pub(crate) enum Typed {
    String(StringValue),
    Hash(Hash),
    /// Its elements are read by its key ([`Txn::list`]).
    List(Encoding),
    Set(Set),
    SortedSet(SortedSet),
    Stream(Stream),
}

impl Typed {
    /// How Redis would keep it.
    fn encoding(&self) -> Encoding {
        match self {
            Self::String(string) => string.encoding(),
            Self::Hash(hash) => hash.encoding(),
            Self::List(encoding) => *encoding,
            Self::Set(set) => set.encoding(),
            Self::SortedSet(set) => set.encoding(),
            Self::Stream(stream) => stream.encoding(),
        }
    }
}

impl Value {
    pub(crate) fn typed(self) -> Result<Typed, Fault> {
        Ok(match self.0.kind {
            Kind::String => Typed::String(StringValue::of(self.0)),
            Kind::Hash => Typed::Hash(Hash::of(&self.0)?),
            Kind::List => Typed::List(self.0.encoding()),
            Kind::Set => Typed::Set(Set::of(&self.0)?),
            Kind::SortedSet => Typed::SortedSet(SortedSet::of(&self.0)?),
            Kind::Stream => Typed::Stream(Stream::of(&self.0)?),
        })
    }

    /// The string, if it is a string.
    pub(crate) fn into_string(self) -> Option<StringValue> {
        (self.0.kind == Kind::String).then(|| StringValue::of(self.0))
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
    pub(crate) fn encoding_name(self) -> Result<&'static str, Fault> {
        Ok(self.typed()?.encoding().name())
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

    /// Stores the value of the key `from` under another key, with its expiry. The elements of a
    /// spread collection are copied. Errors: `UNDECLARED_KEY`, `COLLECTION_TOO_LARGE`.
    pub(crate) fn copy_to(
        &mut self,
        from: &Bytes,
        (table, key): (TableId, Bytes),
        value: Value,
    ) -> Result<(), EvalError> {
        let mut record = value.0;
        if record.is_spread {
            let mut header = SpreadHeader::decode(&record.value)?;
            let source = header.of(self.table(), from);
            let copy = self.begin_collection_in(table, &key);
            self.copy_elements(&source, &copy)?;
            header.incarnation = copy.incarnation;
            record.value = header.encode();
        }
        Ok(self.put_record(table, key, record)?)
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
