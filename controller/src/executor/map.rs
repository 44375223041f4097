//! Meta's map of ranges compared with the ranges that a job began with.

use coterie_protocol::catalog::Catalog;
use coterie_types::RangeDescriptor;

/// Whether the range's table is dropped: its groups have to delete its records.
pub(super) fn is_dropped(catalog: &Catalog, range: &RangeDescriptor) -> bool {
    !catalog.tables.contains_key(&range.bounds.table)
}

/// How the map differs from the range that a job began with. `None` if it does not.
pub(super) fn why_changed(catalog: &Catalog, range: &RangeDescriptor) -> Option<String> {
    let (range_id, epoch) = (range.range_id, range.epoch);
    match catalog.ranges.get(&range_id) {
        Some(now) if now == range => None,
        Some(now) => Some(format!(
            "range {range_id} is at epoch {} in group {}, not at epoch {epoch} in group {}",
            now.epoch, now.group_id, range.group_id
        )),
        None => Some(format!("there is no range {range_id} any more")),
    }
}

/// Whether the map has exactly these ranges.
pub(super) fn has_published(catalog: &Catalog, ranges: &[RangeDescriptor]) -> bool {
    let mut ranges = ranges.iter();
    ranges.all(|range| catalog.ranges.get(&range.range_id) == Some(range))
}

/// Whether the map has the range at this epoch or a later epoch.
pub(super) fn is_known(catalog: &Catalog, range: &RangeDescriptor) -> bool {
    let known = catalog.ranges.get(&range.range_id);
    known.is_some_and(|known| known.epoch >= range.epoch)
}
