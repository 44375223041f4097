//! The keys of a replica's store.
//!
//! ```text
//! 00 'applied'                              the applied blob of the Raft crate
//! 00 'state'                                the group's state besides its records
//! 00 'known' range(u64 be)                  the `Known` of a range that is being imported
//! 10 table(u32 be) key(escaped) 00 00       a record; suffixes will be elements of a collection
//! 20 time(u64 be) table(u32 be) key         index of expiries: empty value
//! 30 range(u64 be) table(u32 be) key        a key marked in the import of a range: empty value
//! ```
//!
//! A key is escaped so that no key is a prefix of another key's records and the order of the keys
//! is kept: `00` becomes `00 ff`, and `00 00` ends the key. So a range of keys is a single interval
//! of the store, and copying, clearing and checking it are scans.

use bytes::Bytes;
use coterie_types::{KeyRange, RangeId, TableId, UnixMillis};

/// The key of the applied blob.
pub const APPLIED: &[u8] = b"\x00applied";
/// How often intervals were cleared beside a flush (u64, big endian): shows when that is durable.
pub const CLEARED: &[u8] = b"\x00cleared";
/// The key of the group's state.
pub const STATE: &[u8] = b"\x00state";

const RECORD: u8 = 0x10;
const EXPIRY: u8 = 0x20;
const MARK: u8 = 0x30;
const KNOWN: &[u8] = b"\x00known";

/// The interval of the store that holds all records.
#[must_use]
pub fn all_records() -> (Vec<u8>, Vec<u8>) {
    (vec![RECORD], vec![RECORD + 1])
}

/// The key of an import's `Known`.
#[must_use]
pub fn known_key(range_id: RangeId) -> Vec<u8> {
    [KNOWN, &range_id.0.to_be_bytes()].concat()
}

/// The key of a mark.
#[must_use]
pub fn mark_key(range_id: RangeId, table: TableId, key: &[u8]) -> Vec<u8> {
    let mut out = mark_prefix(range_id);
    out.extend_from_slice(&table.0.to_be_bytes());
    out.extend_from_slice(key);
    out
}

/// The interval of the store that holds all marks of an import.
#[must_use]
pub fn mark_interval(range_id: RangeId) -> (Vec<u8>, Vec<u8>) {
    let end = match range_id.0.checked_add(1) {
        Some(next) => mark_prefix(RangeId(next)),
        None => vec![MARK + 1],
    };
    (mark_prefix(range_id), end)
}

fn mark_prefix(range_id: RangeId) -> Vec<u8> {
    let mut out = vec![MARK];
    out.extend_from_slice(&range_id.0.to_be_bytes());
    out
}

/// The key of a record.
#[must_use]
pub fn record_key(table: TableId, key: &[u8]) -> Vec<u8> {
    let mut out = record_prefix(table, key);
    out.extend_from_slice(&[0, 0]);
    out
}

/// The start of the records of `key` and of greater keys.
fn record_prefix(table: TableId, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + 8);
    out.push(RECORD);
    out.extend_from_slice(&table.0.to_be_bytes());
    if key.contains(&0) {
        for byte in key {
            out.push(*byte);
            if *byte == 0 {
                out.push(0xff);
            }
        }
    } else {
        out.extend_from_slice(key);
    }
    out
}

/// The interval of the store that holds all records of a range of keys.
#[must_use]
pub fn record_interval(range: &KeyRange) -> (Vec<u8>, Vec<u8>) {
    let start = record_prefix(range.table, &range.start);
    let end = match &range.end {
        Some(end) => record_prefix(range.table, end),
        None => match range.table.0.checked_add(1) {
            Some(next) => record_prefix(TableId(next), &[]),
            None => vec![RECORD + 1],
        },
    };
    (start, end)
}

/// Table and key of a record's store key; `None` for other store keys.
#[must_use]
pub fn parse_record_key(stored: &[u8]) -> Option<(TableId, Bytes)> {
    let (&RECORD, rest) = stored.split_first()? else {
        return None;
    };
    let (table, rest) = rest.split_at_checked(4)?;
    let table = TableId(u32::from_be_bytes(table.try_into().ok()?));
    let mut key = Vec::with_capacity(rest.len());
    let mut bytes = rest.iter();
    while let Some(byte) = bytes.next() {
        if *byte == 0 {
            match bytes.next()? {
                0 => {
                    return bytes
                        .as_slice()
                        .is_empty()
                        .then(|| (table, Bytes::from(key)));
                }
                0xff => {}
                _ => return None,
            }
        }
        key.push(*byte);
    }
    None
}

/// The key of the expiry index.
#[must_use]
pub fn expiry_key(at: UnixMillis, table: TableId, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + 13);
    out.push(EXPIRY);
    out.extend_from_slice(&at.0.to_be_bytes());
    out.extend_from_slice(&table.0.to_be_bytes());
    out.extend_from_slice(key);
    out
}

/// The interval of the expiry index up to and including `until`.
#[must_use]
pub fn expiry_interval(until: UnixMillis) -> (Vec<u8>, Vec<u8>) {
    let end = match until.0.checked_add(1) {
        Some(after) => expiry_key(UnixMillis(after), TableId(0), &[]),
        None => vec![EXPIRY + 1],
    };
    (vec![EXPIRY], end)
}

/// Time, table and key of an expiry index key; `None` for other store keys.
#[must_use]
pub fn parse_expiry_key(stored: &[u8]) -> Option<(UnixMillis, TableId, Bytes)> {
    let (&EXPIRY, rest) = stored.split_first()? else {
        return None;
    };
    let (at, rest) = rest.split_at_checked(8)?;
    let (table, key) = rest.split_at_checked(4)?;
    let at = UnixMillis(u64::from_be_bytes(at.try_into().ok()?));
    let table = TableId(u32::from_be_bytes(table.try_into().ok()?));
    Some((at, table, Bytes::copy_from_slice(key)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = Vec<u8>> {
        // Few values, so that prefixes and zeroes are frequent.
        proptest::collection::vec(
            prop_oneof![Just(0u8), Just(1), Just(0xff), Just(b'a')],
            0..6,
        )
    }

    proptest! {
        #[test]
        fn records_order_as_their_keys(a in key(), b in key(), t in 0u32..3, u in 0u32..3) {
            let (stored_a, stored_b) = (record_key(TableId(t), &a), record_key(TableId(u), &b));
            prop_assert_eq!((t, &a).cmp(&(u, &b)), stored_a.cmp(&stored_b));
            prop_assert_eq!(parse_record_key(&stored_a), Some((TableId(t), Bytes::from(a))));
        }

        #[test]
        fn a_range_is_one_interval(start in key(), end in proptest::option::of(key()), k in key()) {
            let range = KeyRange {
                table: TableId(1),
                start: Bytes::from(start),
                end: end.map(Bytes::from),
            };
            let (from, to) = record_interval(&range);
            for table in 0..3 {
                let stored = record_key(TableId(table), &k);
                let within = from <= stored && stored < to;
                prop_assert_eq!(within, range.contains(TableId(table), &k));
            }
        }
    }

    #[test]
    fn the_layout_on_disk_is_pinned() {
        assert_eq!(
            record_key(TableId(258), b"a\0b"),
            b"\x10\0\0\x01\x02a\0\xffb\0\0"
        );
        assert_eq!(
            expiry_key(UnixMillis(1), TableId(2), b"k"),
            b"\x20\0\0\0\0\0\0\0\x01\0\0\0\x02k"
        );
        assert_eq!(
            mark_key(RangeId(1), TableId(2), b"k"),
            b"\x30\0\0\0\0\0\0\0\x01\0\0\0\x02k"
        );
        assert_eq!(known_key(RangeId(1)), b"\0known\0\0\0\0\0\0\0\x01");
    }

    #[test]
    fn the_marks_of_an_import_are_one_interval() {
        let (start, end) = mark_interval(RangeId(5));
        let within = |id| {
            let key = mark_key(RangeId(id), TableId(u32::MAX), b"\xff");
            start <= key && key < end
        };
        assert!(within(5) && !within(4) && !within(6));
    }

    #[test]
    fn expiries_order_by_time_and_survive_the_round_trip() {
        let stored = expiry_key(UnixMillis(500), TableId(2), b"key");
        let expected = (UnixMillis(500), TableId(2), Bytes::from_static(b"key"));
        assert_eq!(parse_expiry_key(&stored), Some(expected));
        let (start, end) = expiry_interval(UnixMillis(500));
        assert!(start <= stored && stored < end);
        assert!(expiry_key(UnixMillis(501), TableId(0), b"") >= end);
    }
}
