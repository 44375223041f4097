//! The transaction view of a log entry: the store, and over it the changes of the entry so far.
//!
//! A lookup asks the overlay, then the cleared intervals, then the [`View`]. Nothing is written
//! before [`Txn::finish`] hands back the [`Changes`]; the caller persists them in a single batch.
//!
//! Invariants: a key whose expiry is at or before [`Context::now`] is absent to every command; each
//! change of a key gets a change number of its own, and so does each removal, so that two states of
//! a key never have the same version. [`Txn::mark_raw`] is no change: only `OBJECT ENCODING` sees
//! it.

mod savepoint;
mod scan;

use std::collections::BTreeMap;

use bytes::Bytes;
use coterie_types::{GroupId, KeyRange, TableId, UnixMillis, Version};

use savepoint::Savepoint;

use crate::context::Clock;
use crate::errors::STRING_TOO_LONG;
use crate::{
    Changes, CommandError, Context, Encoding, EvalError, Fault, Kind, Record, Removal, Resp, View,
};

/// The state that a log entry sees and changes.
pub struct Txn<'a> {
    view: &'a dyn View,
    ctx: Context,
    table: TableId,
    resp: Resp,
    /// The running command may write, so it deletes the expired records it meets.
    writing: bool,
    needs_tick: bool,
    value_bytes_max: usize,
    /// Bytes of the keys and values in `overlay`.
    changed_bytes: usize,
    /// The same of every change that was made, also where a later change took its place.
    written_bytes: usize,
    savepoint: Option<Savepoint>,
    reply_bytes_max: usize,
    reply_bytes: usize,
    overlay: BTreeMap<(TableId, Bytes), Option<Record>>,
    clears: Vec<KeyRange>,
    cleared: u64,
    removals: Vec<Removal>,
}

impl<'a> Txn<'a> {
    /// Begins an entry over `view`.
    #[must_use]
    pub fn new(view: &'a dyn View, ctx: Context) -> Self {
        Self {
            view,
            ctx,
            table: TableId(0),
            resp: Resp::V2,
            writing: false,
            needs_tick: false,
            value_bytes_max: 512 << 20,
            changed_bytes: 0,
            written_bytes: 0,
            savepoint: None,
            reply_bytes_max: usize::MAX,
            reply_bytes: 0,
            overlay: BTreeMap::new(),
            clears: Vec::new(),
            cleared: 0,
            removals: Vec::new(),
        }
    }

    /// Ends the entry.
    #[must_use]
    pub fn finish(self) -> Changes {
        Changes {
            clears: self.clears,
            cleared: self.cleared,
            records: self.overlay,
            removals: self.removals,
            next_change: self.ctx.next_change,
        }
    }

    /// The table the next command works on.
    pub fn set_table(&mut self, table: TableId) {
        self.table = table;
    }

    /// The protocol version the next command answers in.
    pub fn set_resp(&mut self, resp: Resp) {
        self.resp = resp;
    }

    /// Whether the next command may write.
    pub(crate) fn set_writing(&mut self, writing: bool) {
        self.writing = writing;
    }

    /// The longest value a command may build (`APPEND`, `SETRANGE`, ...). It decides replies, so
    /// it must be the same on every replica. 512 MiB unless set.
    pub fn set_value_bytes_max(&mut self, max: usize) {
        self.value_bytes_max = max;
    }

    /// The table the command works on.
    #[must_use]
    pub fn table(&self) -> TableId {
        self.table
    }

    /// The protocol version the command answers in.
    #[must_use]
    pub fn resp(&self) -> Resp {
        self.resp
    }

    /// The time of writes and of expiry.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        self.ctx.now
    }

    /// The time that remaining lifetimes are counted from.
    #[must_use]
    pub fn read_now(&self) -> UnixMillis {
        self.ctx.read_now.unwrap_or(self.ctx.now)
    }

    /// The group that applies.
    #[must_use]
    pub fn group(&self) -> GroupId {
        self.ctx.group
    }

    /// The group's change counter.
    #[must_use]
    pub fn next_change(&self) -> u64 {
        self.ctx.next_change
    }

    /// Whether a record was met that expires after the applied clock and before the leader's. The
    /// replies are then void: commit a clock entry, and read again.
    #[must_use]
    pub fn needs_tick(&self) -> bool {
        self.needs_tick
    }

    /// The next number of the entry's chance (SplitMix64).
    pub fn random(&mut self) -> u64 {
        self.ctx.seed = self.ctx.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.ctx.seed ^ (self.ctx.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Refuses a value longer than may be stored.
    pub fn check_len(&self, len: usize) -> Result<(), CommandError> {
        if len > self.value_bytes_max {
            Err(STRING_TOO_LONG)
        } else {
            Ok(())
        }
    }

    /// Bytes of the keys and values that the entry changes, each key once: they are held in memory
    /// and written as one batch. Small requests can make large values (`SETBIT`), so the caller
    /// bounds these bytes, and not those that are sent.
    #[must_use]
    pub fn changed_bytes(&self) -> usize {
        self.changed_bytes
    }

    /// Bytes of all changes, each time a key is changed: a measure of the time that they take.
    #[must_use]
    pub fn written_bytes(&self) -> usize {
        self.written_bytes
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

    /// Whether the last command was refused for its reply, having done nothing.
    #[must_use]
    pub fn reply_was_too_long(&self) -> bool {
        self.reply_bytes > self.reply_bytes_max
    }

    /// The longest value that may be stored.
    #[must_use]
    pub fn value_bytes_max(&self) -> usize {
        self.value_bytes_max
    }

    /// The record of a key, unless it is expired.
    pub fn get(&mut self, key: &Bytes) -> Result<Option<Record>, Fault> {
        self.get_in(self.table, key)
    }

    /// The same, in any table.
    pub fn get_in(&mut self, table: TableId, key: &Bytes) -> Result<Option<Record>, Fault> {
        let Some(record) = self.stored(table, key)? else {
            return Ok(None);
        };
        if self.is_live(&record) {
            return Ok(Some(record));
        }
        if self.writing {
            self.drop_expired(table, key.clone(), record.version);
        }
        Ok(None)
    }

    /// The record of a string key. Errors: `WRONG_TYPE`.
    pub fn string(&mut self, key: &Bytes) -> Result<Option<Record>, EvalError> {
        let record = self.get(key)?;
        // The match makes a new kind a compile error here, where it must become `WRONG_TYPE`.
        match record.as_ref().map(|record| record.kind) {
            Some(Kind::String) | None => Ok(record),
        }
    }

    /// Whether the record is there to commands. Notes it when only a later clock can say.
    pub fn is_live(&mut self, record: &Record) -> bool {
        let (clock, header) = (self.clock(), record.header());
        self.needs_tick |= clock.is_unsure(header);
        clock.is_live(header)
    }

    /// The clocks that decide whether a record is expired.
    pub(crate) fn clock(&self) -> Clock {
        Clock {
            now: self.ctx.now,
            read_now: self.ctx.read_now,
        }
    }

    /// Notes that a later clock must be committed before the replies count.
    pub(crate) fn ask_for_tick(&mut self) {
        self.needs_tick = true;
    }

    /// Stores a record under a new version; all else of it is kept.
    pub fn put(&mut self, key: Bytes, record: Record) {
        self.put_in(self.table, key, record);
    }

    /// The same, in any table.
    pub fn put_in(&mut self, table: TableId, key: Bytes, record: Record) {
        let version = self.take_version();
        self.store(table, key, Record { version, ..record });
    }

    /// Stores a string under a new version.
    pub fn put_string(&mut self, key: Bytes, value: Bytes, expires_at: Option<UnixMillis>) {
        let encoding = Encoding::when_set(&value);
        self.put_kept(key, value, encoding, expires_at);
    }

    /// Stores a string that was built in place, which Redis keeps as `raw`.
    pub fn put_raw(&mut self, key: Bytes, value: Bytes, expires_at: Option<UnixMillis>) {
        self.put_kept(key, value, Encoding::Raw, expires_at);
    }

    /// Stores a string under a new version, to be kept as `encoding` says.
    pub fn put_kept(
        &mut self,
        key: Bytes,
        value: Bytes,
        encoding: Encoding,
        expires_at: Option<UnixMillis>,
    ) {
        let record = Record {
            kind: Kind::String,
            version: self.take_version(),
            expires_at,
            kept: Some(encoding).filter(|kept| *kept != Encoding::when_set(&value)),
            value,
        };
        self.store(self.table, key, record);
    }

    /// Notes that a value is kept as `raw` from now on. No watcher needs to be told: the version
    /// stays.
    pub fn mark_raw(&mut self, key: &Bytes, record: Record) {
        if record.encoding() != Encoding::Raw {
            let kept = Some(Encoding::Raw);
            self.store(self.table, key.clone(), Record { kept, ..record });
        }
    }

    fn store(&mut self, table: TableId, key: Bytes, record: Record) {
        self.change(table, key, Some(record));
    }

    /// Puts a change into the overlay: every change of a key goes through here.
    fn change(&mut self, table: TableId, key: Bytes, record: Option<Record>) {
        let key_bytes = key.len();
        let bytes = |record: &Option<Record>| {
            key_bytes + record.as_ref().map_or(0, |record| record.value.len())
        };
        let added = bytes(&record);
        self.written_bytes = self.written_bytes.saturating_add(added);
        self.changed_bytes += added;
        let place = (table, key);
        let before = match &mut self.savepoint {
            None => self.overlay.insert(place, record),
            Some(savepoint) => {
                let before = self.overlay.insert(place.clone(), record);
                savepoint.note(place, before.clone());
                before
            }
        };
        self.changed_bytes -= before.as_ref().map_or(0, bytes);
    }

    /// Removes a key that is there.
    pub fn remove(&mut self, key: Bytes) {
        self.remove_in(self.table, key);
    }

    /// The same, in any table.
    pub fn remove_in(&mut self, table: TableId, key: Bytes) {
        self.take_change();
        self.note_removal(table, &key, self.ctx.next_change);
        self.change(table, key, None);
    }

    /// Deletes a record of this version, which is expired. No change: no command sees it. Who found
    /// the key absent before the record was made has missed it all the same.
    ///
    /// What another group made came with its range, and that counts for every key.
    pub(crate) fn drop_expired(&mut self, table: TableId, key: Bytes, version: Version) {
        if version.group == self.ctx.group {
            self.note_removal(table, &key, version.change + 1);
        }
        self.change(table, key, None);
    }

    fn note_removal(&mut self, table: TableId, key: &Bytes, touched: u64) {
        let key = key.clone();
        self.removals.push(Removal {
            table,
            key,
            touched,
        });
    }

    /// Whether the entry or the store says what the key holds: a record, or that it was removed.
    pub fn knows(&self, table: TableId, key: &Bytes) -> Result<bool, Fault> {
        let changed = self.overlay.contains_key(&(table, key.clone()));
        Ok(changed || self.is_cleared(table, key) || self.view.record(table, key)?.is_some())
    }

    /// Takes a record in as it is, version and all: no change, it was there before.
    pub fn import(&mut self, table: TableId, key: Bytes, record: Record) {
        self.store(table, key, record);
    }

    /// What this entry knows of the key's removal, even if it is there again, in the sense of
    /// [`Removal::touched`]; 0 if it has not removed it.
    pub(crate) fn last_removed(&self, table: TableId, key: &Bytes) -> u64 {
        let of_key = |removal: &&Removal| removal.table == table && removal.key == *key;
        let removals = self.removals.iter().filter(of_key);
        let cleared = self.is_cleared(table, key).then_some(self.cleared);
        let touched = removals.map(|removal| removal.touched).chain(cleared);
        touched.max().unwrap_or(0)
    }

    /// Removes every key of an interval.
    pub fn clear(&mut self, range: KeyRange) {
        self.take_change();
        let (savepoint, changed_bytes) = (&mut self.savepoint, &mut self.changed_bytes);
        self.overlay.retain(|(table, key), record| {
            if !range.contains(*table, key) {
                return true;
            }
            *changed_bytes -= key.len() + record.as_ref().map_or(0, |record| record.value.len());
            if let Some(savepoint) = savepoint {
                savepoint.note((*table, key.clone()), Some(record.take()));
            }
            false
        });
        self.clears.push(range);
        self.cleared = self.ctx.next_change;
    }

    /// The stored record, expired or not.
    pub(crate) fn stored(&self, table: TableId, key: &Bytes) -> Result<Option<Record>, Fault> {
        // Most entries look a key up before they change anything: spare them the search.
        if !self.overlay.is_empty()
            && let Some(record) = self.overlay.get(&(table, key.clone()))
        {
            return Ok(record.clone());
        }
        if self.is_cleared(table, key) {
            return Ok(None);
        }
        self.view.record(table, key)
    }

    fn is_cleared(&self, table: TableId, key: &[u8]) -> bool {
        self.clears.iter().any(|range| range.contains(table, key))
    }

    fn take_version(&mut self) -> Version {
        Version {
            group: self.ctx.group,
            change: self.take_change(),
        }
    }

    fn take_change(&mut self) -> u64 {
        let change = self.ctx.next_change;
        self.ctx.next_change += 1;
        change
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use crate::MemView;

    pub(super) const T: TableId = TableId(0);

    pub(super) fn ctx(now: u64) -> Context {
        Context {
            group: GroupId(1),
            now: UnixMillis(now),
            read_now: None,
            seed: 7,
            next_change: 1,
        }
    }

    pub(super) fn b(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    pub(super) fn view_of(keys: &[(&'static str, Option<u64>)]) -> MemView {
        let mut view = MemView::new();
        let mut txn = Txn::new(&view, ctx(0));
        for (key, expires_at) in keys {
            txn.put_string(b(key), b("old"), expires_at.map(UnixMillis));
        }
        let changes = txn.finish();
        view.apply(&changes);
        view
    }

    #[test]
    fn an_expired_record_is_absent_and_only_a_write_drops_it() {
        let view = view_of(&[("k", Some(10))]);
        let mut txn = Txn::new(&view, ctx(9));
        assert!(txn.get(&b("k")).unwrap().is_some());
        let mut txn = Txn::new(&view, ctx(10));
        assert!(txn.get(&b("k")).unwrap().is_none());
        assert!(txn.finish().records.is_empty());
        let mut txn = Txn::new(&view, ctx(10));
        txn.set_writing(true);
        assert!(txn.get(&b("k")).unwrap().is_none());
        let changes = txn.finish();
        assert_eq!(changes.records.get(&(T, b("k"))), Some(&None));
        assert_eq!(changes.next_change, 1);
    }

    #[test]
    fn a_record_between_the_two_clocks_asks_for_a_tick() {
        let view = view_of(&[("k", Some(10))]);
        let mut txn = Txn::new(
            &view,
            Context {
                read_now: Some(UnixMillis(9)),
                ..ctx(5)
            },
        );
        assert!(txn.get(&b("k")).unwrap().is_some() && !txn.needs_tick());
        let mut txn = Txn::new(
            &view,
            Context {
                read_now: Some(UnixMillis(10)),
                ..ctx(5)
            },
        );
        txn.get(&b("k")).unwrap();
        assert!(txn.needs_tick());
    }

    #[test]
    fn every_change_has_its_own_number() {
        let view = MemView::new();
        let mut txn = Txn::new(&view, ctx(1));
        txn.put_string(b("a"), b("1"), None);
        txn.put_string(b("b"), b("1"), None);
        txn.remove(b("a"));
        let changes = txn.finish();
        assert_eq!(changes.next_change, 4);
        let version = changes.records[&(T, b("b"))].as_ref().unwrap().version;
        assert_eq!(
            version,
            Version {
                group: GroupId(1),
                change: 2
            }
        );
    }
}
