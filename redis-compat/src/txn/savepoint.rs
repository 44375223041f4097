//! Taking back the last changes of an entry: those of a transaction that does not fit into it.
//!
//! A savepoint keeps, for each key that is changed after it, the change that the key had before;
//! of the rest of the state it keeps a copy. So its memory is bounded by that of the changes.

use std::collections::BTreeMap;

use bytes::Bytes;
use coterie_types::TableId;

use super::Txn;
use crate::{Context, Record};

/// A place in the overlay.
type Place = (TableId, Bytes);
/// A change in the overlay: a record, or that there is none.
type Change = Option<Record>;

/// The state of an entry at some moment.
pub(super) struct Savepoint {
    /// The overlay's entry at each place that was changed since; `None` where it had none.
    before: BTreeMap<Place, Option<Change>>,
    ctx: Context,
    needs_tick: bool,
    clears: usize,
    cleared: u64,
    removals: usize,
    changed_bytes: usize,
}

impl Savepoint {
    /// Notes a change: the first change of a place counts.
    pub(super) fn note(&mut self, place: Place, before: Option<Change>) {
        self.before.entry(place).or_insert(before);
    }
}

impl Txn<'_> {
    /// From here on changes can be taken back, until [`Txn::roll_back`] or [`Txn::keep_changes`].
    /// There is at most a single savepoint.
    pub fn set_savepoint(&mut self) {
        self.savepoint = Some(Savepoint {
            before: BTreeMap::new(),
            ctx: self.ctx,
            needs_tick: self.needs_tick,
            clears: self.clears.len(),
            cleared: self.cleared,
            removals: self.removals.len(),
            changed_bytes: self.changed_bytes,
        });
    }

    /// Takes all changes since the savepoint back, chance and change numbers included. The bytes
    /// that were written stay counted: they took their time.
    pub fn roll_back(&mut self) {
        let Some(savepoint) = self.savepoint.take() else {
            return;
        };
        for (place, before) in savepoint.before {
            match before {
                Some(change) => drop(self.overlay.insert(place, change)),
                None => drop(self.overlay.remove(&place)),
            }
        }
        self.ctx = savepoint.ctx;
        self.needs_tick = savepoint.needs_tick;
        self.clears.truncate(savepoint.clears);
        self.cleared = savepoint.cleared;
        self.removals.truncate(savepoint.removals);
        self.changed_bytes = savepoint.changed_bytes;
    }

    /// The changes since the savepoint stay.
    pub fn keep_changes(&mut self) {
        self.savepoint = None;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use coterie_types::KeyRange;

    use super::super::tests::{T, b, ctx, view_of};
    use super::*;

    fn all() -> KeyRange {
        KeyRange {
            table: T,
            start: Bytes::new(),
            end: None,
        }
    }

    #[test]
    fn what_was_changed_after_the_savepoint_is_taken_back() {
        let view = view_of(&[("a", None), ("b", None)]);
        let begin = || {
            let mut txn = Txn::new(&view, ctx(1));
            txn.put_string(b("a"), b("1"), None);
            txn.remove(b("b"));
            txn.random();
            txn
        };
        let mut txn = begin();
        txn.set_savepoint();
        txn.put_string(b("a"), b("22"), None);
        txn.put_string(b("a"), b("333"), None);
        txn.put_string(b("b"), b("1"), None);
        txn.remove(b("a"));
        txn.put_string(b("c"), b("1"), None);
        txn.clear(all());
        txn.put_string(b("d"), b("1"), None);
        txn.put_string(b("a"), b("4"), None);
        txn.random();
        txn.roll_back();
        let mut expected = begin();
        assert_eq!(txn.changed_bytes(), expected.changed_bytes());
        assert!(txn.written_bytes() > expected.written_bytes());
        assert_eq!(txn.random(), expected.random());
        assert_eq!(txn.finish(), expected.finish());
    }

    #[test]
    fn what_is_kept_is_not_taken_back() {
        let view = view_of(&[]);
        let mut txn = Txn::new(&view, ctx(1));
        txn.set_savepoint();
        txn.put_string(b("a"), b("1"), None);
        txn.keep_changes();
        txn.roll_back();
        assert!(txn.get(&b("a")).unwrap().is_some());
    }

    #[test]
    fn a_key_that_is_written_often_counts_once_and_with_its_last_size() {
        let view = view_of(&[("old", None)]);
        let mut txn = Txn::new(&view, ctx(1));
        for _ in 0..9 {
            txn.put_string(b("k"), b("0123456789"), None);
        }
        assert_eq!((txn.changed_bytes(), txn.written_bytes()), (11, 99));
        txn.put_string(b("k"), b("0"), None);
        assert_eq!(txn.changed_bytes(), 2);
        txn.remove(b("k"));
        txn.remove(b("old"));
        assert_eq!(txn.changed_bytes(), 1 + 3);
        txn.clear(all());
        assert_eq!(txn.changed_bytes(), 0);
    }
}
