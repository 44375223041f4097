//! The scope of a command: the keys, or the interval of keys, that it may touch.
//!
//! Its row declares them (`execute.rs`). The group has checked that it owns these, and no others.
//! Records of ranges that have left may still lie in the store, frozen or half removed. So
//! a command that touches another key is refused: it must not see these records. All replicas
//! refuse alike.
//!
//! Commands over all keys (`KEYS`, `SCAN`, `DBSIZE`, `FLUSHDB`, `RANDOMKEY`) declare an interval
//! ([`Command::over_interval`](crate::Command)), and may touch no single key.

use std::sync::Arc;

use bytes::Bytes;
use coterie_types::{KeyRange, TableId};

use crate::CommandError;
use crate::changes::Place;
use crate::errors::UNDECLARED_KEY;

/// The keys that may be touched.
#[derive(Default)]
pub(crate) struct Scope {
    /// No command is under way: the caller answers for the keys that it names.
    is_open: bool,
    /// The first key that was declared. Most commands declare no other, and need no memory.
    first: Option<Place>,
    more: Vec<Place>,
    /// The place in `more` where the next search begins.
    next: usize,
    interval: Option<KeyRange>,
    /// Ranges whose keys may be read by a command that learns their names while it runs.
    whole: Arc<[KeyRange]>,
}

impl Scope {
    /// The scope outside of commands.
    pub(super) fn open() -> Self {
        Self {
            is_open: true,
            ..Self::default()
        }
    }

    /// From here on the key may be touched.
    pub(crate) fn add_key(&mut self, table: TableId, key: &Bytes) {
        let place = (table, key.clone());
        match self.first {
            None => self.first = Some(place),
            Some(_) => self.more.push(place),
        }
    }

    /// From here on the interval may be walked over and cleared, and no other.
    pub(crate) fn set_interval(&mut self, interval: KeyRange) {
        self.interval = Some(interval);
    }

    /// The command is over.
    pub(super) fn reopen(&mut self) {
        self.clear();
        self.is_open = true;
    }

    /// From here on no key may be touched.
    pub(crate) fn clear(&mut self) {
        self.is_open = false;
        self.first = None;
        self.more.clear();
        self.next = 0;
        self.interval = None;
    }

    /// Errors: `UNDECLARED_KEY`. Keys that come in the order in which they were declared are found
    /// at once, however many there are.
    pub(super) fn check(&mut self, table: TableId, key: &[u8]) -> Result<(), CommandError> {
        let is_key = |place: &Place| place.0 == table && place.1 == key;
        if self.is_open || self.first.as_ref().is_some_and(is_key) {
            return Ok(());
        }
        let (before, from) = self.more.split_at(self.next.min(self.more.len()));
        let ahead = from.iter().position(is_key).map(|at| self.next + at);
        let found = ahead.or_else(|| before.iter().position(is_key));
        self.next = found.ok_or(UNDECLARED_KEY)?;
        Ok(())
    }

    /// See [`Txn::set_whole_ranges`](super::Txn::set_whole_ranges).
    pub(super) fn set_whole_ranges(&mut self, ranges: Arc<[KeyRange]>) {
        self.whole = ranges;
    }

    /// The same for a key to read that the command learned while it ran. Errors: `UNDECLARED_KEY`.
    pub(super) fn check_named(&mut self, table: TableId, key: &[u8]) -> Result<(), CommandError> {
        let mut whole = self.whole.iter();
        if whole.any(|range| range.contains(table, key)) {
            return Ok(());
        }
        self.check(table, key)
    }

    /// Whether a command may touch the key.
    pub(super) fn declares(&self, table: TableId, key: &[u8]) -> bool {
        let is_key = |place: &Place| place.0 == table && place.1 == key;
        let has = |range: &KeyRange| range.contains(table, key);
        self.is_open
            || self.first.as_ref().is_some_and(is_key)
            || self.more.iter().any(is_key)
            || self.interval.as_ref().is_some_and(has)
    }

    /// Errors: `UNDECLARED_KEY`, if the interval has keys outside of the scope.
    pub(super) fn check_interval(&self, bounds: &KeyRange) -> Result<(), CommandError> {
        let declared = self.interval.as_ref();
        let covers = |declared: &KeyRange| bounds.is_empty() || declared.contains_range(bounds);
        if self.is_open || declared.is_some_and(covers) {
            Ok(())
        } else {
            Err(UNDECLARED_KEY)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::declare;
    use crate::resolve;
    use crate::txn::tests::b;

    fn scope(line: &str) -> Scope {
        let words = line.split(' ');
        let words: Vec<_> = words
            .map(|word| Bytes::copy_from_slice(word.as_bytes()))
            .collect();
        let mut scope = Scope::open();
        scope.clear();
        declare(&mut scope, resolve(&words).unwrap(), TableId(0), &words);
        scope
    }

    fn interval(start: &'static str, end: &'static str) -> KeyRange {
        KeyRange {
            table: TableId(0),
            start: b(start),
            end: Some(b(end)),
        }
    }

    #[test]
    fn declared_keys_are_found_in_any_order_and_no_others() {
        let mut scope = scope("mset a 1 b 2 c 3 d 4");
        for key in ["a", "b", "c", "d", "a", "d", "b", "b", "c"] {
            assert_eq!(scope.check(TableId(0), key.as_bytes()), Ok(()), "{key}");
        }
        for key in ["1", "mset", "e", ""] {
            let checked = scope.check(TableId(0), key.as_bytes());
            assert_eq!(checked, Err(UNDECLARED_KEY), "{key}");
        }
        assert!(scope.check(TableId(1), b"a").is_err(), "another table");
        assert!(scope.check_interval(&interval("a", "b")).is_err());
        scope.reopen();
        assert_eq!(scope.check(TableId(1), b"e"), Ok(()));
        assert_eq!(scope.check_interval(&interval("a", "b")), Ok(()));
    }

    #[test]
    fn words_may_declare_a_key_of_another_table() {
        let mut scope = scope("copy a b db 3");
        assert_eq!(scope.check(TableId(0), b"a"), Ok(()));
        assert_eq!(scope.check(TableId(3), b"b"), Ok(()));
        assert!(scope.check(TableId(0), b"b").is_err());
        assert!(scope.check(TableId(3), b"a").is_err());
    }

    #[test]
    fn an_interval_covers_what_lies_in_it_and_no_single_key() {
        let mut scope = scope("_count b d");
        assert_eq!(scope.check_interval(&interval("b", "d")), Ok(()));
        assert_eq!(scope.check_interval(&interval("ba", "c")), Ok(()));
        assert_eq!(scope.check_interval(&interval("z", "a")), Ok(()), "no key");
        for (start, end) in [("a", "c"), ("c", "da"), ("a", "z")] {
            assert!(scope.check_interval(&interval(start, end)).is_err());
        }
        assert!(scope.check(TableId(0), b"c").is_err());
    }
}
