//! The transaction view of a log entry, in layers.
//!
//! ```text
//! savepoint.rs  what is needed to take changes back
//! state.rs      the store, and over it the changes so far; clocks, chance, versions
//! scope.rs      the keys that the command under way declares
//! keys.rs       records by key: get, put, remove, expiry, WATCH
//! scan.rs       intervals of keys
//! elements.rs   the elements of a collection, packed into its record
//! spread.rs     the elements of a spread collection: records of their own
//! counted.rs    an ordered collection of items, counted: ranks, and items by rank
//! place.rs      the order of members by a keyed hash
//! members.rs    members with values and deadlines, packed or spread: hashes and sets
//! ```
//!
//! Commands see none of these layers. They see the value of a key by the handle of its type
//! (`string/value.rs`), or by a handle for any type (`key/value.rs`).
//!
//! Nothing is written before [`Txn::finish`] hands back the [`Changes`]; the caller persists them
//! in a single batch.
//!
//! Invariants: a key whose expiry is at or before [`Context::now`] is absent to every command; each
//! change of a key gets a change number of its own, and so does each removal, so that two states of
//! a key never have the same version; a command touches the keys that it declares and no others.

pub(crate) mod counted;
mod elements;
mod keys;
pub(crate) mod members;
pub(crate) mod place;
mod savepoint;
mod scan;
mod scope;
pub(crate) mod spread;
mod state;

use std::sync::Arc;

use bytes::Bytes;
use coterie_types::{GroupId, KeyRange, TableId, UnixMillis};

pub(crate) use scope::Scope;

use state::State;

use crate::errors::STRING_TOO_LONG;
use crate::{Changes, CommandError, Context, View};

/// No reply has so many elements, whatever its room.
const ELEMENTS_MAX: usize = 1 << 28;

/// The state that a log entry sees and changes.
pub struct Txn<'a> {
    state: State<'a>,
    scope: Scope,
    table: TableId,
    /// The running command may write, so it deletes the expired records it meets.
    writing: bool,
    value_bytes_max: usize,
    reply_bytes_max: usize,
    reply_bytes: usize,
    /// The last command found nothing, and would wait.
    waits: bool,
    /// The commands have waited before.
    has_waited: bool,
}

impl<'a> Txn<'a> {
    /// Begins an entry over `view`.
    #[must_use]
    pub fn new(view: &'a dyn View, ctx: Context) -> Self {
        Self {
            state: State::new(view, ctx),
            scope: Scope::open(),
            table: TableId(0),
            writing: false,
            value_bytes_max: 512 << 20,
            reply_bytes_max: usize::MAX,
            reply_bytes: 0,
            waits: false,
            has_waited: false,
        }
    }

    /// Ends the entry.
    #[must_use]
    pub fn finish(self) -> Changes {
        self.state.finish()
    }

    /// Begins a command: until [`Txn::end`] only those keys may be touched that the caller adds to
    /// the scope that is returned, which is empty.
    pub(crate) fn begin(&mut self, table: TableId, writing: bool) -> &mut Scope {
        self.table = table;
        self.writing = writing;
        self.waits = false;
        if writing {
            self.set_savepoint();
        }
        self.scope.clear();
        &mut self.scope
    }

    /// Ends the command. Unless it `succeeded`, its changes are taken back.
    pub(crate) fn end(&mut self, succeeded: bool) {
        self.scope.reopen();
        match (self.writing, succeeded) {
            (true, true) => self.keep_changes(),
            (true, false) => self.roll_back(),
            (false, _) => {}
        }
    }

    /// From here on changes can be taken back, until [`Txn::roll_back`] or [`Txn::keep_changes`].
    /// Savepoints nest: these two are about the innermost.
    pub fn set_savepoint(&mut self) {
        self.state.set_savepoint();
    }

    /// Takes all changes since the last savepoint back, chance and change numbers included. The
    /// bytes that were written stay counted: they took their time.
    pub fn roll_back(&mut self) {
        self.state.roll_back();
    }

    /// The changes since the last savepoint stay, unless an outer savepoint takes them back.
    pub fn keep_changes(&mut self) {
        self.state.keep_changes();
    }

    /// The longest value a command may build (`APPEND`, `SETRANGE`, ...). It decides replies, so
    /// it must be the same on every replica. 512 MiB unless set.
    pub fn set_value_bytes_max(&mut self, max: usize) {
        self.value_bytes_max = max;
    }

    /// Ranges that the group owns, and whose records are all here. A command may read keys of
    /// these that its row does not declare, because elements of a collection name them (`SORT`
    /// with `BY` or `GET`). None unless set. They decide replies, so they must be the same on every
    /// replica.
    pub fn set_whole_ranges(&mut self, ranges: Arc<[KeyRange]>) {
        self.scope.set_whole_ranges(ranges);
    }

    /// The table the command works on.
    #[must_use]
    pub fn table(&self) -> TableId {
        self.table
    }

    /// The time of writes and of expiry.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        self.state.ctx.now
    }

    /// The time that remaining lifetimes are counted from.
    #[must_use]
    pub fn read_now(&self) -> UnixMillis {
        self.state.read_now()
    }

    /// The group that applies.
    #[must_use]
    pub fn group(&self) -> GroupId {
        self.state.ctx.group
    }

    /// The group's change counter.
    #[must_use]
    pub fn next_change(&self) -> u64 {
        self.state.ctx.next_change
    }

    /// Whether a record was met that expires after the applied clock and before the leader's. The
    /// replies are then void: commit a clock entry, and read again.
    #[must_use]
    pub fn needs_tick(&self) -> bool {
        self.state.needs_tick
    }

    /// The next number of the entry's chance.
    pub fn random(&mut self) -> u64 {
        self.state.random()
    }

    /// Refuses a value longer than may be stored.
    pub fn check_len(&self, len: usize) -> Result<(), CommandError> {
        if len > self.value_bytes_max {
            Err(STRING_TOO_LONG)
        } else {
            Ok(())
        }
    }

    /// The keys that the entry has changed so far.
    pub fn changed_keys(&self) -> impl Iterator<Item = (TableId, &Bytes)> {
        self.state.overlay.keys().map(|(table, key)| (*table, key))
    }

    /// Bytes of the keys and values that the entry changes, each key once: they are held in memory
    /// and written as one batch. Small requests can make large values (`SETBIT`), so the caller
    /// bounds these bytes, and not those that are sent.
    #[must_use]
    pub fn changed_bytes(&self) -> usize {
        self.state.changed_bytes
    }

    /// Bytes of all changes, each time a key is changed: a measure of the time that they take.
    #[must_use]
    pub fn written_bytes(&self) -> usize {
        self.state.written_bytes
    }

    /// How long the next command's reply may be, in bytes. Commands whose reply is no longer than
    /// a value do not look at it.
    pub fn set_reply_room(&mut self, bytes: usize) {
        (self.reply_bytes_max, self.reply_bytes) = (bytes, 0);
    }

    /// Takes room for an element of the reply. Errors: the reply is too long.
    pub(crate) fn take_reply_room(&mut self, bytes: usize) -> Result<(), CommandError> {
        // The element's head, too.
        self.reply_bytes = self.reply_bytes.saturating_add(bytes + 16);
        if self.reply_was_too_long() {
            Err(CommandError::reply_too_long(self.reply_bytes_max))
        } else {
            Ok(())
        }
    }

    /// Refuses a reply of so many elements, before any of them is there. Errors: the reply is too
    /// long.
    pub(crate) fn check_reply_len(&mut self, elements: u64) -> Result<(), CommandError> {
        let before = self.reply_bytes;
        let elements = usize::try_from(elements)
            .ok()
            .filter(|elements| *elements < ELEMENTS_MAX);
        let Some(elements) = elements else {
            self.reply_bytes = usize::MAX;
            return Err(CommandError::reply_too_long(self.reply_bytes_max));
        };
        self.take_reply_room(16 * elements)?;
        self.reply_bytes = before;
        Ok(())
    }

    /// Whether the last command was refused for its reply, having done nothing.
    #[must_use]
    pub fn reply_was_too_long(&self) -> bool {
        self.reply_bytes > self.reply_bytes_max
    }

    /// From here on commands have waited, or have not: one that has passes over keys of another
    /// type.
    pub fn set_has_waited(&mut self, has_waited: bool) {
        self.has_waited = has_waited;
    }

    /// Whether the command has waited before.
    #[must_use]
    pub fn has_waited(&self) -> bool {
        self.has_waited
    }

    /// The command finds nothing, and waits if it can. Its reply is for those who cannot.
    pub(crate) fn wait(&mut self) {
        self.waits = true;
    }

    /// Whether the last command found nothing, and would wait.
    #[must_use]
    pub fn would_wait(&self) -> bool {
        self.waits
    }

    /// The longest value that may be stored.
    #[must_use]
    pub fn value_bytes_max(&self) -> usize {
        self.value_bytes_max
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::MemView;

    pub(crate) const T: TableId = TableId(0);

    pub(crate) fn ctx(now: u64) -> Context {
        Context {
            group: GroupId(1),
            now: UnixMillis(now),
            read_now: None,
            seed: 7,
            next_change: 1,
        }
    }

    pub(crate) fn b(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    pub(crate) fn view_of(keys: &[(&'static str, Option<u64>)]) -> MemView {
        let mut view = MemView::new();
        let mut txn = Txn::new(&view, ctx(0));
        for (key, expires_at) in keys {
            txn.put_string(b(key), b("old"), expires_at.map(UnixMillis))
                .unwrap();
        }
        let changes = txn.finish();
        view.apply(&changes);
        view
    }
}
