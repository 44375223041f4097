//! Finds elements that no header names, in a view of the store.

use coterie_redis_compat::Record;
use coterie_storage::layout::Stored;
use coterie_storage::{Cursor, Interval, Reader, StorageError, layout};
use coterie_types::KeyRange;

/// Collections looked at, at most.
const COLLECTIONS_MAX: usize = 512;
/// Elements found, at most.
const REMOVED_MAX: usize = 1024;

/// The elements that a look found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Store keys of elements to remove.
    pub(super) removed: Vec<Vec<u8>>,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Where the next look begins; `None` at the end.
    pub(super) next: Option<Vec<u8>>,
}

/// Looks from the start of the interval on, outside of the arriving ranges.
pub(super) fn look(
    reader: &dyn Reader,
    (start, end): &Interval,
    arriving: &[KeyRange],
) -> Result<Found, StorageError> {
    let mut cursor = reader.cursor(start, end)?;
    cursor.seek(start)?;
    let mut found = Found::default();
    for _ in 0..COLLECTIONS_MAX {
        let Some((stored, _)) = cursor.entry() else {
            return Ok(found);
        };
        let Some(Stored::Element {
            of: (table, key),
            incarnation,
            ..
        }) = layout::parse(stored)
        else {
            let reason = "a store key that is no element's";
            return Err(StorageError::corrupt("look for lost elements", reason));
        };
        let (_, last) = layout::collection_interval((table, &key), incarnation);
        let is_arriving = arriving.iter().any(|bounds| bounds.contains(table, &key));
        // A damaged record may be a header.
        let is_named = match reader.get(&layout::header_key(table, &key))? {
            Some(raw) => Record::incarnation_of(&raw).map_or(true, |is| is == Some(incarnation)),
            None => false,
        };
        if is_arriving {
            let (_, next) = layout::elements_interval(table, &key);
            cursor.seek(&next)?;
            continue;
        }
        if !is_named && !found.take(&mut *cursor, &last)? {
            break;
        }
        cursor.seek(&last)?;
    }
    found.next = cursor.entry().map(|(stored, _)| stored.to_vec());
    Ok(found)
}

impl Found {
    /// Takes the elements before `end`; false when there is no room for more.
    fn take(&mut self, cursor: &mut dyn Cursor, end: &[u8]) -> Result<bool, StorageError> {
        while let Some((stored, value)) = cursor.entry()
            && stored < end
        {
            if self.removed.len() == REMOVED_MAX {
                return Ok(false);
            }
            self.bytes += (stored.len() + value.len()) as u64;
            self.removed.push(stored.to_vec());
            cursor.next()?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use coterie_storage::{Batch, Engine, MemEngine};
    use coterie_types::{GroupId, TableId, Version};

    use super::*;

    const T: TableId = TableId(0);
    const MANY: usize = REMOVED_MAX;

    fn version(change: u64) -> Version {
        let group = GroupId(1);
        Version { group, change }
    }

    fn put(engine: &MemEngine, key: Vec<u8>, value: &[u8]) {
        let mut batch = Batch::default();
        batch.put(key, value.to_vec());
        engine.write(batch).unwrap();
    }

    /// Elements of a key and incarnation.
    fn fill(engine: &MemEngine, key: &str, change: u64, count: usize) {
        let mut batch = Batch::default();
        for n in 0..count {
            let of = (T, key.as_bytes());
            let element = format!("{n:06}");
            let stored = layout::element_key(of, version(change), 0, element.as_bytes());
            batch.put(stored, b"v".to_vec());
        }
        engine.write(batch).unwrap();
    }

    /// The header of a spread hash of this incarnation.
    fn head(engine: &MemEngine, key: &str, change: u8) {
        let header = [0x11, 1, 200, 1, 1, change, 1];
        put(engine, layout::header_key(T, key.as_bytes()), &header);
    }

    /// Looks to the end; removes the elements found, as the job does. Returns the number of looks.
    fn reclaim(engine: &MemEngine, arriving: &[KeyRange]) -> usize {
        let [_, (mut start, end)] = layout::all_intervals();
        for looks in 1.. {
            let found = look(engine, &(start, end.clone()), arriving).unwrap();
            let mut batch = Batch::default();
            found.removed.into_iter().for_each(|key| batch.delete(key));
            engine.write(batch).unwrap();
            match found.next {
                Some(next) => start = next,
                None => return looks,
            }
        }
        unreachable!("the loop has no end");
    }

    fn left(engine: &MemEngine) -> Vec<(String, u64, usize)> {
        let [_, (start, end)] = layout::all_intervals();
        let mut left: Vec<(String, u64, usize)> = Vec::new();
        let mut visit = |stored: &[u8], _: &[u8]| {
            let Some(Stored::Element {
                of: (_, key),
                incarnation,
                ..
            }) = layout::parse(stored)
            else {
                panic!("no element");
            };
            let key = String::from_utf8(key.to_vec()).unwrap();
            match left.last_mut() {
                Some((last, change, count)) if *last == key && *change == incarnation.change => {
                    *count += 1;
                }
                _ => left.push((key, incarnation.change, 1)),
            }
            true
        };
        engine.scan(&start, &end, &mut visit).unwrap();
        left
    }

    fn of(key: &str, change: u64, count: usize) -> (String, u64, usize) {
        (key.to_owned(), change, count)
    }

    #[test]
    fn what_no_header_names_goes_and_the_rest_stays() {
        let engine = MemEngine::default();
        head(&engine, "a", 5);
        for change in [3, 5, 7] {
            fill(&engine, "a", change, 3);
        }
        put(&engine, layout::header_key(T, b"b"), b"\x00\x01\x01string");
        fill(&engine, "b", 2, MANY + 1);
        fill(&engine, "c", 2, MANY);
        head(&engine, "d", 2);
        fill(&engine, "d", 2, 3 * MANY);
        put(&engine, layout::header_key(T, b"e"), b"\x1f damaged");
        fill(&engine, "e", 2, 2);
        reclaim(&engine, &[]);
        let expected = [of("a", 5, 3), of("d", 2, 3 * MANY), of("e", 2, 2)];
        assert_eq!(left(&engine), expected);
    }

    #[test]
    fn looks_are_bounded_and_go_on_where_the_last_ended() {
        let engine = MemEngine::default();
        for n in 0..COLLECTIONS_MAX + 10 {
            let key = format!("k{n:04}");
            head(&engine, &key, 2);
            fill(&engine, &key, 2, 1);
        }
        fill(&engine, "large", 1, 3 * MANY);
        for n in 0..3 {
            fill(&engine, &format!("medium{n}"), 1, MANY - 1);
        }
        assert!(reclaim(&engine, &[]) > 2);
        assert_eq!(left(&engine).len(), COLLECTIONS_MAX + 10);
        let [_, all] = layout::all_intervals();
        let found = look(&engine, &all, &[]).unwrap();
        assert!(found.next.is_some() && found.removed.is_empty());
    }

    #[test]
    fn arriving_ranges_are_left_alone() {
        let engine = MemEngine::default();
        for key in ["a", "b", "b1", "c"] {
            fill(&engine, key, 1, 2 * MANY);
            fill(&engine, key, 2, 2);
        }
        let arriving = KeyRange {
            table: T,
            start: Bytes::from_static(b"b"),
            end: Some(Bytes::from_static(b"c")),
        };
        reclaim(&engine, &[arriving]);
        let expected = ["b", "b1"].map(|key| [of(key, 1, 2 * MANY), of(key, 2, 2)]);
        assert_eq!(left(&engine), expected.concat());
    }
}
