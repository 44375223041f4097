//! Whether intervals tile a table: every key in an interval, none in two.

use bytes::Bytes;
use coterie_types::{KeyRange, TableId};

/// A fault of a tiling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Misfit<T> {
    /// No interval has these keys.
    Gap(KeyRange),
    /// Two intervals have the same keys.
    Overlap(T, T),
}

/// The misfits of a table's named intervals.
pub(crate) fn misfits<T: Clone>(table: TableId, named: &[(&KeyRange, T)]) -> Vec<Misfit<T>> {
    let mut intervals: Vec<_> = named
        .iter()
        .filter(|(bounds, _)| bounds.table == table && !bounds.is_empty())
        .collect();
    intervals.sort_by(|a, b| a.0.cmp(b.0));
    let mut misfits = Vec::new();
    // Keys are covered up to `reached`, the last of them by `last`; `None` is the end of the table.
    let mut reached = Some(Bytes::new());
    let mut last: Option<&T> = None;
    for (bounds, name) in intervals {
        match (&reached, last) {
            (Some(at), _) if *at < bounds.start => misfits.push(Misfit::Gap(KeyRange {
                table,
                start: at.clone(),
                end: Some(bounds.start.clone()),
            })),
            (Some(at), _) if *at == bounds.start => {}
            (_, Some(last)) => misfits.push(Misfit::Overlap(last.clone(), name.clone())),
            (_, None) => {}
        }
        let is_further = match (&reached, &bounds.end) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(at), Some(end)) => end > at,
        };
        if is_further {
            reached.clone_from(&bounds.end);
            last = Some(name);
        }
    }
    if let Some(start) = reached {
        let end = None;
        misfits.push(Misfit::Gap(KeyRange { table, start, end }));
    }
    misfits
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: TableId = TableId(3);

    fn interval(start: &'static str, end: &'static str) -> KeyRange {
        KeyRange {
            table: T,
            start: Bytes::from_static(start.as_bytes()),
            end: (!end.is_empty()).then(|| Bytes::from_static(end.as_bytes())),
        }
    }

    fn of(intervals: &[(&'static str, &'static str)]) -> Vec<Misfit<usize>> {
        let intervals: Vec<_> = intervals.iter().map(|(s, e)| interval(s, e)).collect();
        let named: Vec<_> = intervals.iter().zip(0..).collect();
        misfits(T, &named)
    }

    #[test]
    fn a_table_that_is_tiled_has_no_misfit() {
        assert_eq!(of(&[("", "")]), []);
        assert_eq!(of(&[("m", "p"), ("", "m"), ("p", "")]), []);
    }

    #[test]
    fn gaps_are_found_wherever_they_are() {
        assert_eq!(of(&[]), [Misfit::Gap(interval("", ""))]);
        assert_eq!(
            of(&[("b", "d"), ("f", "z")]),
            [
                Misfit::Gap(interval("", "b")),
                Misfit::Gap(interval("d", "f")),
                Misfit::Gap(interval("z", "")),
            ]
        );
    }

    #[test]
    fn overlaps_are_found_behind_a_long_interval_too() {
        assert_eq!(of(&[("", "m"), ("f", "")]), [Misfit::Overlap(0, 1)]);
        assert_eq!(of(&[("", ""), ("f", "")]), [Misfit::Overlap(0, 1)]);
        assert_eq!(
            of(&[("", "z"), ("b", "c"), ("f", "g"), ("z", "")]),
            [Misfit::Overlap(0, 1), Misfit::Overlap(0, 2)]
        );
        assert_eq!(of(&[("", ""), ("", "")]), [Misfit::Overlap(0, 1)]);
    }

    #[test]
    fn other_tables_are_not_looked_at() {
        let other = KeyRange::all(TableId(4));
        let whole = interval("", "");
        assert_eq!(misfits(T, &[(&other, 0), (&whole, 1)]), []);
    }
}
