//! The handle of hashes.

use bytes::Bytes;
use coterie_types::{TableId, UnixMillis};

use crate::errors::WRONG_TYPE;
use crate::txn::members::{Cell, Members};
use crate::{Encoding, EvalError, Fault, Kind, Record, Txn};

/// The fields up to which Redis keeps a hash packed: `hash-max-listpack-entries`.
const LISTPACK_FIELDS_MAX: usize = 512;
/// The longest field or value of a packed hash: `hash-max-listpack-value`.
const LISTPACK_BYTES_MAX: usize = 64;

/// A hash. Without fields it is not stored.
pub(crate) struct Hash(pub(crate) Members);

impl Default for Hash {
    fn default() -> Self {
        Self(Members::new(Kind::Hash))
    }
}

impl Hash {
    /// The hash in the record of a key.
    pub(crate) fn of(record: &Record, table: TableId, key: &Bytes) -> Result<Self, Fault> {
        debug_assert_eq!(record.kind, Kind::Hash);
        Ok(Self(Members::of(record, table, key)?))
    }

    /// How many fields it has.
    pub(crate) fn len(&self, txn: &mut Txn<'_>) -> Result<u64, Fault> {
        self.0.len(txn)
    }

    /// The value of a field.
    pub(crate) fn get(&mut self, txn: &mut Txn<'_>, field: &[u8]) -> Result<Option<Bytes>, Fault> {
        Ok(self.0.get(txn, field)?.map(|cell| cell.value))
    }

    /// How Redis would keep it.
    pub(crate) fn encoding(&self) -> Encoding {
        if self.0.is_hashtable() {
            Encoding::Hashtable
        } else {
            Encoding::Listpack
        }
    }

    /// Sets a field without a deadline; returns whether it is new.
    pub(crate) fn set(
        &mut self,
        txn: &mut Txn<'_>,
        field: &Bytes,
        value: &Bytes,
    ) -> Result<bool, EvalError> {
        self.set_until(txn, field, value, None)
    }

    /// Sets a field; returns whether it is new. Redis keeps a hash in a table from its first long
    /// field or value on, and when it has many fields (`t_hash.c`, `hashTypeSet`).
    pub(crate) fn set_until(
        &mut self,
        txn: &mut Txn<'_>,
        field: &Bytes,
        value: &Bytes,
        deadline: Option<UnixMillis>,
    ) -> Result<bool, EvalError> {
        if field.len().max(value.len()) > LISTPACK_BYTES_MAX {
            self.0.make_hashtable();
        }
        self.set_packed(txn, field, value, deadline)
    }

    /// Sets a field of a hash that came packed: Redis leaves it so, however long its fields are.
    pub(crate) fn set_packed(
        &mut self,
        txn: &mut Txn<'_>,
        field: &Bytes,
        value: &Bytes,
        deadline: Option<UnixMillis>,
    ) -> Result<bool, EvalError> {
        let value = value.clone();
        let is_new = self.0.put(txn, field, &Cell { value, deadline })?;
        self.expect_fields(self.0.stored_len() as usize);
        Ok(is_new)
    }

    /// So many fields are going to be set. Redis takes them all for new ones (`t_hash.c`,
    /// `hashTypeTryConversion`).
    pub(crate) fn expect_fields(&mut self, count: usize) {
        if count > LISTPACK_FIELDS_MAX {
            self.0.make_hashtable();
        }
    }

    /// Removes a field; returns its value.
    pub(crate) fn remove(
        &mut self,
        txn: &mut Txn<'_>,
        field: &[u8],
    ) -> Result<Option<Bytes>, Fault> {
        Ok(self.0.remove(txn, field)?.map(|cell| cell.value))
    }

    /// The same with this expiry.
    pub(crate) fn expiring(mut self, expires_at: Option<UnixMillis>) -> Self {
        self.0.set_expiry(expires_at);
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
            Ok(Hash::of(&record, self.table(), key)?)
        } else {
            Err(WRONG_TYPE.into())
        }
    }

    /// Stores a changed hash; without any field, removes the key. Errors: `UNDECLARED_KEY`.
    pub(crate) fn put_hash(&mut self, key: &Bytes, hash: &mut Hash) -> Result<(), EvalError> {
        hash.0.store(self, key)
    }
}
