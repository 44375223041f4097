//! The handle of hashes.

use bytes::Bytes;
use coterie_types::UnixMillis;

use crate::errors::{HASH_TOO_LONG, WRONG_TYPE};
use crate::txn::elements::Elements;
use crate::{CommandError, Encoding, EvalError, Fault, Kind, Record, Txn};

/// The fields up to which Redis keeps a hash packed: `hash-max-listpack-entries`.
const LISTPACK_FIELDS_MAX: usize = 512;
/// The longest field or value of a packed hash: `hash-max-listpack-value`.
const LISTPACK_BYTES_MAX: usize = 64;

/// A hash, and the expiry of its key. Without fields it is not stored.
#[derive(Default)]
pub(crate) struct Hash {
    fields: Elements,
    /// Redis would keep it in a table. A hash that was large stays there.
    is_hashtable: bool,
    expires_at: Option<UnixMillis>,
    /// The key holds it already.
    exists: bool,
}

impl Hash {
    /// The hash of a hash's record.
    pub(crate) fn of(record: &Record) -> Result<Self, Fault> {
        debug_assert_eq!(record.kind, Kind::Hash);
        Ok(Self {
            fields: Elements::of(&record.value)?,
            is_hashtable: record.encoding() == Encoding::Hashtable,
            expires_at: record.expires_at,
            exists: true,
        })
    }

    /// How many fields it has.
    pub(crate) fn len(&self) -> usize {
        self.fields.count()
    }

    /// The value of a field.
    pub(crate) fn get(&mut self, field: &[u8]) -> Result<Option<Bytes>, Fault> {
        self.fields.get(field)
    }

    /// All fields and their values, in the order in which the fields came.
    pub(crate) fn all(&self) -> Result<Vec<(Bytes, Bytes)>, Fault> {
        self.fields.to_vec()
    }

    pub(crate) fn is_hashtable(&self) -> bool {
        self.is_hashtable
    }

    /// How Redis would keep it.
    pub(crate) fn encoding(&self) -> Encoding {
        if self.is_hashtable {
            Encoding::Hashtable
        } else {
            Encoding::Listpack
        }
    }

    /// Sets a field; returns whether it is new. Redis keeps a hash in a table from its first long
    /// field or value on, and when it has many fields (`t_hash.c`, `hashTypeSet`).
    pub(crate) fn set(&mut self, field: &Bytes, value: &Bytes) -> Result<bool, Fault> {
        self.is_hashtable |= field.len().max(value.len()) > LISTPACK_BYTES_MAX;
        self.set_packed(field, value)
    }

    /// Sets a field of a hash that came packed: Redis leaves it so, however long its fields are.
    pub(crate) fn set_packed(&mut self, field: &Bytes, value: &Bytes) -> Result<bool, Fault> {
        let is_new = self.fields.put(field, value)?;
        self.is_hashtable |= self.len() > LISTPACK_FIELDS_MAX;
        Ok(is_new)
    }

    /// So many fields are going to be set. Redis takes them all for new ones (`t_hash.c`,
    /// `hashTypeTryConversion`).
    pub(crate) fn expect_fields(&mut self, count: usize) {
        self.is_hashtable |= count > LISTPACK_FIELDS_MAX;
    }

    /// Removes a field; returns whether it was there.
    pub(crate) fn remove(&mut self, field: &[u8]) -> Result<bool, Fault> {
        self.fields.remove(field)
    }

    /// The same with this expiry.
    pub(crate) fn expiring(mut self, expires_at: Option<UnixMillis>) -> Self {
        self.expires_at = expires_at;
        self
    }
}

impl Txn<'_> {
    /// The hash under a key; without fields if the key is absent. Errors: `WRONG_TYPE`,
    /// `UNDECLARED_KEY`.
    pub(crate) fn hash(&mut self, key: &Bytes) -> Result<Hash, EvalError> {
        let Some(record) = self.record(key)? else {
            return Ok(Hash::default());
        };
        if record.kind == Kind::Hash {
            Ok(Hash::of(&record)?)
        } else {
            Err(WRONG_TYPE.into())
        }
    }

    /// Stores a changed hash; without any field, removes the key. Errors: `HASH_TOO_LONG`,
    /// `UNDECLARED_KEY`.
    pub(crate) fn put_hash(&mut self, key: Bytes, hash: &Hash) -> Result<(), CommandError> {
        if hash.len() == 0 {
            return if hash.exists {
                self.remove(key)
            } else {
                Ok(())
            };
        }
        let value = hash.fields.pack();
        self.check_len(value.len()).map_err(|_| HASH_TOO_LONG)?;
        let kept = hash.is_hashtable.then_some(Encoding::Hashtable);
        self.put_new(key, Kind::Hash, value, kept, hash.expires_at)
    }
}
