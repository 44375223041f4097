//! The ranges of a table tile it: no gap, no overlap, from its first key to its end.
//!
//! Only the neighbourhood of touched ranges is checked, which is enough if the table was tiled
//! before. A new gap or overlap is next to a touched range: either a neighbour was touched, or a
//! range between them was removed, and its first key is now uncovered.

use coterie_protocol::catalog::Catalog;
use coterie_protocol::meta::Rejection;
use coterie_types::{RangeDescriptor, RangeId, TableId};

use super::edit::{Edit, invalid};

impl Edit<'_> {
    /// Refuses the edit if it leaves a touched table untiled, or lowers an epoch.
    pub(super) fn check_ranges(&self) -> Result<(), Rejection> {
        let touched: Vec<(RangeId, Option<&RangeDescriptor>)> = self.touched_ranges().collect();
        let olds: Vec<&RangeDescriptor> = touched.iter().filter_map(|(_, old)| *old).collect();
        let catalog = self.catalog();
        for (range_id, _) in &touched {
            if let Some(range) = catalog.ranges.get(range_id) {
                check_neighbours(catalog, range)?;
                check_epoch(range, &olds)?;
            }
        }
        for old in olds {
            check_covered(catalog, old)?;
        }
        Ok(())
    }
}

/// Checks that the previous range ends where this range starts, and the next starts where it ends.
fn check_neighbours(catalog: &Catalog, range: &RangeDescriptor) -> Result<(), Rejection> {
    let bounds = &range.bounds;
    if bounds.is_empty() {
        return Err(invalid(format!(
            "range {} is empty: {bounds}",
            range.range_id
        )));
    }
    let start = (bounds.table, bounds.start.clone());
    if catalog.range_starts.get(&start) != Some(&range.range_id) {
        return Err(untiled(range, "another range starts at the same key"));
    }
    let before = catalog
        .range_starts
        .range((bounds.table, bytes::Bytes::new())..start)
        .next_back()
        .and_then(|(_, range_id)| catalog.ranges.get(range_id));
    let fits_before = match before {
        Some(before) => before.bounds.end.as_ref() == Some(&bounds.start),
        None => bounds.start.is_empty(),
    };
    if !fits_before {
        return Err(untiled(
            range,
            "it does not start where the one before ends",
        ));
    }
    let next = (
        std::ops::Bound::Excluded((bounds.table, bounds.start.clone())),
        std::ops::Bound::Excluded((TableId(bounds.table.0 + 1), bytes::Bytes::new())),
    );
    let after = catalog.range_starts.range(next).next();
    let after_start = after.map(|((_, start), _)| start);
    if after_start != bounds.end.as_ref() {
        return Err(untiled(range, "it does not end where the one after starts"));
    }
    Ok(())
}

/// Checks that a range covers the first key of the old range.
fn check_covered(catalog: &Catalog, old: &RangeDescriptor) -> Result<(), Rejection> {
    if catalog
        .locate(old.bounds.table, &old.bounds.start)
        .is_none()
    {
        return Err(untiled(old, "the key it started at would be in no range"));
    }
    Ok(())
}

/// Checks that the epoch rises at every key whose bounds or owner change.
fn check_epoch(range: &RangeDescriptor, olds: &[&RangeDescriptor]) -> Result<(), Rejection> {
    for old in olds {
        let changed = *old != range && old.bounds.overlaps(&range.bounds);
        if changed && range.epoch <= old.epoch {
            return Err(invalid(format!(
                "range {} of epoch {} would take the place of range {} of epoch {}",
                range.range_id, range.epoch, old.range_id, old.epoch
            )));
        }
    }
    Ok(())
}

fn untiled(range: &RangeDescriptor, reason: &str) -> Rejection {
    let (range_id, bounds) = (range.range_id, &range.bounds);
    invalid(format!("range {range_id} {bounds}: {reason}"))
}
