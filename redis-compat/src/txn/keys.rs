//! Records by key: get, put, remove, expiry, and the bookkeeping of `WATCH`.
//!
//! The handles of the types are built on this layer (`string/value.rs`, `key/value.rs`), and no
//! command: commands see no record. A command may touch the keys of its scope. The functions for
//! the group itself (`import`, `knows`, those of `WATCH`) say that they have no scope.

use bytes::Bytes;
use coterie_types::{TableId, UnixMillis, Version};

use super::Txn;
use super::spread::SpreadHeader;
use crate::{Classes, CommandError, Encoding, EvalError, Fault, Kind, Record};

/// The versions that tell whether a key that somebody watches was touched.
pub(crate) struct Watched {
    /// That of the stored record, even if it is expired.
    pub(crate) stored: Option<Version>,
    /// That of the record, if commands see it.
    pub(crate) live: Option<Version>,
}

impl Txn<'_> {
    /// The record of a key in the command's table, unless it is expired. Errors: `UNDECLARED_KEY`.
    pub fn record(&mut self, key: &Bytes) -> Result<Option<Record>, EvalError> {
        self.record_in(self.table, key)
    }

    /// The same, in any table.
    pub(crate) fn record_in(
        &mut self,
        table: TableId,
        key: &Bytes,
    ) -> Result<Option<Record>, EvalError> {
        self.scope.check(table, key)?;
        Ok(self.live(table, key)?)
    }

    /// The record of a key whose name the command learned while it ran. Errors: `UNDECLARED_KEY`.
    pub(crate) fn named_record(&mut self, key: &Bytes) -> Result<Option<Record>, EvalError> {
        self.scope.check_named(self.table, key)?;
        Ok(self.live(self.table, key)?)
    }

    /// Stores a record under a new version. Errors: `UNDECLARED_KEY`.
    pub(crate) fn put_record(
        &mut self,
        table: TableId,
        key: Bytes,
        record: Record,
    ) -> Result<(), CommandError> {
        self.scope.check(table, &key)?;
        self.notify_new(table, &key);
        let version = self.state.take_version();
        self.state
            .change(table, key, Some(Record { version, ..record }));
        Ok(())
    }

    /// Stores a value under a key of the command's table and a new version. Errors:
    /// `UNDECLARED_KEY`.
    pub(crate) fn put_new(
        &mut self,
        key: Bytes,
        kind: Kind,
        value: Bytes,
        kept: Option<Encoding>,
        expires_at: Option<UnixMillis>,
    ) -> Result<(), CommandError> {
        self.scope.check(self.table, &key)?;
        self.notify_new(self.table, &key);
        let record = Record {
            kind,
            version: self.state.take_version(),
            expires_at,
            kept,
            is_spread: false,
            value,
        };
        self.state.change(self.table, key, Some(record));
        Ok(())
    }

    /// Stores the header of a spread collection under a key of the command's table and a new
    /// version. Errors: `UNDECLARED_KEY`.
    pub(crate) fn put_header(
        &mut self,
        key: Bytes,
        kind: Kind,
        header: &SpreadHeader,
        kept: Option<Encoding>,
        expires_at: Option<UnixMillis>,
    ) -> Result<(), CommandError> {
        self.scope.check(self.table, &key)?;
        self.notify_new(self.table, &key);
        let record = Record {
            kind,
            version: self.state.take_version(),
            expires_at,
            kept,
            is_spread: true,
            value: header.encode(),
        };
        self.state.change(self.table, key, Some(record));
        Ok(())
    }

    /// Stores a record that differs in nothing that a command but `OBJECT ENCODING` sees: no
    /// watcher needs to be told, and the version stays. Errors: `UNDECLARED_KEY`.
    pub(crate) fn put_same(&mut self, key: Bytes, record: Record) -> Result<(), CommandError> {
        self.scope.check(self.table, &key)?;
        self.state.change(self.table, key, Some(record));
        Ok(())
    }

    /// Removes a key that is there, which is the event `del`. A command that takes the last element
    /// of a key says so before it stores the rest. Errors: `UNDECLARED_KEY`.
    pub fn remove(&mut self, key: Bytes) -> Result<(), CommandError> {
        self.scope.check(self.table, &key)?;
        self.notify(Classes::GENERIC, "del", &key);
        self.remove_moved(key)
    }

    /// The same for a command that has another name for it. Errors: `UNDECLARED_KEY`.
    pub(crate) fn remove_moved(&mut self, key: Bytes) -> Result<(), CommandError> {
        self.scope.check(self.table, &key)?;
        self.state.take_change();
        let touched = self.state.ctx.next_change;
        self.state.note_removal(self.table, &key, touched);
        self.state.change(self.table, key, None);
        Ok(())
    }

    /// Deletes the record of a key if it is expired by the applied clock, or all of its members are
    /// past their deadlines; returns whether it was. Errors: `UNDECLARED_KEY`.
    pub(crate) fn remove_if_expired(&mut self, key: &Bytes) -> Result<bool, EvalError> {
        self.scope.check(self.table, key)?;
        let (table, now) = (self.table, self.now());
        let Some(record) = self.state.stored(table, key)? else {
            return Ok(false);
        };
        let is_over = record.is_expired(now) || self.has_ended(table, key, &record)?;
        if is_over {
            self.notify_expired(table, key, &record);
            self.drop_expired(table, key.clone(), record.version);
        }
        Ok(is_over)
    }

    /// Takes a record in as it is, version and all: no change, it was there before. For the group:
    /// no scope.
    pub fn import(&mut self, table: TableId, key: Bytes, record: Record) {
        self.state.change(table, key, Some(record));
    }

    /// Whether the entry or the store knows the key: it has a record, or was removed. For the
    /// group: no scope.
    pub fn knows(&self, table: TableId, key: &Bytes) -> Result<bool, Fault> {
        let state = &self.state;
        let changed = state.overlay.contains_key(&(table, key.clone()));
        Ok(changed || state.is_cleared(table, key) || state.view.record(table, key)?.is_some())
    }

    /// The versions of a key that a transaction watches. For the group: no scope.
    pub(crate) fn watched(&mut self, table: TableId, key: &Bytes) -> Result<Watched, Fault> {
        let stored = self.state.stored(table, key)?;
        let live = match &stored {
            Some(record) if !self.state.is_live(record) => None,
            Some(record) if self.has_ended(table, key, record)? => None,
            other => other.as_ref().map(|record| record.version),
        };
        Ok(Watched {
            stored: stored.as_ref().map(|record| record.version),
            live,
        })
    }

    /// The latest removal of the key in this entry, even if it is there again, in the sense of
    /// [`crate::Removal::touched`]; 0 if the entry has not removed it. For the group: no scope.
    pub(crate) fn last_removed(&self, table: TableId, key: &Bytes) -> u64 {
        let state = &self.state;
        let removals = state.removals.iter();
        let of_key = removals.filter(|removal| removal.table == table && removal.key == *key);
        let cleared = state.is_cleared(table, key).then_some(state.cleared);
        let touched = of_key.map(|removal| removal.touched).chain(cleared);
        touched.max().unwrap_or(0)
    }

    fn live(&mut self, table: TableId, key: &Bytes) -> Result<Option<Record>, Fault> {
        let Some(record) = self.state.stored(table, key)? else {
            if !self.writing {
                self.notify_in(table, Classes::KEY_MISS, "keymiss", key);
            }
            return Ok(None);
        };
        if self.state.is_live(&record) && !self.has_ended(table, key, &record)? {
            return Ok(Some(record));
        }
        if self.writing {
            self.notify_expired(table, key, &record);
            self.drop_expired(table, key.clone(), record.version);
        } else {
            self.notify_in(table, Classes::KEY_MISS, "keymiss", key);
        }
        Ok(None)
    }

    /// A key is about to be stored: the event `new` if it is absent, and before it `expired` if an
    /// expired record is overwritten that no command has met. Changes nothing.
    fn notify_new(&mut self, table: TableId, key: &Bytes) {
        const ANY: Classes = Classes::NEW.and(Classes::EXPIRED);
        if !self.state.classes.has(ANY) {
            return;
        }
        // A store that cannot be read stops the replica soon enough.
        let Ok(stored) = self.state.stored(table, key) else {
            return;
        };
        let is_live = |record: &Record| self.state.clock().is_live(record.header());
        match stored {
            Some(record) if is_live(&record) => return,
            Some(record) => self.notify_expired(table, key, &record),
            None => {}
        }
        self.notify_in(table, Classes::NEW, "new", key);
    }

    /// A key is about to be stored by a command that, in Redis, takes an old value away first: the
    /// event is `new` though the key is there. Changes nothing.
    pub(crate) fn notify_replaced(&mut self, table: TableId, key: &Bytes) {
        if !self.state.classes.has(Classes::NEW) {
            return;
        }
        // A store that cannot be read stops the replica soon enough.
        if let Ok(Some(record)) = self.state.stored(table, key)
            && self.state.clock().is_live(record.header())
        {
            self.notify_in(table, Classes::NEW, "new", key);
        }
    }

    /// An expired record is about to go, or one whose fields or members all are past their
    /// deadlines.
    fn notify_expired(&mut self, table: TableId, key: &Bytes, record: &Record) {
        if record.is_expired(self.now()) {
            return self.notify_in(table, Classes::EXPIRED, "expired", key);
        }
        if record.kind == Kind::Hash {
            self.notify_in(table, Classes::HASH, "hexpired", key);
        }
        self.notify_in(table, Classes::GENERIC, "del", key);
    }

    /// Deletes a record of this version, which is expired. No change: no command sees it. A client
    /// that found the key absent before the record was made has missed it all the same.
    ///
    /// A record of another group came with its range, and that counts for every key.
    fn drop_expired(&mut self, table: TableId, key: Bytes, version: Version) {
        if version.group == self.state.ctx.group {
            self.state.note_removal(table, &key, version.change + 1);
        }
        self.state.change(table, key, None);
    }
}

#[cfg(test)]
mod tests {
    use coterie_types::GroupId;

    use super::super::tests::{T, b, ctx, view_of};
    use super::*;
    use crate::{Context, MemView};

    #[test]
    fn an_expired_record_is_absent_and_only_a_write_drops_it() {
        let view = view_of(&[("k", Some(10))]);
        let mut txn = Txn::new(&view, ctx(9));
        assert!(txn.record(&b("k")).unwrap().is_some());
        let mut txn = Txn::new(&view, ctx(10));
        assert!(txn.record(&b("k")).unwrap().is_none());
        assert!(txn.finish().unwrap().records.is_empty());
        let mut txn = Txn::new(&view, ctx(10));
        txn.writing = true;
        assert!(txn.record(&b("k")).unwrap().is_none());
        let changes = txn.finish().unwrap();
        assert_eq!(changes.records.get(&(T, b("k"))), Some(&None));
        assert_eq!(changes.next_change, 1);
    }

    #[test]
    fn a_record_between_the_two_clocks_asks_for_a_tick() {
        let view = view_of(&[("k", Some(10))]);
        let reading_at = |now| Context {
            read_now: Some(UnixMillis(now)),
            ..ctx(5)
        };
        let mut txn = Txn::new(&view, reading_at(9));
        assert!(txn.record(&b("k")).unwrap().is_some() && !txn.needs_tick());
        let mut txn = Txn::new(&view, reading_at(10));
        txn.record(&b("k")).unwrap();
        assert!(txn.needs_tick());
    }

    #[test]
    fn every_change_has_its_own_number() {
        let view = MemView::new();
        let mut txn = Txn::new(&view, ctx(1));
        txn.put_string(b("a"), b("1"), None).unwrap();
        txn.put_string(b("b"), b("1"), None).unwrap();
        txn.remove(b("a")).unwrap();
        let changes = txn.finish().unwrap();
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
