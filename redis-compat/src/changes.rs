//! The changes of a log entry, for the caller to persist in a single batch.

use std::collections::BTreeMap;

use bytes::Bytes;
use coterie_types::{KeyRange, TableId};

use crate::{ElementPlace, KeyEvent, Record};

/// A key in its table.
pub(crate) type Place = (TableId, Bytes);
/// The new state of a key: a record, or absent.
pub(crate) type Change = Option<Record>;

/// The changes of an entry. Apply the clears first, then records and elements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Intervals whose records are gone.
    pub clears: Vec<KeyRange>,
    /// The change counter after the last of them, or 0: as [`Removal::touched`], for
    /// all keys.
    pub cleared: u64,
    /// Records to put, or to delete.
    pub records: BTreeMap<Place, Change>,
    /// Elements of spread collections to put, or to delete.
    pub elements: BTreeMap<ElementPlace, Option<Bytes>>,
    /// Every key that was removed, also if created again later: feeds `WATCH`
    /// ([`crate::watch_token_holds`]).
    pub removals: Vec<Removal>,
    /// The change counter after the entry.
    pub next_change: u64,
    /// Events of keys, in order, as far as they were to be collected: no part of the state.
    pub events: Vec<KeyEvent>,
}

/// A removed key: connections that watch it while it is absent have to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The key's table.
    pub table: TableId,
    /// The key.
    pub key: Bytes,
    /// The change counter after the last noticeable change of the key. A client that found the key
    /// absent when the counter was lower has missed a change.
    pub touched: u64,
}
