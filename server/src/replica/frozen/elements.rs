//! The elements of a spread collection of a frozen copy.

use std::ops::Bound;

use bytes::Bytes;
use coterie_group::{Tally, add_element};
use coterie_protocol::frozen::{FrozenAnswer, FrozenRead, Spread, WalkFrom};
use coterie_redis_compat::{Collection, Walk};
use coterie_storage::layout::Stored;
use coterie_storage::{Engine, Reader, StorageError, layout};
use coterie_types::KeyRange;

use super::super::view::walk_elements;

/// Elements of a walk, at most.
const WALKED_MAX: usize = 64 * 1024;

/// Answers a question about elements, with about `bytes_max` bytes at most.
pub(super) fn read(
    engine: &dyn Engine,
    bounds: &KeyRange,
    read: &FrozenRead,
    bytes_max: u64,
) -> Result<FrozenAnswer, StorageError> {
    match read {
        FrozenRead::Elements {
            of,
            from,
            bytes_max: wanted,
        } => {
            let from = from
                .as_ref()
                .map(|(family, element)| (*family, &element[..]));
            page(engine, bounds, of, from, (*wanted).min(bytes_max))
        }
        FrozenRead::ElementsDigest(of) => digest(engine, bounds, of),
        FrozenRead::Element {
            of,
            family,
            element,
        } => single(engine, bounds, of, *family, element),
        FrozenRead::Walk {
            of,
            family,
            from,
            is_down,
            count_max,
        } => {
            let walk = WalkOf {
                of,
                family: *family,
                from: from.as_ref(),
                is_down: *is_down,
                count_max: usize::try_from(*count_max)
                    .map_or(WALKED_MAX, |count| count.clamp(1, WALKED_MAX)),
                bytes_max,
            };
            walk.read(engine, bounds)
        }
        _ => Ok(FrozenAnswer::Failed("nothing about elements".to_owned())),
    }
}

/// The answer with a tally.
pub(super) fn answer_of(tally: &Tally) -> FrozenAnswer {
    FrozenAnswer::Digest {
        records: tally.records,
        bytes: tally.bytes,
        checksum: tally.checksum,
    }
}

/// The elements from a place on, in order.
fn page(
    engine: &dyn Engine,
    bounds: &KeyRange,
    of: &Spread,
    from: Option<(u8, &[u8])>,
    bytes_max: u64,
) -> Result<FrozenAnswer, StorageError> {
    let (mut elements, mut bytes, mut next) = (Vec::new(), 0u64, None);
    each(engine, bounds, of, from, &mut |family, element, value| {
        let place = (family, Bytes::copy_from_slice(element));
        if bytes >= bytes_max && !elements.is_empty() {
            next = Some(place);
            return false;
        }
        bytes += (element.len() + value.len()) as u64;
        elements.push((place, Bytes::copy_from_slice(value)));
        true
    })?;
    Ok(FrozenAnswer::Elements { elements, next })
}

/// The digest of all elements.
fn digest(
    engine: &dyn Engine,
    bounds: &KeyRange,
    of: &Spread,
) -> Result<FrozenAnswer, StorageError> {
    let mut tally = Tally::default();
    each(engine, bounds, of, None, &mut |family, element, value| {
        add_element(&mut tally, family, element, value);
        true
    })?;
    Ok(answer_of(&tally))
}

/// The value of an element.
fn single(
    engine: &dyn Engine,
    bounds: &KeyRange,
    of: &Spread,
    family: u8,
    element: &[u8],
) -> Result<FrozenAnswer, StorageError> {
    let key = (bounds.table, &of.key[..]);
    let stored = layout::element_key(key, of.incarnation, family, element);
    Ok(FrozenAnswer::Element(engine.get(&stored)?))
}

/// Takes family, element and value; returns whether to go on.
type Visit<'a> = dyn FnMut(u8, &[u8], &[u8]) -> bool + 'a;

/// Visits the elements of all families from a place on.
fn each(
    reader: &dyn Reader,
    bounds: &KeyRange,
    of: &Spread,
    from: Option<(u8, &[u8])>,
    visit: &mut Visit<'_>,
) -> Result<(), StorageError> {
    let key = (bounds.table, &of.key[..]);
    let (mut start, end) = layout::collection_interval(key, of.incarnation);
    if let Some((family, element)) = from {
        start = layout::element_key(key, of.incarnation, family, element);
    }
    let mut is_damaged = false;
    reader.scan(
        &start,
        &end,
        &mut |stored, value| match layout::parse(stored) {
            Some(Stored::Element {
                family, element, ..
            }) => visit(family, element, value),
            _ => {
                is_damaged = true;
                false
            }
        },
    )?;
    if is_damaged {
        let reason = "a store key that is no element's";
        return Err(StorageError::corrupt("read a frozen range", reason));
    }
    Ok(())
}

/// A walk over a family.
struct WalkOf<'a> {
    of: &'a Spread,
    family: u8,
    from: Option<&'a WalkFrom>,
    is_down: bool,
    count_max: usize,
    bytes_max: u64,
}

impl WalkOf<'_> {
    /// The first elements of the walk.
    fn read(&self, reader: &dyn Reader, bounds: &KeyRange) -> Result<FrozenAnswer, StorageError> {
        let of = Collection {
            table: bounds.table,
            key: self.of.key.clone(),
            incarnation: self.of.incarnation,
        };
        let bound = match self.from {
            None => Bound::Unbounded,
            Some(from) if from.is_included => Bound::Included(&from.element[..]),
            Some(from) => Bound::Excluded(&from.element[..]),
        };
        let walk = if self.is_down {
            Walk::Down(bound)
        } else {
            Walk::Up(bound)
        };
        let (mut elements, mut bytes, mut is_end) = (Vec::new(), 0u64, true);
        walk_elements(reader, &of, self.family, walk, &mut |element, value| {
            if elements.len() >= self.count_max || bytes >= self.bytes_max {
                is_end = false;
                return false;
            }
            bytes += (element.len() + value.len()) as u64;
            let element = Bytes::copy_from_slice(element);
            elements.push((element, Bytes::copy_from_slice(value)));
            true
        })?;
        Ok(FrozenAnswer::Walked { elements, is_end })
    }
}

#[cfg(test)]
mod tests {
    use coterie_storage::{Batch, MemEngine};
    use coterie_types::{GroupId, TableId, Version};

    use super::*;

    const T: TableId = TableId(0);

    fn spread(change: u64) -> Spread {
        let group = GroupId(1);
        Spread {
            key: Bytes::from_static(b"c"),
            incarnation: Version { group, change },
        }
    }

    fn engine() -> MemEngine {
        let engine = MemEngine::default();
        let mut batch = Batch::default();
        // An older incarnation, other families, another key.
        for (key, change, family, element) in [
            (&b"c"[..], 1, 0, "old"),
            (b"c", 2, 0, "a"),
            (b"c", 2, 0, "b"),
            (b"c", 2, 3, "a"),
            (b"c", 3, 0, "new"),
            (b"ca", 2, 0, "x"),
        ] {
            let stored = layout::element_key(
                (T, key),
                spread(change).incarnation,
                family,
                element.as_bytes(),
            );
            batch.put(stored, b"value".to_vec());
        }
        engine.write(batch).unwrap();
        engine
    }

    #[test]
    fn pieces_follow_one_another_and_their_tally_is_the_digest() {
        let (engine, bounds, of) = (engine(), KeyRange::all(T), spread(2));
        let (mut from, mut seen, mut tally) = (None, Vec::new(), Tally::default());
        loop {
            let place = from.as_ref().map(|(f, e): &(u8, Bytes)| (*f, &e[..]));
            let FrozenAnswer::Elements { elements, next } =
                page(&engine, &bounds, &of, place, 1).unwrap()
            else {
                panic!("no elements");
            };
            assert_eq!(elements.len(), 1);
            for ((family, element), value) in elements {
                add_element(&mut tally, family, &element, &value);
                seen.push((family, element));
            }
            match next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
        let expected = [(0, "a"), (0, "b"), (3, "a")].map(|(f, e)| (f, Bytes::from(e)));
        assert_eq!(seen, expected);
        let all = digest(&engine, &bounds, &of).unwrap();
        assert_eq!(all, answer_of(&tally));
    }

    #[test]
    fn walks_go_both_ways_and_stay_in_their_family() {
        let (engine, bounds, of) = (engine(), KeyRange::all(T), spread(2));
        let walk = |from: Option<(&'static str, bool)>, is_down, count_max| {
            let from = from.map(|(element, is_included)| WalkFrom {
                element: Bytes::from(element),
                is_included,
            });
            let walk = WalkOf {
                of: &of,
                family: 0,
                from: from.as_ref(),
                is_down,
                count_max,
                bytes_max: 1000,
            };
            let FrozenAnswer::Walked { elements, is_end } = walk.read(&engine, &bounds).unwrap()
            else {
                panic!("no walk");
            };
            let elements = elements.into_iter().map(|(element, _)| element);
            (elements.collect::<Vec<_>>(), is_end)
        };
        let (a, b) = (Bytes::from("a"), Bytes::from("b"));
        assert_eq!(walk(None, false, 9), (vec![a.clone(), b.clone()], true));
        assert_eq!(walk(None, true, 1), (vec![b.clone()], false));
        assert_eq!(walk(Some(("a", false)), false, 9), (vec![b], true));
        assert_eq!(walk(Some(("b", false)), true, 9), (vec![a], true));
        let found = single(&engine, &bounds, &of, 3, b"a").unwrap();
        assert_eq!(found, FrozenAnswer::Element(Some(Bytes::from("value"))));
        let none = single(&engine, &bounds, &of, 3, b"b").unwrap();
        assert_eq!(none, FrozenAnswer::Element(None));
    }
}
