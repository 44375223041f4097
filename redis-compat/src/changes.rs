//! What one log entry changed, for the caller to persist in one batch.

use std::collections::BTreeMap;

use bytes::Bytes;
use coterie_types::{KeyRange, TableId};

use crate::Record;

/// What an entry changed. Apply the clears first, then the records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Intervals whose records are gone. For `WATCH`, a clear removes keys of every hash slot.
    pub clears: Vec<KeyRange>,
    /// Records to put, or to delete.
    pub records: BTreeMap<(TableId, Bytes), Option<Record>>,
    /// Every key a command removed, also if created again later: feeds `WATCH`. Keys that a sweep
    /// or a write found expired are not in it.
    pub deleted: Vec<(TableId, Bytes)>,
    /// The change counter after the entry. It is also what to remember as `last_removed` for the
    /// slots of `deleted` ([`crate::watch_token_holds`]).
    pub next_change: u64,
}
