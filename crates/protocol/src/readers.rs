//! The readers of keys, to be told of changes: the table behind client-side caching.
//!
//! A server keeps the links of proxies in it, a proxy the numbers of its clients. A reader of
//! a key is added as a holder of it; a change takes the holders out, and they are told. A key that
//! has to go for lack of room is handed out in the same way, the oldest first: its holders are told
//! too, since they would miss the next change. So a holder is told of every key that it
//! was added for, or the key is still here.
//!
//! Pure. Its owner keeps the bounds.

use std::collections::BTreeMap;

use bytes::Bytes;
use coterie_types::{KeyRange, TableId};

/// Bytes that a key takes beside its own.
const KEY_BYTES: usize = 160;
/// Bytes that a holder of a key takes.
const HOLDER_BYTES: usize = 24;

/// A key in its table.
pub type Key = (TableId, Bytes);

/// The holders of a key, by number, each with a value of the owner of the table.
pub type Holders<V> = Vec<(u64, V)>;

/// See the module's head.
#[derive(Debug)]
pub struct Readers<V> {
    keys: BTreeMap<Key, Entry<V>>,
    /// The keys in the order in which they came.
    turns: BTreeMap<u64, Key>,
    next_turn: u64,
    pairs: usize,
    key_bytes: usize,
}

#[derive(Debug)]
struct Entry<V> {
    turn: u64,
    /// Sorted by number.
    holders: Holders<V>,
}

impl<V> Default for Readers<V> {
    fn default() -> Self {
        Self {
            keys: BTreeMap::new(),
            turns: BTreeMap::new(),
            next_turn: 0,
            pairs: 0,
            key_bytes: 0,
        }
    }
}

impl<V> Readers<V> {
    /// How many keys there are.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// How many holders of a key there are, over all keys.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// Bytes of memory, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.key_bytes + self.keys.len() * KEY_BYTES + self.pairs * HOLDER_BYTES
    }

    /// Adds a holder of a key, or replaces its value.
    pub fn add(&mut self, table: TableId, key: &Bytes, holder: u64, value: V) {
        let place = (table, key.clone());
        if let Some(entry) = self.keys.get_mut(&place) {
            match entry.holders.binary_search_by_key(&holder, |(at, _)| *at) {
                Ok(at) => entry.holders[at].1 = value,
                Err(at) => {
                    entry.holders.insert(at, (holder, value));
                    self.pairs += 1;
                }
            }
            return;
        }
        // A copy, so that a key does not keep the buffer it was read into.
        let place = (table, Bytes::copy_from_slice(key));
        let turn = self.next_turn;
        self.next_turn += 1;
        self.key_bytes += key.len();
        self.pairs += 1;
        self.turns.insert(turn, place.clone());
        let holders = vec![(holder, value)];
        self.keys.insert(place, Entry { turn, holders });
    }

    /// Takes the holders of a key out.
    pub fn take(&mut self, table: TableId, key: &Bytes) -> Holders<V> {
        let place = (table, key.clone());
        match self.keys.remove(&place) {
            Some(entry) => self.removed(&place, entry),
            None => Vec::new(),
        }
    }

    /// Shows the holders of a key and their values. Those that `keeps` refuses are taken out and
    /// returned.
    pub fn take_unless(
        &mut self,
        table: TableId,
        key: &Bytes,
        keeps: impl FnMut(u64, &mut V) -> bool,
    ) -> Holders<V> {
        let place = (table, key.clone());
        let Some(entry) = self.keys.get_mut(&place) else {
            return Vec::new();
        };
        let taken = split(&mut entry.holders, keeps);
        self.pairs -= taken.len();
        if entry.holders.is_empty() {
            self.forget(&place);
        }
        taken
    }

    /// Takes out the key that came first.
    pub fn pop_first(&mut self) -> Option<(Key, Holders<V>)> {
        let place = self.turns.first_key_value()?.1.clone();
        let entry = self.keys.remove(&place)?;
        let holders = self.removed(&place, entry);
        Some((place, holders))
    }

    /// Takes out the keys of an interval.
    pub fn take_in(&mut self, range: &KeyRange) -> Vec<(Key, Holders<V>)> {
        let start = (range.table, range.start.clone());
        let inside = self.keys.range(start..);
        let inside = inside.map(|(key, _)| key);
        let inside = inside.take_while(|(table, key)| {
            *table == range.table && range.end.as_ref().is_none_or(|end| key < end)
        });
        let inside: Vec<Key> = inside.cloned().collect();
        let taken = inside.into_iter().map(|place| {
            let holders = self.take(place.0, &place.1);
            (place, holders)
        });
        taken.collect()
    }

    /// Takes out every holder of a key that `keeps` refuses.
    pub fn take_all_unless(
        &mut self,
        mut keeps: impl FnMut(&Key, u64, &V) -> bool,
    ) -> Vec<(Key, Holders<V>)> {
        let mut taken = Vec::new();
        let mut empty = Vec::new();
        for (place, entry) in &mut self.keys {
            let out = split(&mut entry.holders, |holder, value| {
                keeps(place, holder, value)
            });
            self.pairs -= out.len();
            if entry.holders.is_empty() {
                empty.push(place.clone());
            }
            if !out.is_empty() {
                taken.push((place.clone(), out));
            }
        }
        for place in empty {
            self.forget(&place);
        }
        taken
    }

    /// Books a key that was removed out.
    fn removed(&mut self, place: &Key, entry: Entry<V>) -> Holders<V> {
        self.turns.remove(&entry.turn);
        self.key_bytes -= place.1.len();
        self.pairs -= entry.holders.len();
        entry.holders
    }

    fn forget(&mut self, place: &Key) {
        if let Some(entry) = self.keys.remove(place) {
            drop(self.removed(place, entry));
        }
    }
}

/// Takes those out that `keeps` refuses.
fn split<V>(holders: &mut Holders<V>, mut keeps: impl FnMut(u64, &mut V) -> bool) -> Holders<V> {
    let taken = holders.extract_if(.., |(holder, value)| !keeps(*holder, value));
    taken.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Add(u8, u64),
        Change(u8),
        Pop,
        Interval(u8, Option<u8>),
        Leave(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..12u8, 0..4u64).prop_map(|(key, holder)| Step::Add(key, holder)),
            2 => (0..12u8).prop_map(Step::Change),
            1 => Just(Step::Pop),
            1 => (0..12u8, proptest::option::of(0..12u8))
                .prop_map(|(start, end)| Step::Interval(start, end)),
            1 => (0..4u64).prop_map(Step::Leave),
        ]
    }

    /// A key, in one of two tables.
    fn key(number: u8) -> Key {
        let table = TableId(u32::from(number % 2));
        (table, Bytes::from(format!("key{number:02}")))
    }

    fn pairs_of(taken: Vec<(Key, Holders<u64>)>) -> BTreeSet<(Key, u64)> {
        let pairs = taken.into_iter().flat_map(|(key, holders)| {
            let holders = holders.into_iter();
            holders.map(move |(holder, _)| (key.clone(), holder))
        });
        pairs.collect()
    }

    proptest! {
        /// Whatever happens, a pair that was added is here or was handed out, and never both.
        #[test]
        fn nobody_is_forgotten_without_being_handed_out(
            steps in proptest::collection::vec(step(), 0..80),
        ) {
            let mut readers = Readers::default();
            let mut model: Vec<(Key, BTreeSet<u64>)> = Vec::new();
            for (at, step) in (0..).zip(steps) {
                let (expected, taken) = match step {
                    Step::Add(number, holder) => {
                        let key = key(number);
                        readers.add(key.0, &key.1, holder, at);
                        match model.iter_mut().find(|(known, _)| *known == key) {
                            Some((_, holders)) => drop(holders.insert(holder)),
                            None => model.push((key, BTreeSet::from([holder]))),
                        }
                        continue;
                    }
                    Step::Change(number) => {
                        let key = key(number);
                        let gone = model.extract_if(.., |(known, _)| *known == key).collect();
                        let holders = readers.take(key.0, &key.1);
                        (gone, vec![(key, holders)])
                    }
                    Step::Pop => {
                        let gone = (!model.is_empty()).then(|| model.remove(0));
                        (gone.into_iter().collect(), readers.pop_first().into_iter().collect())
                    }
                    Step::Interval(start, end) => {
                        let (table, start) = key(start);
                        let end = end.map(|end| key(end).1);
                        let range = KeyRange { table, start, end };
                        let inside = |(known, key): &Key| {
                            let ends = range.end.as_ref().is_none_or(|end| key < end);
                            *known == range.table && *key >= range.start && ends
                        };
                        let gone = model.extract_if(.., |(key, _)| inside(key)).collect();
                        (gone, readers.take_in(&range))
                    }
                    Step::Leave(holder) => {
                        let mut gone: Vec<(Key, BTreeSet<u64>)> = Vec::new();
                        for (key, holders) in &mut model {
                            if holders.remove(&holder) {
                                gone.push((key.clone(), BTreeSet::from([holder])));
                            }
                        }
                        model.retain(|(_, holders)| !holders.is_empty());
                        (gone, readers.take_all_unless(|_, other, _| other != holder))
                    }
                };
                let expected: Vec<(Key, BTreeSet<u64>)> = expected;
                let expected: BTreeSet<(Key, u64)> = expected
                    .into_iter()
                    .flat_map(|(key, holders)| {
                        let holders = holders.into_iter();
                        holders.map(move |holder| (key.clone(), holder)).collect::<Vec<_>>()
                    })
                    .collect();
                prop_assert_eq!(pairs_of(taken), expected);
                prop_assert_eq!(readers.keys(), model.len());
                let pairs: usize = model.iter().map(|(_, holders)| holders.len()).sum();
                prop_assert_eq!(readers.pairs(), pairs);
                prop_assert_eq!(readers.turns.len(), model.len());
            }
            while readers.pop_first().is_some() {}
            prop_assert_eq!(readers.bytes(), 0);
        }
    }

    #[test]
    fn those_that_are_kept_stay_with_their_key() {
        let mut readers = Readers::default();
        let (table, key) = key(1);
        for holder in [3, 1, 2] {
            readers.add(table, &key, holder, "old");
        }
        readers.add(table, &key, 2, "new");
        let taken = readers.take_unless(table, &key, |_, value| *value == "new");
        assert_eq!(taken, [(1, "old"), (3, "old")]);
        assert_eq!((readers.keys(), readers.pairs()), (1, 1));
        assert_eq!(readers.take(table, &key), [(2, "new")]);
    }

    #[test]
    fn a_key_keeps_no_read_buffer() {
        let buffer = Bytes::from(vec![b'k'; 1 << 20]);
        let mut readers = Readers::default();
        readers.add(TableId(0), &buffer.slice(5..8), 1, ());
        assert!(buffer.is_unique());
    }
}
