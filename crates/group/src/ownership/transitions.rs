//! Changes of a group's ownership: ranges come, go, are split and merged.
//!
//! Every change may be requested any number of times and takes effect once: a retry finds the
//! result of the first attempt and succeeds. A change that does not fit changes nothing and returns
//! the reason. A change that takes effect leaves the invariants (`invariants`) whole.

use bytes::Bytes;
use coterie_types::{Epoch, GroupId, KeyRange, RangeDescriptor, RangeId};

use super::{Arriving, Ownership};

/// Number of given-away ranges that are remembered.
const MOVED_MAX: usize = 1024;

type Changed = Result<(), String>;

impl Ownership {
    /// Takes ranges that had no owner before: all of them, or none with the reason. A range that is
    /// already owned, with the same descriptor, is accepted.
    pub(crate) fn add(
        &mut self,
        group: GroupId,
        ranges: Vec<RangeDescriptor>,
    ) -> Result<(), String> {
        let mut after = self.owned.clone();
        for range in ranges {
            let (range_id, bounds) = (range.range_id, &range.bounds);
            if after.contains(&range) {
                continue;
            }
            if range.group_id != group || bounds.is_empty() {
                return Err(format!("range {range_id} is empty or another group's"));
            }
            let in_the_way = |owned: &&RangeDescriptor| {
                owned.range_id == range_id || owned.bounds.overlaps(bounds)
            };
            self.check_new(&range)?;
            if let Some(owned) = after.iter().find(in_the_way) {
                return Err(format!(
                    "range {range_id} {bounds} does not fit beside range {} {}",
                    owned.range_id, owned.bounds
                ));
            }
            after.push(range);
        }
        self.own(after);
        Ok(())
    }

    /// Checks that a range may have no owner: not if the group has given it away, or awaits it.
    fn check_new(&self, range: &RangeDescriptor) -> Changed {
        let same = |known: &&RangeDescriptor| {
            known.bounds.overlaps(&range.bounds) && known.epoch >= range.epoch
        };
        let arriving = self.incoming.iter().map(|arriving| &arriving.range);
        let mut known = self.moved.iter().chain(&self.frozen).chain(arriving);
        match known.find(same) {
            Some(known) => Err(format!(
                "range {} {} is not new: group {} has range {} at epoch {}",
                range.range_id, range.bounds, known.group_id, known.range_id, known.epoch
            )),
            None => Ok(()),
        }
    }

    /// Removes ranges, whatever their state, so that they have no owner; returns their intervals.
    pub(crate) fn remove(&mut self, ranges: &[RangeId]) -> Vec<KeyRange> {
        let gone = |range: &RangeDescriptor| ranges.contains(&range.range_id);
        let mut removed: Vec<KeyRange> = Vec::new();
        removed.extend(self.owned.extract_if(.., |r| gone(r)).map(|r| r.bounds));
        removed.extend(self.frozen.extract_if(.., |r| gone(r)).map(|r| r.bounds));
        self.importing.retain(|arriving| !gone(&arriving.range));
        self.incoming.retain(|arriving| !gone(&arriving.range));
        self.debug_check();
        removed
    }

    /// Splits a range; the left part keeps its id.
    pub(crate) fn split(
        &mut self,
        range: &RangeDescriptor,
        at: &Bytes,
        right_id: RangeId,
    ) -> Changed {
        let (left, right) = parts(range, at, right_id);
        if self.owned.contains(&left) && self.owned.contains(&right) {
            return Ok(());
        }
        self.check_settled(range)?;
        if left.bounds.is_empty() || right.bounds.is_empty() {
            return Err(format!(
                "range {} {} is not cut there",
                range.range_id, range.bounds
            ));
        }
        if self.owned.iter().any(|owned| owned.range_id == right_id) {
            return Err(format!("range {right_id} is there already"));
        }
        let mut after = self.owned.clone();
        after.retain(|owned| owned != range);
        after.extend([left, right]);
        self.own(after);
        Ok(())
    }

    /// Merges two neighbours; the id of the left range stays.
    pub(crate) fn merge(&mut self, left: &RangeDescriptor, right: &RangeDescriptor) -> Changed {
        let whole = joined(left, right);
        if self.owned.contains(&whole) {
            return Ok(());
        }
        self.check_settled(left)?;
        self.check_settled(right)?;
        let neighbours = left.bounds.table == right.bounds.table
            && left.bounds.end.as_ref() == Some(&right.bounds.start);
        if !neighbours {
            return Err(format!(
                "ranges {} and {} are no neighbours",
                left.range_id, right.range_id
            ));
        }
        let mut after = self.owned.clone();
        after.retain(|owned| owned != left && owned != right);
        after.push(whole);
        self.own(after);
        Ok(())
    }

    /// Hands a range off: `after` is its descriptor at the new owner. Its records here are frozen.
    pub(crate) fn hand_off(&mut self, group: GroupId, after: &RangeDescriptor) -> Changed {
        if self.moved.contains(after) {
            return Ok(());
        }
        let before = self.owned_as(after.range_id)?;
        let fits = before.bounds == after.bounds && before.epoch.next() == after.epoch;
        if !fits || after.group_id == group {
            return Err(format!(
                "range {} is {} at epoch {} here, and cannot be given away as {} at epoch {}",
                before.range_id, before.bounds, before.epoch, after.bounds, after.epoch
            ));
        }
        let before = before.clone();
        self.check_settled(&before)?;
        self.owned.retain(|owned| *owned != before);
        self.frozen.push(after.clone());
        self.moved
            .retain(|old| !after.bounds.contains_range(&old.bounds));
        if self.moved.len() >= MOVED_MAX {
            self.moved.remove(0);
        }
        self.moved.push(after.clone());
        self.debug_check();
        Ok(())
    }

    /// Announces a range that another group is about to hand off to this group; returns whether it
    /// was new.
    pub(crate) fn begin_import(
        &mut self,
        group: GroupId,
        arriving: &Arriving,
    ) -> Result<bool, String> {
        let range = &arriving.range;
        let is_this = |other: &Arriving| other == arriving;
        if self.incoming.iter().any(is_this) || self.owned.contains(range) {
            return Ok(false);
        }
        if range.group_id != group || arriving.source == group || range.bounds.is_empty() {
            return Err(format!("range {} does not come here", range.range_id));
        }
        self.incoming.retain(|other| {
            other.range.range_id != range.range_id || other.range.epoch > range.epoch
        });
        let incoming = self.incoming.iter().map(|other| &other.range);
        let mut here = self.owned.iter().chain(&self.frozen).chain(incoming);
        if let Some(other) = here.find(|other| other.bounds.overlaps(&range.bounds)) {
            return Err(format!(
                "range {} {} is in the way of range {} {}",
                other.range_id, other.bounds, range.range_id, range.bounds
            ));
        }
        self.incoming.push(arriving.clone());
        Ok(true)
    }

    /// Withdraws an announcement.
    pub(crate) fn cancel_import(&mut self, range_id: RangeId, epoch: Epoch) -> Changed {
        if self.find_owned(range_id, epoch).is_some() {
            return Err(format!("range {range_id} is served here already"));
        }
        self.incoming
            .retain(|arriving| !is(&arriving.range, range_id, epoch));
        Ok(())
    }

    /// Begins to own an announced range; returns whether it was not owned before.
    pub(crate) fn activate(&mut self, range_id: RangeId, epoch: Epoch) -> Result<bool, String> {
        if self.find_owned(range_id, epoch).is_some() {
            return Ok(false);
        }
        let mut found = self
            .incoming
            .extract_if(.., |arriving| is(&arriving.range, range_id, epoch));
        let arriving = found
            .next()
            .ok_or_else(|| format!("range {range_id} was not announced at epoch {epoch}"))?;
        drop(found);
        let mut after = self.owned.clone();
        after.push(arriving.range.clone());
        self.importing.push(arriving);
        self.own(after);
        Ok(true)
    }

    /// Ends an import: all records of the range are here.
    pub(crate) fn finish_import(&mut self, range_id: RangeId) {
        self.importing
            .retain(|arriving| arriving.range.range_id != range_id);
        self.debug_check();
    }

    /// Removes a frozen copy; returns its interval, if it was there.
    pub(crate) fn drop_frozen(&mut self, range_id: RangeId, epoch: Epoch) -> Option<KeyRange> {
        let mut found = self
            .frozen
            .extract_if(.., |range| is(range, range_id, epoch));
        found.next().map(|range| range.bounds)
    }

    fn own(&mut self, mut ranges: Vec<RangeDescriptor>) {
        ranges.sort_by(|a, b| a.bounds.cmp(&b.bounds));
        self.owned = ranges;
        let owned = &self.owned;
        let is_owned =
            |range: &RangeDescriptor| owned.iter().any(|o| o.bounds.overlaps(&range.bounds));
        self.moved.retain(|range| !is_owned(range));
        self.debug_check();
    }

    fn find_owned(&self, range_id: RangeId, epoch: Epoch) -> Option<&RangeDescriptor> {
        self.owned.iter().find(|range| is(range, range_id, epoch))
    }

    fn owned_as(&self, range_id: RangeId) -> Result<&RangeDescriptor, String> {
        let mut owned = self.owned.iter();
        let found = owned.find(|range| range.range_id == range_id);
        found.ok_or_else(|| format!("range {range_id} is not owned here"))
    }

    /// Checks that the range is owned with this descriptor, and all its records are here.
    fn check_settled(&self, range: &RangeDescriptor) -> Changed {
        let range_id = range.range_id;
        let owned = self.owned_as(range_id)?;
        if owned != range {
            return Err(format!(
                "range {range_id} is {} at epoch {} here, not {} at epoch {}",
                owned.bounds, owned.epoch, range.bounds, range.epoch
            ));
        }
        let mut importing = self.importing.iter();
        if importing.any(|arriving| arriving.range.range_id == range_id) {
            return Err(format!("range {range_id} is still being imported"));
        }
        Ok(())
    }
}

fn is(range: &RangeDescriptor, range_id: RangeId, epoch: Epoch) -> bool {
    range.range_id == range_id && range.epoch == epoch
}

/// The two parts of a range, at its next epoch.
fn parts(
    range: &RangeDescriptor,
    at: &Bytes,
    right_id: RangeId,
) -> (RangeDescriptor, RangeDescriptor) {
    let epoch = range.epoch.next();
    let mut left = RangeDescriptor {
        epoch,
        ..range.clone()
    };
    left.bounds.end = Some(at.clone());
    let mut right = RangeDescriptor {
        range_id: right_id,
        epoch,
        ..range.clone()
    };
    right.bounds.start = at.clone();
    (left, right)
}

/// Both ranges merged, at the epoch after the higher of theirs.
fn joined(left: &RangeDescriptor, right: &RangeDescriptor) -> RangeDescriptor {
    let mut whole = RangeDescriptor {
        epoch: left.epoch.max(right.epoch).next(),
        ..left.clone()
    };
    whole.bounds.end.clone_from(&right.bounds.end);
    whole
}

#[cfg(test)]
mod tests {
    use coterie_protocol::Refusal;
    use coterie_types::TableId;

    use super::*;

    const HERE: GroupId = GroupId(1);
    const THERE: GroupId = GroupId(2);

    fn range(
        id: u64,
        epoch: u64,
        start: &'static str,
        end: Option<&'static str>,
    ) -> RangeDescriptor {
        RangeDescriptor {
            range_id: RangeId(id),
            epoch: Epoch(epoch),
            bounds: KeyRange {
                table: TableId(0),
                start: Bytes::from_static(start.as_bytes()),
                end: end.map(|end| Bytes::from_static(end.as_bytes())),
            },
            group_id: HERE,
        }
    }

    fn at(group_id: GroupId, range: RangeDescriptor) -> RangeDescriptor {
        RangeDescriptor { group_id, ..range }
    }

    #[test]
    fn ranges_are_added_all_or_none_and_twice_is_once() {
        let (first, last) = (range(1, 1, "b", Some("d")), range(2, 1, "p", None));
        let mut ownership = Ownership::of(vec![last.clone()]);
        assert_eq!(ownership.add(HERE, vec![first.clone()]), Ok(()));
        assert_eq!(ownership.owned(), [first.clone(), last.clone()]);
        assert_eq!(
            ownership.add(HERE, vec![last.clone(), first.clone()]),
            Ok(())
        );
        let mut refused = |group, ranges| assert!(ownership.add(group, ranges).is_err());
        refused(THERE, vec![range(3, 1, "e", Some("f"))]);
        refused(
            HERE,
            vec![range(3, 1, "e", Some("f")), range(4, 1, "c", Some("e"))],
        );
        refused(HERE, vec![range(2, 1, "e", Some("f"))]);
        assert_eq!(ownership.owned().len(), 2);
        let gone = ownership.remove(&[RangeId(1), RangeId(9)]);
        assert_eq!(gone, [first.bounds]);
        assert_eq!(ownership.owned(), [last]);
    }

    #[test]
    fn a_range_that_was_given_away_or_is_awaited_is_not_added_again() {
        let first = range(1, 1, "b", Some("d"));
        let mut ownership = Ownership::of(vec![first.clone()]);
        let away = at(THERE, range(1, 2, "b", Some("d")));
        ownership.hand_off(HERE, &away).unwrap();
        assert!(ownership.add(HERE, vec![first.clone()]).is_err());
        ownership.drop_frozen(RangeId(1), Epoch(2)).unwrap();
        assert!(ownership.add(HERE, vec![first.clone()]).is_err());
        assert!(ownership.owned().is_empty());
        let mut ownership = Ownership::default();
        let coming = range(1, 3, "b", Some("d"));
        let source = THERE;
        let arriving = Arriving {
            range: coming,
            source,
        };
        ownership.begin_import(HERE, &arriving).unwrap();
        assert!(ownership.add(HERE, vec![first]).is_err());
    }

    #[test]
    fn a_range_is_cut_and_joined_again_at_rising_epochs() {
        let whole = range(1, 4, "", None);
        let mut ownership = Ownership::of(vec![whole.clone()]);
        let m = Bytes::from_static(b"m");
        for _twice in 0..2 {
            ownership.split(&whole, &m, RangeId(7)).unwrap();
        }
        let (left, right) = (range(1, 5, "", Some("m")), range(7, 5, "m", None));
        assert_eq!(ownership.owned(), [left.clone(), right.clone()]);
        assert!(
            ownership.split(&whole, &m, RangeId(8)).is_err(),
            "as it was"
        );
        assert!(
            ownership.split(&left, &m, RangeId(8)).is_err(),
            "its own end"
        );
        assert!(
            ownership.split(&left, &Bytes::new(), RangeId(8)).is_err(),
            "its start"
        );
        assert!(
            ownership.merge(&right, &left).is_err(),
            "the wrong way round"
        );
        for _twice in 0..2 {
            ownership.merge(&left, &right).unwrap();
        }
        assert_eq!(ownership.owned(), [range(1, 6, "", None)]);
    }

    #[test]
    fn a_range_that_is_handed_off_is_refused_with_its_new_owner() {
        let (before, after) = (
            range(1, 4, "b", Some("d")),
            at(THERE, range(1, 5, "b", Some("d"))),
        );
        let mut ownership = Ownership::of(vec![before.clone(), range(2, 1, "p", None)]);
        let wrong = |epoch, end| at(THERE, range(1, epoch, "b", Some(end)));
        assert!(ownership.hand_off(HERE, &wrong(4, "d")).is_err());
        assert!(ownership.hand_off(HERE, &wrong(5, "c")).is_err());
        assert!(ownership.hand_off(HERE, &at(HERE, after.clone())).is_err());
        for _twice in 0..2 {
            ownership.hand_off(HERE, &after).unwrap();
        }
        assert_eq!(ownership.frozen(), std::slice::from_ref(&after));
        let refusal = ownership.check_key(TableId(0), b"c").unwrap_err();
        assert_eq!(
            refusal,
            Refusal::Moved {
                ranges: vec![after.clone()]
            }
        );
        let back = Arriving {
            range: at(HERE, range(1, 6, "b", Some("d"))),
            source: THERE,
        };
        assert!(
            ownership.begin_import(HERE, &back).is_err(),
            "the frozen copy is in the way"
        );
        assert_eq!(ownership.drop_frozen(RangeId(1), Epoch(4)), None);
        assert_eq!(
            ownership.drop_frozen(RangeId(1), Epoch(5)),
            Some(before.bounds)
        );
        assert!(ownership.begin_import(HERE, &back).unwrap());
    }

    #[test]
    fn an_announced_range_is_served_from_its_activation_on() {
        let mut ownership = Ownership::of(vec![range(2, 1, "p", None)]);
        let arriving = Arriving {
            range: range(1, 5, "b", Some("d")),
            source: THERE,
        };
        assert!(
            ownership.activate(RangeId(1), Epoch(5)).is_err(),
            "not announced"
        );
        assert!(ownership.begin_import(HERE, &arriving).unwrap());
        assert!(
            !ownership.begin_import(HERE, &arriving).unwrap(),
            "twice is once"
        );
        assert_eq!(ownership.check_key(TableId(0), b"c"), Err(Refusal::Moving));
        let in_the_way = Arriving {
            range: range(3, 1, "c", Some("e")),
            source: THERE,
        };
        assert!(ownership.begin_import(HERE, &in_the_way).is_err());
        assert!(
            ownership.activate(RangeId(1), Epoch(4)).is_err(),
            "another epoch"
        );
        assert!(ownership.activate(RangeId(1), Epoch(5)).unwrap());
        assert!(
            !ownership.activate(RangeId(1), Epoch(5)).unwrap(),
            "twice is once"
        );
        assert!(ownership.check_key(TableId(0), b"c").is_ok());
        assert!(
            ownership.cancel_import(RangeId(1), Epoch(5)).is_err(),
            "too late"
        );
        let after = at(THERE, range(1, 6, "b", Some("d")));
        assert!(
            ownership.hand_off(HERE, &after).is_err(),
            "not all of it is here"
        );
        ownership.finish_import(RangeId(1));
        ownership.hand_off(HERE, &after).unwrap();
    }

    #[test]
    fn an_announcement_is_taken_back() {
        let mut ownership = Ownership::default();
        let arriving = Arriving {
            range: range(1, 5, "b", Some("d")),
            source: THERE,
        };
        ownership.begin_import(HERE, &arriving).unwrap();
        for _twice in 0..2 {
            ownership.cancel_import(RangeId(1), Epoch(5)).unwrap();
        }
        assert!(ownership.activate(RangeId(1), Epoch(5)).is_err());
        assert!(matches!(
            ownership.check_key(TableId(0), b"c"),
            Err(Refusal::Moved { .. })
        ));
    }

    #[test]
    fn the_ranges_of_a_dropped_table_go_whatever_became_of_them() {
        let mut ownership = Ownership::of(vec![range(1, 1, "", Some("b"))]);
        ownership
            .hand_off(HERE, &at(THERE, range(1, 2, "", Some("b"))))
            .unwrap();
        let arriving = Arriving {
            range: range(2, 5, "b", Some("d")),
            source: THERE,
        };
        ownership.begin_import(HERE, &arriving).unwrap();
        ownership.activate(RangeId(2), Epoch(5)).unwrap();
        assert_eq!(ownership.remove(&[RangeId(1), RangeId(2)]).len(), 2);
        assert!(ownership.frozen().is_empty() && ownership.importing().is_empty());
    }
}
