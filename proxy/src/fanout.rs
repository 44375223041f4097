//! Commands that the proxy answers by asking every range of a table: `DBSIZE`, `KEYS`, `SCAN`,
//! `FLUSHDB`, `RANDOMKEY`.
//!
//! [`Calls`] walks the intervals of a table whatever moves meanwhile, one after another or many in
//! one frame (`frames`); the rest puts answers together. These commands run alone on their connection (`conn::begin`), so nothing here keeps
//! an order. Commands over several *keys* are cut by `conn::route` instead.

mod calls;
mod copies;
mod cursor;
mod flush;
mod frames;
mod key_counts;
mod pages;
mod places;
mod ranges;
mod scan;

pub(crate) use calls::Calls;
pub(crate) use flush::flush;
pub(crate) use key_counts::KeyCounts;
pub(crate) use places::ScanPlaces;
pub(crate) use ranges::{count, keys, random_key};
pub(crate) use scan::{Scan, scan};
