//! The keys of a replica's store.
//!
//! ```text
//! 00 'applied'                              the applied blob of the Raft crate
//! 00 'state'                                the group's state besides its records
//! 00 'known' range(u64 be)                  the `Known` of a range that is being imported
//! 10 table(u32 be) key(escaped) 00 00       the header of a key; of a string the whole record
//! 11 table(u32 be) key(escaped) 00 00 incarnation family(u8) element
//!                                           an element of a spread collection
//! 20 time(u64 be) table(u32 be) key         index of expiries: empty value
//! 30 range(u64 be) table(u32 be) key        a key marked in the import of a range: empty value
//! ```
//!
//! A key is escaped so that no key is a prefix of another key's records and the order of the keys
//! is kept: `00` becomes `00 ff`, and `00 00` ends the key. So the headers of a range of keys are
//! an interval of the store, and their elements another interval. A reader of keys walks only
//! [`header_interval`]; a reader that copies, clears, weighs or checks a range walks all
//! [`intervals`].
//!
//! The incarnation of a collection is the version at which it was created: group and change (u64 be
//! each). A header names the incarnation of its elements; other elements are not visible.

use std::borrow::Cow;

use bytes::Bytes;
use coterie_types::{GroupId, KeyRange, RangeId, TableId, UnixMillis, Version};

/// The key of the applied blob.
pub const APPLIED: &[u8] = b"\x00applied";
/// How often intervals were cleared beside a flush (u64, big endian): shows when that is durable.
pub const CLEARED: &[u8] = b"\x00cleared";
/// The key of the group's state.
pub const STATE: &[u8] = b"\x00state";

const HEADER: u8 = 0x10;
const ELEMENT: u8 = 0x11;
const EXPIRY: u8 = 0x20;
const MARK: u8 = 0x30;
const KNOWN: &[u8] = b"\x00known";

pub use crate::Interval;

/// The intervals of the store that hold all records, headers first.
#[must_use]
pub fn all_intervals() -> [Interval; 2] {
    with_elements((vec![HEADER], vec![HEADER + 1]))
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
pub fn mark_interval(range_id: RangeId) -> Interval {
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

/// The key of a header.
#[must_use]
pub fn header_key(table: TableId, key: &[u8]) -> Vec<u8> {
    let mut out = prefix(HEADER, table, key);
    out.extend_from_slice(&[0, 0]);
    out
}

/// The key of an element. Each family of a collection's elements has an order of its own.
#[must_use]
pub fn element_key(
    (table, key): (TableId, &[u8]),
    incarnation: Version,
    family: u8,
    element: &[u8],
) -> Vec<u8> {
    let mut out = prefix(ELEMENT, table, key);
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&incarnation.group.0.to_be_bytes());
    out.extend_from_slice(&incarnation.change.to_be_bytes());
    out.push(family);
    out.extend_from_slice(element);
    out
}

/// The interval of the store that holds the elements of a key, of all incarnations.
#[must_use]
pub fn elements_interval(table: TableId, key: &[u8]) -> Interval {
    let with_end = |end: [u8; 2]| {
        let mut out = prefix(ELEMENT, table, key);
        out.extend_from_slice(&end);
        out
    };
    (with_end([0, 0]), with_end([0, 1]))
}

/// The interval of the store that holds all elements of a collection.
#[must_use]
pub fn collection_interval(key: (TableId, &[u8]), incarnation: Version) -> Interval {
    // No family has the greatest number.
    let end = element_key(key, incarnation, u8::MAX, &[]);
    (element_key(key, incarnation, 0, &[]), end)
}

/// The interval of the store that holds a family of elements. The rest of a store key behind the
/// start of the interval is the element.
#[must_use]
pub fn family_interval(key: (TableId, &[u8]), incarnation: Version, family: u8) -> Interval {
    let start = element_key(key, incarnation, family, &[]);
    let mut end = start.clone();
    // No family has the greatest number.
    if let Some(last) = end.last_mut() {
        *last = last.saturating_add(1);
    }
    (start, end)
}

/// The start of the headers, or the elements, of `key` and of greater keys.
fn prefix(tag: u8, table: TableId, key: &[u8]) -> Vec<u8> {
    // No spare capacity: the write buffer keeps it.
    let mut out = Vec::with_capacity(key.len() + 7);
    out.push(tag);
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

/// The interval of the store that holds the headers of a range of keys.
#[must_use]
pub fn header_interval(range: &KeyRange) -> Interval {
    let start = prefix(HEADER, range.table, &range.start);
    let end = match &range.end {
        Some(end) => prefix(HEADER, range.table, end),
        None => match range.table.0.checked_add(1) {
            Some(next) => prefix(HEADER, TableId(next), &[]),
            None => vec![HEADER + 1],
        },
    };
    (start, end)
}

/// The intervals of the store that hold all records of a range of keys, headers first.
#[must_use]
pub fn intervals(range: &KeyRange) -> [Interval; 2] {
    with_elements(header_interval(range))
}

/// An interval of headers, and the interval of the elements of its keys.
#[must_use]
pub fn with_elements(headers: Interval) -> [Interval; 2] {
    // The end may be after the last header: its tag is raised as well.
    let raised = |mut bound: Vec<u8>| {
        if let Some(tag) = bound.first_mut() {
            *tag = tag.saturating_add(ELEMENT - HEADER);
        }
        bound
    };
    let (start, end) = headers.clone();
    [headers, (raised(start), raised(end))]
}

/// A record by its store key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored<'a> {
    /// The header of a key.
    Header(TableId, Cow<'a, [u8]>),
    /// An element of a collection.
    Element {
        /// Table and key of the collection.
        of: (TableId, Cow<'a, [u8]>),
        /// The version at which the collection was created.
        incarnation: Version,
        /// The family of the element.
        family: u8,
        /// Its key in the family.
        element: &'a [u8],
    },
}

/// The record of a store key; `None` for other store keys.
#[must_use]
pub fn parse(stored: &[u8]) -> Option<Stored<'_>> {
    let (&tag, rest) = stored.split_first()?;
    let (table, rest) = rest.split_first_chunk()?;
    let table = TableId(u32::from_be_bytes(*table));
    let (key, rest) = unescape(rest)?;
    match tag {
        HEADER => rest.is_empty().then_some(Stored::Header(table, key)),
        ELEMENT => {
            let (group, rest) = rest.split_first_chunk()?;
            let (change, rest) = rest.split_first_chunk()?;
            let (&family, element) = rest.split_first()?;
            let incarnation = Version {
                group: GroupId(u64::from_be_bytes(*group)),
                change: u64::from_be_bytes(*change),
            };
            Some(Stored::Element {
                of: (table, key),
                incarnation,
                family,
                element,
            })
        }
        _ => None,
    }
}

/// Table and key of a header's store key; `None` for other store keys.
#[must_use]
pub fn parse_header(stored: &[u8]) -> Option<(TableId, Cow<'_, [u8]>)> {
    match parse(stored)? {
        Stored::Header(table, key) => Some((table, key)),
        Stored::Element { .. } => None,
    }
}

/// The key at the start of `escaped`, and the bytes after its end.
fn unescape(escaped: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let zero = escaped.iter().position(|byte| *byte == 0)?;
    if escaped.get(zero + 1)? == &0 {
        // Most keys have no zero.
        return Some((Cow::Borrowed(&escaped[..zero]), &escaped[zero + 2..]));
    }
    let mut key = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.iter();
    while let Some(byte) = bytes.next() {
        if *byte == 0 {
            match bytes.next()? {
                0 => return Some((Cow::Owned(key), bytes.as_slice())),
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
pub fn expiry_interval(until: UnixMillis) -> Interval {
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
    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = Vec<u8>> {
        // Few values, so that prefixes and zeroes are frequent.
        proptest::collection::vec(
            prop_oneof![Just(0u8), Just(1), Just(0xff), Just(b'a')],
            0..6,
        )
    }

    fn version(group: u64, change: u64) -> Version {
        let group = GroupId(group);
        Version { group, change }
    }

    proptest! {
        #[test]
        fn headers_order_as_their_keys(a in key(), b in key(), t in 0u32..3, u in 0u32..3) {
            let (stored_a, stored_b) = (header_key(TableId(t), &a), header_key(TableId(u), &b));
            prop_assert_eq!((t, &a).cmp(&(u, &b)), stored_a.cmp(&stored_b));
            prop_assert_eq!(parse_header(&stored_a), Some((TableId(t), Cow::Owned(a))));
        }

        #[test]
        fn elements_order_by_key_incarnation_family_and_element(
            a in (key(), 0u64..2, 0u64..300, 0u8..2, key()),
            b in (key(), 0u64..2, 0u64..300, 0u8..2, key()),
        ) {
            let stored = |(k, group, change, family, element): &(Vec<u8>, u64, u64, u8, Vec<u8>)| {
                element_key((TableId(1), k), version(*group, *change), *family, element)
            };
            prop_assert_eq!(a.cmp(&b), stored(&a).cmp(&stored(&b)));
            let (key, group, change, family, element) = &a;
            let expected = Stored::Element {
                of: (TableId(1), Cow::Borrowed(key)),
                incarnation: version(*group, *change),
                family: *family,
                element,
            };
            let stored = stored(&a);
            let within = |(start, end): Interval| start <= stored && stored < end;
            let of = |incarnation| collection_interval((TableId(1), key), incarnation);
            prop_assert!(within(of(version(*group, *change))));
            prop_assert!(!within(of(version(*group, *change + 1))));
            prop_assert!(within(elements_interval(TableId(1), key)));
            let other = elements_interval(TableId(1), &b.0);
            prop_assert_eq!(within(other), *key == b.0);
            prop_assert_eq!(parse(&stored), Some(expected));
            prop_assert_eq!(parse_header(&stored), None);
        }

        #[test]
        fn a_range_is_an_interval_of_headers_and_another_of_elements(
            start in key(), end in proptest::option::of(key()), k in key(), element in key(),
        ) {
            for table in [1, u32::MAX] {
                let range = KeyRange {
                    table: TableId(table),
                    start: Bytes::from(start.clone()),
                    end: end.clone().map(Bytes::from),
                };
                let [headers, elements] = intervals(&range);
                prop_assert_eq!(&headers, &header_interval(&range));
                for table in [0, table - 1, table, table.saturating_add(1)] {
                    let table = TableId(table);
                    let expected = range.contains(table, &k);
                    let within = |interval: &Interval, stored: &[u8]| {
                        *interval.0 <= *stored && *stored < *interval.1
                    };
                    let header = header_key(table, &k);
                    let stored = element_key((table, &k), version(1, 1), 0, &element);
                    prop_assert_eq!(within(&headers, &header), expected);
                    prop_assert_eq!(within(&elements, &stored), expected);
                    prop_assert!(!within(&headers, &stored) && !within(&elements, &header));
                    let [all_headers, all_elements] = all_intervals();
                    prop_assert!(within(&all_headers, &header) && within(&all_elements, &stored));
                }
            }
        }

        #[test]
        fn no_bytes_are_too_much(stored in proptest::collection::vec(0u8..20, 0..40)) {
            let _ = parse(&stored);
        }
    }

    #[test]
    fn the_layout_on_disk_is_pinned() {
        assert_eq!(
            header_key(TableId(258), b"a\0b"),
            b"\x10\0\0\x01\x02a\0\xffb\0\0"
        );
        assert_eq!(
            element_key((TableId(2), b"k"), version(3, 258), 7, b"e"),
            b"\x11\0\0\0\x02k\0\0\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\x01\x02\x07e"
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
