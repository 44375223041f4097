//! Commands over an interval of a table's keys. The proxy sends them, a call for each range it
//! walks; a client never can (their rows are flagged `INTERNAL`).
//!
//! `start` is the first key of the interval, `end` the first key after it; an empty `end` is the
//! end of the table. `KEYS`, `SCAN`, `DBSIZE`, `FLUSHDB` and `RANDOMKEY` are made of them.

mod bounds;
mod flush;
mod list;
mod random;

pub use list::{PAGE_BYTES, PAGE_RECORDS};

use crate::command::Part;

pub(crate) const PARTS: &[Part] = &[flush::PART, list::PART, random::PART];
