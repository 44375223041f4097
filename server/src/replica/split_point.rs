//! Finds the key that halves a range by size.
//!
//! A small range is walked. A large range has too many records to look at each, so its middle is
//! searched for: the store estimates how many bytes of its files lie before a key, and bounds
//! around the middle are narrowed until the bytes between them do not matter. The search reads few
//! records, however many there are.

use bytes::Bytes;
use coterie_storage::{Cursor, Engine, Reader, StorageError, layout};
use coterie_types::KeyRange;

use super::sizes;

/// Keys remembered during a walk, at most.
const MARKS_MAX: usize = 4096;
/// The search ends when at most 1/`FINE` of the range is left around the middle.
const FINE: u64 = 32;
/// Rounds of narrowing, at most. Each byte at which the keys part takes a round.
const ROUNDS_MAX: usize = 64;

/// A key, and the bytes before it and from it: of records after a walk, estimated on disk after a
/// search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SplitPoint {
    pub(crate) at: Bytes,
    pub(crate) left_bytes: u64,
    pub(crate) right_bytes: u64,
}

/// Limits of a walk: about a second.
struct Limits {
    /// Bytes of files; records only in memory do not count.
    disk_bytes: u64,
    /// Bytes of records, since files may hold them compressed.
    bytes: u64,
    records: u64,
}

const LIMITS: Limits = Limits {
    disk_bytes: 64 << 20,
    bytes: 256 << 20,
    records: 2_000_000,
};

/// A key that parts the range near its middle and is not its first key; `None` when the range has
/// fewer than two keys.
pub(super) fn find(
    engine: &dyn Engine,
    bounds: &KeyRange,
) -> Result<Option<SplitPoint>, StorageError> {
    find_within(engine, bounds, &LIMITS)
}

fn find_within(
    engine: &dyn Engine,
    bounds: &KeyRange,
    limits: &Limits,
) -> Result<Option<SplitPoint>, StorageError> {
    let (start, end) = layout::header_interval(bounds);
    let total = size(engine, &start, &end);
    if total <= limits.disk_bytes
        && let Walk::Whole(found) = walk(engine, &start, &end, limits)?
    {
        return Ok(found);
    }
    let seek = Seek {
        engine,
        start,
        end,
        total,
    };
    seek.middle()
}

/// Outcome of a walk.
enum Walk {
    Whole(Option<SplitPoint>),
    TooLong,
}

/// Walks the range once, unless it exceeds `limits`.
fn walk(
    reader: &dyn Reader,
    start: &[u8],
    end: &[u8],
    limits: &Limits,
) -> Result<Walk, StorageError> {
    let [headers, elements] = layout::with_elements((start.to_vec(), end.to_vec()));
    // The cursors may see different moments: the result is an estimate.
    let mut headers = begin(reader, headers)?;
    let mut elements = begin(reader, elements)?;
    let mut marks = Marks::default();
    loop {
        // After the tag, a header sorts before the elements of its key.
        let header = headers.entry().filter(|(header, _)| {
            let element = elements.entry();
            element.is_none_or(|(element, _)| header[1..] <= element[1..])
        });
        if let Some((stored, raw)) = header {
            marks.header(stored, raw.len());
            headers.next()?;
        } else if let Some((stored, raw)) = elements.entry() {
            marks.count(stored, raw.len());
            elements.next()?;
        } else {
            return Ok(Walk::Whole(marks.middle()));
        }
        if marks.bytes > limits.bytes || marks.records > limits.records {
            return Ok(Walk::TooLong);
        }
    }
}

/// A cursor at the start of an interval.
fn begin(
    reader: &dyn Reader,
    (start, end): layout::Interval,
) -> Result<Box<dyn Cursor + '_>, StorageError> {
    let mut cursor = reader.cursor(&start, &end)?;
    cursor.seek(&start)?;
    Ok(cursor)
}

/// Keys remembered on a walk: every `step` bytes a key; when there are too many, every other key is
/// dropped.
#[derive(Default)]
struct Marks {
    /// Each with the bytes before it.
    keys: Vec<(Bytes, u64)>,
    step: u64,
    /// Bytes before the next key to remember.
    due: u64,
    bytes: u64,
    records: u64,
}

impl Marks {
    fn header(&mut self, stored: &[u8], len: usize) {
        if self.records > 0
            && self.bytes >= self.due
            && let Some((_, key)) = layout::parse_header(stored)
        {
            self.keys.push((Bytes::from(key.into_owned()), self.bytes));
            if self.keys.len() >= MARKS_MAX {
                let mut odd = false;
                self.keys.retain(|_| {
                    odd = !odd;
                    odd
                });
                let mean = self.bytes / MARKS_MAX as u64;
                self.step = (self.step * 2).max(mean).max(1);
            }
            self.due = self.bytes + self.step;
        }
        self.count(stored, len);
    }

    fn count(&mut self, stored: &[u8], len: usize) {
        self.records += 1;
        self.bytes += (stored.len() + len) as u64;
    }

    /// The key nearest to the middle.
    fn middle(self) -> Option<SplitPoint> {
        let bytes = self.bytes;
        let keys = self.keys.into_iter();
        let nearest = keys.min_by_key(|(_, left)| (2 * left).abs_diff(bytes));
        nearest.map(|(at, left_bytes)| SplitPoint {
            at,
            left_bytes,
            right_bytes: bytes - left_bytes,
        })
    }
}

/// An interval of headers whose middle is searched for, weighed with their elements. Keys are as
/// they are stored.
struct Seek<'a> {
    engine: &'a dyn Engine,
    start: Vec<u8>,
    end: Vec<u8>,
    /// Approximate bytes on disk.
    total: u64,
}

impl Seek<'_> {
    fn middle(&self) -> Result<Option<SplitPoint>, StorageError> {
        let Some(first) = self.record_from(&self.start)? else {
            return Ok(None);
        };
        // Invariant: the middle is behind the record at `low`, and not behind `high`.
        let (mut low, mut high) = (first.clone(), self.end.clone());
        for _ in 0..ROUNDS_MAX {
            let (from, to) = self.closer(&low, high);
            high = to;
            match self.record_from(&from)? {
                Some(record) if record < high => low = record,
                // No record is between them: the split is at either of them.
                _ => break,
            }
            if self.left_of(&high).saturating_sub(self.left_of(&low)) <= self.total / FINE {
                break;
            }
        }
        let second = after(&first).unwrap_or_else(|| self.end.clone());
        let mut records = vec![low];
        for from in [high, second] {
            records.extend(self.record_from(&from)?);
        }
        // A split at the first record would leave nothing on its left.
        let records = records.into_iter().filter(|record| *record > first);
        let lefts = records.map(|record| (self.left_of(&record).min(self.total), record));
        let nearest = lefts.min_by_key(|(left, _)| (2 * left).abs_diff(self.total));
        Ok(nearest.and_then(|(left_bytes, record)| {
            let (_, at) = layout::parse_header(&record)?;
            Some(SplitPoint {
                at: Bytes::from(at.into_owned()),
                left_bytes,
                right_bytes: self.total - left_bytes,
            })
        }))
    }

    /// Narrows the bounds: behind `low`, not behind `high`, parted at one byte, with the middle
    /// between them.
    ///
    /// Keys that share a prefix with `low` may end before the middle or behind it: behind it if the
    /// prefix is short, before it if it is long. The longest prefix that ends behind the middle is
    /// kept, and the byte after it is searched for.
    fn closer(&self, low: &[u8], high: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
        let is_past = |bound: Option<&Vec<u8>>| {
            bound.is_none_or(|bound| *bound >= high || 2 * self.left_of(bound) >= self.total)
        };
        let end_of = |cut: usize| after(&low[..low.len() - cut]);
        let cut = first_of(low.len(), |cut| is_past(end_of(cut).as_ref()));
        let to = end_of(cut)
            .unwrap_or_else(|| high.clone())
            .min(high.clone());
        let Some(from) = cut.checked_sub(1).and_then(end_of) else {
            // The middle is in this record.
            return (to.clone(), to);
        };
        let prefix = &low[..low.len() - cut];
        let byte = low[prefix.len()];
        let with = |n: usize| {
            let byte = u8::try_from(usize::from(byte) + n).ok()?;
            Some([prefix, &[byte]].concat())
        };
        // `byte + 1` gives `from`, so greater bytes are tried.
        let past = first_of(256, |n| n > 1 && is_past(with(n).as_ref()));
        let from = with(past - 1).map_or(from.clone(), |bound| bound.max(from));
        let to = with(past).map_or(to.clone(), |bound| bound.min(to));
        (from, to)
    }

    /// About how many bytes on disk lie before a key.
    fn left_of(&self, key: &[u8]) -> u64 {
        size(self.engine, &self.start, key)
    }

    /// The first record at or behind `from`.
    fn record_from(&self, from: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        let mut cursor = self.engine.cursor(from, &self.end)?;
        cursor.seek(from)?;
        Ok(cursor.entry().map(|(stored, _)| stored.to_vec()))
    }
}

/// Approximate bytes on disk of the records of these headers, elements included.
fn size(engine: &dyn Engine, start: &[u8], end: &[u8]) -> u64 {
    if start >= end {
        return 0;
    }
    let sizes = sizes::of(engine, std::iter::once((start.to_vec(), end.to_vec())));
    sizes.first().copied().unwrap_or(0)
}

/// The first key behind all keys with this prefix; `None` if there is none.
fn after(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut bound = prefix[..=kept].to_vec();
    bound[kept] += 1;
    Some(bound)
}

/// The least number below `max` for which `holds`, which must then hold for all greater numbers;
/// else `max`.
fn first_of(max: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, max);
    while low < high {
        let middle = low.midpoint(high);
        if holds(middle) {
            high = middle
        } else {
            low = middle + 1
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use coterie_storage::{Batch, MemEngine, RocksEngine, RocksShared};
    use coterie_types::TableId;

    use super::*;

    /// Nothing is walked.
    const SEEK: Limits = Limits {
        disk_bytes: 0,
        bytes: 0,
        records: 0,
    };

    fn fill<K: AsRef<[u8]>>(engine: &dyn Engine, keys: impl Iterator<Item = (K, Vec<u8>)>) {
        let mut batch = Batch::default();
        for (key, value) in keys {
            batch.put(layout::header_key(TableId(0), key.as_ref()), value);
        }
        engine.write(batch).unwrap();
    }

    /// The split points that a walk and a search find.
    fn found<K: AsRef<[u8]>>(keys: impl Iterator<Item = (K, usize)>) -> [Option<SplitPoint>; 2] {
        let engine = MemEngine::default();
        fill(&engine, keys.map(|(key, len)| (key, vec![0; len])));
        let bounds = KeyRange::all(TableId(0));
        [&LIMITS, &SEEK].map(|limits| find_within(&engine, &bounds, limits).unwrap())
    }

    fn left_percent(point: &SplitPoint) -> u64 {
        point.left_bytes * 100 / (point.left_bytes + point.right_bytes)
    }

    #[test]
    fn equal_records_are_halved() {
        let [walked, sought] = found((0..20_000).map(|n| (format!("{n:05}"), 10)));
        let (walked, sought) = (walked.unwrap(), sought.unwrap());
        assert!((49..=51).contains(&left_percent(&walked)), "{walked:?}");
        assert!((46..=54).contains(&left_percent(&sought)), "{sought:?}");
    }

    #[test]
    fn a_large_record_stands_alone_and_one_key_is_not_cut() {
        for point in found([("a", 10), ("b", 100_000), ("c", 10)].into_iter()) {
            let point = point.unwrap();
            assert!(point.at == "b" || point.at == "c", "{point:?}");
        }
        assert_eq!(found([("a", 10)].into_iter()), [None, None]);
        assert_eq!(found(std::iter::empty::<(&str, usize)>()), [None, None]);
        for point in found([("a", 100_000), ("b", 10)].into_iter()) {
            assert_eq!(point.unwrap().at, "b");
        }
    }

    /// The key of a number.
    type KeyOf = fn(u32) -> Vec<u8>;

    #[test]
    fn the_middle_is_found_however_keys_part() {
        let shapes: [(&str, KeyOf); 5] = [
            ("behind a long prefix", |n| {
                [&[b'x'; 500][..], &n.to_be_bytes()].concat()
            }),
            ("at the end of what there is", |n| {
                [&[0xff; 9][..], &n.to_be_bytes()].concat()
            }),
            ("of zeroes", |n| [&[0; 9][..], &n.to_be_bytes()].concat()),
            ("scattered", |n| {
                (u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15))
                    .to_be_bytes()
                    .to_vec()
            }),
            ("most of them close together", |n| match n % 10 {
                0 => [b"a", &n.to_be_bytes()[..]].concat(),
                1 => [b"z", &n.to_be_bytes()[..]].concat(),
                _ => [b"k/k/k/k/", &n.to_be_bytes()[..]].concat(),
            }),
        ];
        for (shape, key) in shapes {
            // Each value is sized so that all records weigh about the same.
            let keys = (0..600).map(|n| (key(n), 700 - key(n).len()));
            let [_, sought] = found(keys);
            let sought = sought.unwrap();
            let percent = left_percent(&sought);
            assert!((45..=55).contains(&percent), "{shape}: {percent}");
            assert!((0..600).any(|n| key(n) == sought.at), "{shape}");
        }
        let two = [("a", 10), ("b", 10)].into_iter();
        assert_eq!(found(two)[1].as_ref().unwrap().at, "b");
        // Each key parts from the next at a byte of its own, so the search gives up at some time.
        let tower = (1..600).map(|n| (vec![b'a'; n], 700 - n));
        let [_, sought] = found(tower);
        assert!(sought.unwrap().at.len() > 1);
    }

    #[test]
    fn elements_weigh_where_their_key_is() {
        let engine = MemEngine::default();
        let keys = || (0..600).map(|n| format!("{n:05}"));
        fill(&engine, keys().map(|key| (key, vec![0; 100])));
        let mut batch = Batch::default();
        let (group, change) = (coterie_types::GroupId(1), 1);
        let incarnation = coterie_types::Version { group, change };
        for n in 0..1000u32 {
            let of = (TableId(0), &b"00450"[..]);
            let element = layout::element_key(of, incarnation, 0, &n.to_be_bytes());
            batch.put(element, vec![0; 1000]);
        }
        engine.write(batch).unwrap();
        let bounds = KeyRange::all(TableId(0));
        for limits in [&LIMITS, &SEEK] {
            let point = find_within(&engine, &bounds, limits).unwrap().unwrap();
            // The whole collection is on the same side.
            assert!(["00450", "00451"].contains(&std::str::from_utf8(&point.at).unwrap()));
            let (left, right) = (point.left_bytes, point.right_bytes);
            assert!(
                left.max(right) > 1_000_000 && left + right > 1_060_000,
                "{point:?}"
            );
        }
    }

    #[test]
    fn a_large_range_is_not_walked() {
        let dir = tempfile::tempdir().unwrap();
        let shared = RocksShared::new(1 << 20, 0).unwrap();
        let engine = RocksEngine::open(dir.path(), &shared).unwrap();
        // Nearly random, so that compression on disk does not shrink it.
        let noise = |n: u64| {
            let words = (0..64).map(move |i| (64 * n + i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            words.flat_map(|w| (w ^ (w >> 29)).wrapping_mul(w | 1).to_le_bytes())
        };
        let records =
            |from: u64| (from..from + 3000).map(|n| (format!("{n:05}"), noise(n).collect()));
        let bounds = KeyRange::all(TableId(0));
        fill(&engine, records(0));
        engine.flush().unwrap();
        fill(&engine, records(3000));
        engine.flush().unwrap();
        let (start, end) = layout::header_interval(&bounds);
        let on_disk = size(&engine, &start, &end);
        let limits = |disk_bytes, bytes| Limits {
            disk_bytes,
            bytes,
            records: u64::MAX,
        };
        // The range has too much on disk, or turns out to have too much during the walk.
        for limits in [limits(1 << 20, u64::MAX), limits(u64::MAX, 1 << 20)] {
            let point = find_within(&engine, &bounds, &limits).unwrap().unwrap();
            assert_eq!(point.left_bytes + point.right_bytes, on_disk);
            let at: u32 = std::str::from_utf8(&point.at).unwrap().parse().unwrap();
            assert!((2700..=3300).contains(&at), "{point:?}");
        }
        let walked = find(&engine, &bounds).unwrap().unwrap();
        let at: u32 = std::str::from_utf8(&walked.at).unwrap().parse().unwrap();
        assert!((2990..=3010).contains(&at), "{walked:?}");
    }
}
