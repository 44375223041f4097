//! What a group says of itself. A group's own log is the truth about its members and ranges, so a
//! report is taken wherever it knows something newer, and the rest of it is ignored.

use coterie_protocol::catalog::Row;
use coterie_protocol::meta::Rejection;
use coterie_types::{GroupDescriptor, GroupId, RangeDescriptor};

use super::edit::Edit;
use super::invalid;

/// Ids are given one after another from 1: far above is not an id, and must not use them up.
const ID_MAX: u64 = 1 << 48;

impl Edit<'_> {
    /// Takes the members as they are told, and ranges of a higher epoch than known. What would
    /// leave a table untiled is refused: the other half of such a change is not known yet.
    pub(super) fn group_report(
        &mut self,
        group: GroupDescriptor,
        ranges: Vec<RangeDescriptor>,
    ) -> Result<(), Rejection> {
        let group_id = group.group_id;
        let highest_id = ranges.iter().map(|range| range.range_id.0).max();
        if group_id == GroupId(0) || highest_id.max(Some(group_id.0)) > Some(ID_MAX) {
            return Err(invalid(
                "an id in the report is not one that was ever given",
            ));
        }
        let was_given = group_id.0 < self.next().group;
        if was_given && !self.catalog().groups.contains_key(&group_id) {
            // Deleted: a replica that was left behind does not bring it back.
            return Err(Rejection::NotFound(format!("group {group_id}")));
        }
        self.check_members(&group)?;
        self.put(Row::Group(group));
        let mut highest_range = 0;
        for range in ranges.into_iter().filter(|r| r.group_id == group_id) {
            if !self.catalog().tables.contains_key(&range.bounds.table) {
                // Dropped meanwhile.
                continue;
            }
            let known = self.catalog().ranges.get(&range.range_id);
            if known.is_none_or(|known| known.epoch < range.epoch) {
                highest_range = highest_range.max(range.range_id.0);
                self.write_range(range)?;
            }
        }
        self.check_ranges()?;
        // After a loss of meta these ids may be above what it remembers having given.
        let next = self.next();
        next.group = next.group.max(group_id.0 + 1);
        next.range = next.range.max(highest_range + 1);
        Ok(())
    }
}
