//! What holds after every change of a group's ownership, checked in debug builds alone.

use coterie_types::RangeDescriptor;

use super::Ownership;

impl Ownership {
    /// Panics if an invariant is broken; costs nothing in a release build.
    pub(super) fn debug_check(&self) {
        let (owned, moved) = (&self.owned, &self.moved);
        debug_assert!(are_in_order(owned), "not in order, or overlap: {owned:?}");
        debug_assert!(
            self.importing.iter().all(|a| owned.contains(&a.range)),
            "imported and not owned: {self:?}"
        );
        let is_owned = |range: &RangeDescriptor| {
            let mut owned = owned.iter();
            owned.any(|owned| owned.bounds.overlaps(&range.bounds))
        };
        debug_assert!(
            !moved.iter().any(is_owned),
            "owned and given away: {self:?}"
        );
    }
}

/// Whether the ranges are sorted and none overlaps another: then no neighbours do.
fn are_in_order(ranges: &[RangeDescriptor]) -> bool {
    ranges.windows(2).all(|pair| {
        let (left, right) = (&pair[0].bounds, &pair[1].bounds);
        left < right && !left.overlaps(right)
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use coterie_types::{Epoch, GroupId, KeyRange, RangeId, TableId};

    use super::*;
    use crate::ownership::Arriving;

    fn range(start: &'static str, end: &'static str) -> RangeDescriptor {
        RangeDescriptor {
            range_id: RangeId(1),
            epoch: Epoch(1),
            bounds: KeyRange {
                table: TableId(0),
                start: Bytes::from_static(start.as_bytes()),
                end: Some(Bytes::from_static(end.as_bytes())),
            },
            group_id: GroupId(1),
        }
    }

    #[test]
    fn neighbours_may_touch() {
        Ownership::of(vec![range("c", "e"), range("a", "c")]).debug_check();
        Ownership::default().debug_check();
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "not in order, or overlap")]
    fn ranges_that_overlap_are_noticed() {
        Ownership::of(vec![range("a", "e"), range("b", "c")]).debug_check();
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "imported and not owned")]
    fn an_import_of_a_range_of_others_is_noticed() {
        let mut ownership = Ownership::of(vec![range("a", "c")]);
        ownership.importing.push(Arriving {
            range: range("c", "e"),
            source: GroupId(2),
        });
        ownership.debug_check();
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "owned and given away")]
    fn a_range_that_is_here_and_was_given_away_is_noticed() {
        let mut ownership = Ownership::of(vec![range("a", "c")]);
        ownership.moved.push(range("b", "d"));
        ownership.debug_check();
    }
}
