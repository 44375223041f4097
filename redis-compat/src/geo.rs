//! The commands for places on earth: members of sorted sets whose scores are cells of a map.
//!
//! ```text
//! trig.rs      sines, the same on every replica
//! distance.rs  metres between places
//! cell.rs      places as scores, and cells of the map
//! shape.rs     the area of a search, and the cells that cover it
//! words.rs     places, lengths and units as clients write them
//! query.rs     the options of a search
//! found.rs     the members of an area: found, ordered, replied, stored
//! ```

mod add;
mod cell;
mod distance;
mod found;
mod places;
mod query;
mod radius;
mod search;
mod shape;
mod trig;
mod words;

use crate::command::Part;

pub(crate) const PARTS: &[Part] = &[
    add::PART,
    places::PART,
    search::PART,
    radius::PART,
    words::PART,
    query::PART,
];
