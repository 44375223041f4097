//! Where a range is halved by size.

use bytes::Bytes;
use coterie_storage::{Reader, StorageError, layout};
use coterie_types::KeyRange;

/// Keys that are remembered on the way.
const MARKS_MAX: usize = 4096;

/// A key, and the bytes before and from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SplitPoint {
    pub(crate) at: Bytes,
    pub(crate) left_bytes: u64,
    pub(crate) right_bytes: u64,
}

/// Walks the range once; `None` when it has fewer than two keys.
pub(super) fn find(
    reader: &dyn Reader,
    bounds: &KeyRange,
) -> Result<Option<SplitPoint>, StorageError> {
    let (start, end) = layout::record_interval(bounds);
    // Every so many bytes a key is remembered; when there are too many, every other one goes.
    let (mut marks, mut step) = (Vec::<(Bytes, u64)>::new(), 0u64);
    let (mut bytes, mut keys, mut due) = (0u64, 0u64, 0u64);
    reader.scan(&start, &end, &mut |stored, raw| {
        if keys > 0
            && bytes >= due
            && let Some((_, key)) = layout::parse_record_key(stored)
        {
            marks.push((key, bytes));
            if marks.len() >= MARKS_MAX {
                let mut odd = false;
                marks.retain(|_| {
                    odd = !odd;
                    odd
                });
                step = (step * 2).max(bytes / MARKS_MAX as u64).max(1);
            }
            due = bytes + step;
        }
        keys += 1;
        bytes += (stored.len() + raw.len()) as u64;
        true
    })?;
    let nearest = marks
        .into_iter()
        .min_by_key(|(_, left)| (2 * left).abs_diff(bytes));
    Ok(nearest.map(|(at, left_bytes)| SplitPoint {
        at,
        left_bytes,
        right_bytes: bytes - left_bytes,
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use coterie_storage::{Batch, Engine, MemEngine};
    use coterie_types::TableId;

    use super::*;

    fn found(keys: impl Iterator<Item = (String, usize)>) -> Option<SplitPoint> {
        let engine = MemEngine::default();
        let mut batch = Batch::default();
        for (key, len) in keys {
            batch.put(layout::record_key(TableId(0), key.as_bytes()), vec![0; len]);
        }
        engine.write(batch).unwrap();
        find(&engine, &KeyRange::all(TableId(0))).unwrap()
    }

    #[test]
    fn equal_records_are_halved() {
        let point = found((0..20_000).map(|n| (format!("{n:05}"), 10))).unwrap();
        let share = point.left_bytes * 100 / (point.left_bytes + point.right_bytes);
        assert!((49..=51).contains(&share), "{point:?}");
    }

    #[test]
    fn a_large_record_stands_alone_and_one_key_is_not_cut() {
        let sizes = [("a", 10), ("b", 100_000), ("c", 10)];
        let point = found(sizes.into_iter().map(|(k, n)| (k.to_owned(), n))).unwrap();
        assert!(point.at == "b" || point.at == "c", "{point:?}");
        assert_eq!(found([("a".to_owned(), 10)].into_iter()), None);
        assert_eq!(found(std::iter::empty()), None);
    }
}
