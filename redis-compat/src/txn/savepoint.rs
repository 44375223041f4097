//! Savepoints: what an entry needs to take its last changes back.
//!
//! A command that writes has a savepoint, so that it leaves no trace when it fails half-way
//! (`execute.rs`). A transaction that may not fit into its entry has a savepoint around those of
//! its commands. So they nest. `state.rs` sets them and goes back to them.
//!
//! A savepoint keeps, for each key that is changed after it, the change that the key had before;
//! of the rest of the state it keeps a copy. So its memory is bounded by that of the changes,
//! however often a key is changed.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::orders::Mark;
use crate::changes::{Change, Place};
use crate::{Context, ElementPlace};

/// The state of an entry at some moment.
pub(super) struct Savepoint {
    pub(super) before: Before<Place, Change>,
    pub(super) elements_before: Before<ElementPlace, Option<Bytes>>,
    pub(super) orders: Mark,
    pub(super) ctx: Context,
    pub(super) needs_tick: bool,
    pub(super) clears: usize,
    pub(super) cleared: u64,
    pub(super) removals: usize,
    pub(super) events: usize,
    pub(super) changed_bytes: usize,
}

/// An overlay's entry at each place that was changed since; `None` where it had none.
pub(super) struct Before<P, C> {
    /// Most commands change a single key, and need no memory here.
    first: Option<(P, Option<C>)>,
    more: BTreeMap<P, Option<C>>,
}

impl<P, C> Default for Before<P, C> {
    fn default() -> Self {
        Self {
            first: None,
            more: BTreeMap::new(),
        }
    }
}

impl<P: Ord, C> Before<P, C> {
    /// Notes a change: the first change of a place counts.
    pub(super) fn note(&mut self, place: P, before: Option<C>) {
        match &self.first {
            None => self.first = Some((place, before)),
            Some((first, _)) if *first == place => {}
            Some(_) => drop(self.more.entry(place).or_insert(before)),
        }
    }

    pub(super) fn into_all(self) -> impl Iterator<Item = (P, Option<C>)> {
        self.first.into_iter().chain(self.more)
    }

    /// Takes the overlay back to its entries of before.
    pub(super) fn restore(self, overlay: &mut BTreeMap<P, C>) {
        for (place, before) in self.into_all() {
            match before {
                Some(change) => drop(overlay.insert(place, change)),
                None => drop(overlay.remove(&place)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use coterie_types::KeyRange;

    use super::super::tests::{T, b, ctx, view_of};
    use crate::Txn;

    fn all() -> KeyRange {
        KeyRange {
            table: T,
            start: Bytes::new(),
            end: None,
        }
    }

    fn put(txn: &mut Txn<'_>, key: &'static str, value: &'static str) {
        txn.put_string(b(key), b(value), None).unwrap();
    }

    fn remove(txn: &mut Txn<'_>, key: &'static str) {
        txn.remove(b(key)).unwrap();
    }

    #[test]
    fn what_was_changed_after_the_savepoint_is_taken_back() {
        let view = view_of(&[("a", None), ("b", None)]);
        let begin = || {
            let mut txn = Txn::new(&view, ctx(1));
            put(&mut txn, "a", "1");
            remove(&mut txn, "b");
            txn.random();
            txn
        };
        let mut txn = begin();
        txn.set_savepoint();
        put(&mut txn, "a", "22");
        put(&mut txn, "a", "333");
        put(&mut txn, "b", "1");
        remove(&mut txn, "a");
        put(&mut txn, "c", "1");
        txn.clear(all()).unwrap();
        put(&mut txn, "d", "1");
        put(&mut txn, "a", "4");
        txn.random();
        txn.roll_back();
        let mut expected = begin();
        assert_eq!(txn.changed_bytes(), expected.changed_bytes());
        assert!(txn.written_bytes() > expected.written_bytes());
        assert_eq!(txn.random(), expected.random());
        assert_eq!(txn.finish().unwrap(), expected.finish().unwrap());
    }

    #[test]
    fn what_is_kept_is_not_taken_back() {
        let view = view_of(&[]);
        let mut txn = Txn::new(&view, ctx(1));
        txn.set_savepoint();
        put(&mut txn, "a", "1");
        txn.keep_changes();
        txn.roll_back();
        assert!(txn.record(&b("a")).unwrap().is_some());
    }

    #[test]
    fn an_inner_savepoint_is_taken_back_alone_or_with_the_outer() {
        let view = view_of(&[("a", None), ("b", None)]);
        let mut txn = Txn::new(&view, ctx(1));
        txn.set_savepoint();
        put(&mut txn, "a", "outer");
        txn.set_savepoint();
        put(&mut txn, "a", "inner");
        put(&mut txn, "c", "inner");
        txn.roll_back();
        assert_eq!(txn.string_bytes(&b("a")).unwrap(), "outer");
        assert_eq!(txn.string_bytes(&b("c")).unwrap(), "");
        txn.set_savepoint();
        put(&mut txn, "a", "inner");
        put(&mut txn, "b", "inner");
        remove(&mut txn, "b");
        put(&mut txn, "c", "inner");
        txn.keep_changes();
        assert_eq!(txn.string_bytes(&b("a")).unwrap(), "inner");
        txn.roll_back();
        assert_eq!(txn.string_bytes(&b("a")).unwrap(), "old");
        assert_eq!(txn.string_bytes(&b("b")).unwrap(), "old");
        let untouched = Txn::new(&view, ctx(1));
        assert_eq!(txn.changed_bytes(), 0);
        assert_eq!(txn.finish().unwrap(), untouched.finish().unwrap());
    }

    #[test]
    fn a_key_that_is_written_often_counts_once_and_with_its_last_size() {
        let view = view_of(&[("old", None)]);
        let mut txn = Txn::new(&view, ctx(1));
        for _ in 0..9 {
            put(&mut txn, "k", "0123456789");
        }
        assert_eq!((txn.changed_bytes(), txn.written_bytes()), (11, 99));
        put(&mut txn, "k", "0");
        assert_eq!(txn.changed_bytes(), 2);
        remove(&mut txn, "k");
        remove(&mut txn, "old");
        assert_eq!(txn.changed_bytes(), 1 + 3);
        txn.clear(all()).unwrap();
        assert_eq!(txn.changed_bytes(), 0);
    }
}
