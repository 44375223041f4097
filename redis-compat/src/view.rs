//! The store as a command sees it: records by key, and in key order.
//!
//! The storage crate implements [`View`] over its engine, tests over a map. A view is read-only and
//! does not change while an entry is applied; the changes of the entry live in [`crate::Txn`].

use std::error::Error;

use coterie_types::{KeyRange, TableId};

use crate::{Header, Record};

/// This node alone could not read its state: it stops before it diverges from the other replicas.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    message: String,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Fault {
    /// A fault with its cause; `message` is a verb phrase like "read record".
    pub fn new(
        message: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            message: message.into(),
            source: Some(source.into()),
        }
    }

    /// Bytes from the store that no version of Coterie wrote.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            source: None,
        }
    }
}

/// Read access to the records of a group's store.
pub trait View {
    /// The stored record, even if expired.
    fn record(&self, table: TableId, key: &[u8]) -> Result<Option<Record>, Fault>;

    /// Visits the keys with `start <= key < end` in order, expired ones too, until `visit` returns
    /// false. No value is read.
    fn scan_keys(
        &self,
        bounds: &KeyRange,
        visit: &mut dyn FnMut(&[u8], Header) -> bool,
    ) -> Result<(), Fault>;
}
