//! Approximate bytes of files that records take.

use coterie_storage::{Engine, layout};
use coterie_types::KeyRange;

/// The size of each of these ranges of keys.
pub(super) fn of_ranges<'a>(
    engine: &dyn Engine,
    ranges: impl Iterator<Item = &'a KeyRange>,
) -> Vec<u64> {
    of(engine, ranges.map(layout::header_interval))
}

/// The size of each of these intervals of headers, with the elements of their keys.
pub(super) fn of(engine: &dyn Engine, headers: impl Iterator<Item = layout::Interval>) -> Vec<u64> {
    let intervals: Vec<_> = headers.flat_map(layout::with_elements).collect();
    let sizes = engine.approximate_sizes(&intervals);
    sizes.chunks(2).map(|both| both.iter().sum()).collect()
}
