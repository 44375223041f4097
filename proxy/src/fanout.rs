//! Commands that the proxy answers by asking every range of a table: `DBSIZE`, `KEYS`, `SCAN`,
//! `FLUSHDB`, `RANDOMKEY`.
//!
//! [`Calls`] walks the intervals of a table even while ranges move: in turn, or many in a common
//! frame (`frames`). The other files combine the replies. These commands run alone on their
//! connection (`conn::run`), so nothing here keeps an order. Commands over several *keys* are
//! split by `conn::route` instead.

mod calls;
mod copies;
mod count;
mod cursor;
mod each_key;
mod flush;
mod frames;
mod key_counts;
mod pages;
mod places;
mod ranges;
mod scan;

pub(crate) use calls::{Calls, only_reply, unreadable};
pub(crate) use count::count;
pub(crate) use each_key::each_key;
pub(crate) use flush::flush;
pub(crate) use key_counts::KeyCounts;
pub(crate) use places::ScanPlaces;
pub(crate) use ranges::{keys, random_key, random_seen_key};
pub(crate) use scan::{Scan, scan};
