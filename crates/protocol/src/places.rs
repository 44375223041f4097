//! Scan places: keys at which pages of SCAN ended and that 53 bits cannot name.
//!
//! A cursor carries the *number* of its place. The proxy that ended the page keeps the key under
//! that number, and three servers keep copies, so that every proxy can look it up. All of it is in
//! memory and bounded. If a place is forgotten, the scan repeats some keys and misses none: the
//! number begins with bits that locate the place approximately (decision record
//! `2026-11-30-scan-cursor-and-places`).
//!
//! Pure. [`Places`] is the table that proxies and servers keep; the messages use method
//! [`crate::method::SCAN_PLACE`].
//!
//! A full table first forgets places whose scan has continued, then places that a client still
//! holds, each the oldest first. Long keys have their own table: a scan over keys of a megabyte
//! makes no other scan repeat keys.

use std::collections::BTreeMap;

use bytes::Bytes;
use coterie_types::TableId;
use serde::{Deserialize, Serialize};

/// Keys of at most this length count as short.
const SHORT_BYTES_MAX: usize = 512;
/// Memory for the places of short keys: at least 8,000 of them, 50,000 of the usual length.
const SHORT_TABLE_BYTES_MAX: usize = 8 << 20;
/// Memory for the places of long keys.
const LONG_TABLE_BYTES_MAX: usize = 16 << 20;
/// The longest key that is stored: the longest that a client can write.
pub const PLACE_KEY_BYTES_MAX: usize = 1 << 20;
/// Approximate memory of an entry besides its key.
const ENTRY_BYTES: usize = 160;
/// Most places in a message.
pub const PLACES_PER_MESSAGE_MAX: usize = 1000;

/// The name of a place: its table, and the number that a cursor carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PlaceId {
    /// The table that is scanned.
    pub table: TableId,
    /// The number.
    pub number: u64,
}

/// A place and its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its name.
    pub id: PlaceId,
    /// The first key that the scan has not returned.
    pub key: Bytes,
}

/// A request of a proxy to a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlaceRequest {
    /// Store copies of these places.
    Keep {
        /// The places; [`PLACES_PER_MESSAGE_MAX`] at most. An empty list only asks for the start.
        places: Vec<Place>,
        /// The place from which the scan has continued: it may be forgotten first.
        passed: Option<PlaceId>,
    },
    /// The key of a place, if there is a copy.
    Find(PlaceId),
}

/// The answer of a server to a proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceAnswer {
    /// Random, new with each start of the server: a changed value means that it has forgotten
    /// everything.
    pub start: u64,
    /// Milliseconds since the server got its first message about places after that start.
    pub up_ms: u64,
    /// The key of the place of `Find`.
    pub key: Option<Bytes>,
    /// Whether a number of `Keep` already names another key, or a key is too long.
    pub refused: bool,
}

/// The places that a process keeps; see the module's head.
#[derive(Debug)]
pub struct Places {
    short: Table,
    long: Table,
}

impl Default for Places {
    fn default() -> Self {
        Self::with_bounds(SHORT_TABLE_BYTES_MAX, LONG_TABLE_BYTES_MAX)
    }
}

impl Places {
    /// Places whose tables of short and long keys take at most this many bytes.
    #[must_use]
    pub fn with_bounds(short_bytes_max: usize, long_bytes_max: usize) -> Self {
        Self {
            short: Table::new(short_bytes_max),
            long: Table::new(long_bytes_max),
        }
    }

    /// Stores a place. `false` if its number names another key here, or if its key is too long.
    #[must_use]
    pub fn keep(&mut self, place: &Place) -> bool {
        if place.key.len() > PLACE_KEY_BYTES_MAX {
            return false;
        }
        let known = self.key(place.id).map(|known| *known == place.key);
        let table = if place.key.len() <= SHORT_BYTES_MAX {
            &mut self.short
        } else {
            &mut self.long
        };
        match known {
            Some(false) => return false,
            // A client is about to hold the cursor again.
            Some(true) => table.put_last(place.id, true),
            None => table.insert(place),
        }
        true
    }

    /// The key of a place.
    #[must_use]
    pub fn find(&self, id: PlaceId) -> Option<Bytes> {
        self.key(id).cloned()
    }

    /// A scan has continued from a place. Its cursor stays valid, as the client may not have
    /// received the reply, but the place is forgotten before others.
    pub fn pass(&mut self, id: PlaceId) {
        self.short.put_last(id, false);
        self.long.put_last(id, false);
    }

    /// Forgets a place.
    pub fn remove(&mut self, id: PlaceId) {
        self.short.remove(id);
        self.long.remove(id);
    }

    /// All stored places, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = Place> {
        let both = self.short.entries.iter().chain(&self.long.entries);
        both.map(|(id, entry)| Place {
            id: *id,
            key: entry.key.clone(),
        })
    }

    /// Number of stored places.
    #[must_use]
    pub fn len(&self) -> usize {
        self.short.entries.len() + self.long.entries.len()
    }

    /// Whether no place is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn key(&self, id: PlaceId) -> Option<&Bytes> {
        let entry = self.short.entries.get(&id);
        let entry = entry.or_else(|| self.long.entries.get(&id));
        entry.map(|entry| &entry.key)
    }
}

/// Places in an order of removal: a full table removes the first.
#[derive(Debug)]
struct Table {
    entries: BTreeMap<PlaceId, Entry>,
    order: BTreeMap<Turn, PlaceId>,
    bytes: usize,
    bytes_max: usize,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    key: Bytes,
    turn: Turn,
}

/// The position in the order of removal: places that a client may still need come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    is_needed: bool,
    number: u64,
}

impl Table {
    fn new(bytes_max: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            order: BTreeMap::new(),
            bytes: 0,
            bytes_max,
            next: 0,
        }
    }

    fn insert(&mut self, place: &Place) {
        // A copy: the key may be a slice of a large reply, which it would keep in memory.
        let key = Bytes::copy_from_slice(&place.key);
        self.bytes += ENTRY_BYTES + key.len();
        let turn = self.turn(true);
        self.order.insert(turn, place.id);
        self.entries.insert(place.id, Entry { key, turn });
        // The newest place stays, however small the bound.
        while self.bytes > self.bytes_max && self.entries.len() > 1 {
            let first = self.order.first_key_value().map(|(_, id)| *id);
            let Some(first) = first else {
                return;
            };
            self.remove(first);
        }
    }

    /// Moves a place to the end of the needed places, or of the others.
    fn put_last(&mut self, id: PlaceId, is_needed: bool) {
        let turn = self.turn(is_needed);
        if let Some(entry) = self.entries.get_mut(&id) {
            self.order.remove(&entry.turn);
            entry.turn = turn;
            self.order.insert(turn, id);
        }
    }

    fn remove(&mut self, id: PlaceId) {
        if let Some(entry) = self.entries.remove(&id) {
            self.order.remove(&entry.turn);
            self.bytes -= ENTRY_BYTES + entry.key.len();
        }
    }

    fn turn(&mut self, is_needed: bool) -> Turn {
        self.next += 1;
        Turn {
            is_needed,
            number: self.next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: u64, key: &str) -> Place {
        Place {
            id: id(number),
            key: Bytes::copy_from_slice(key.as_bytes()),
        }
    }

    fn id(number: u64) -> PlaceId {
        PlaceId {
            table: TableId(0),
            number,
        }
    }

    #[test]
    fn a_number_names_one_key() {
        let mut places = Places::default();
        assert!(places.keep(&place(1, "a")) && places.keep(&place(1, "a")));
        assert!(!places.keep(&place(1, "b")), "another key");
        assert!(!places.keep(&place(2, &"x".repeat(PLACE_KEY_BYTES_MAX + 1))));
        assert_eq!(places.find(id(1)).as_deref(), Some(&b"a"[..]));
        assert_eq!((places.find(id(2)), places.len()), (None, 1));
        let elsewhere = PlaceId {
            table: TableId(1),
            number: 1,
        };
        assert_eq!(places.find(elsewhere), None, "a cursor of another table");
        places.remove(id(1));
        assert!(places.is_empty() && places.keep(&place(1, "b")));
    }

    #[test]
    fn a_full_table_forgets_places_that_were_passed_then_the_oldest() {
        let mut places = Places::with_bounds(4 * (ENTRY_BYTES + 1), 0);
        for number in 1..=4 {
            assert!(places.keep(&place(number, "k")));
        }
        places.pass(id(3));
        assert!(places.find(id(3)).is_some(), "a reply may have been lost");
        let kept =
            |places: &Places| -> Vec<u64> { places.iter().map(|place| place.id.number).collect() };
        assert!(places.keep(&place(5, "k")));
        assert_eq!(kept(&places), [1, 2, 4, 5]);
        assert!(places.keep(&place(6, "k")));
        assert_eq!(kept(&places), [2, 4, 5, 6]);
    }

    #[test]
    fn the_bound_holds_and_long_keys_displace_no_short_ones() {
        let mut places = Places::default();
        assert!(places.keep(&place(0, "short")));
        let long = "x".repeat(PLACE_KEY_BYTES_MAX);
        for number in 1..100 {
            assert!(places.keep(&place(number, &long)));
            assert!(places.find(id(number)).is_some());
            assert!(places.long.bytes <= LONG_TABLE_BYTES_MAX);
        }
        assert!(places.find(id(0)).is_some() && places.find(id(1)).is_none());
        for number in 100..100_000 {
            assert!(places.keep(&place(number, "order:0123456789:field")));
        }
        assert!(places.short.bytes <= SHORT_TABLE_BYTES_MAX);
        assert!(places.short.entries.len() > 40_000);
        assert_eq!(places.short.entries.len(), places.short.order.len());
    }

    #[test]
    fn the_messages_are_pinned() {
        let request = PlaceRequest::Keep {
            places: vec![place(300, "k")],
            passed: Some(id(1)),
        };
        let bytes = crate::encode(&request);
        assert_eq!(&bytes[..], [0, 1, 0, 172, 2, 1, b'k', 1, 0, 1]);
        assert_eq!(crate::decode::<PlaceRequest>(&bytes).unwrap(), request);
        let request = PlaceRequest::Find(id(5));
        assert_eq!(&crate::encode(&request)[..], [1, 0, 5]);
        let answer = PlaceAnswer {
            start: 7,
            up_ms: 2,
            key: Some(Bytes::from_static(b"k")),
            refused: false,
        };
        assert_eq!(&crate::encode(&answer)[..], [7, 2, 1, 1, b'k', 0]);
    }
}
