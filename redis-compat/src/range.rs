//! Commands over an interval of a table's keys. The proxy sends them, a call for each range it
//! walks; a client never can (their rows are flagged `INTERNAL`).
//!
//! `start` is the first key of the interval, `end` the first key after it; an empty `end` is the
//! end of the table. `KEYS`, `SCAN`, `DBSIZE`, `FLUSHDB` and `RANDOMKEY` are made of them.

mod flush;
mod list;
mod random;

pub use list::{PAGE_BYTES, PAGE_RECORDS};

use coterie_types::KeyRange;

use crate::command::Part;
use crate::{Args, Txn};

pub(crate) const PARTS: &[Part] = &[flush::PART, list::PART, random::PART];

/// The interval that words 1 and 2 name.
fn bounds(txn: &Txn<'_>, args: &Args<'_>) -> KeyRange {
    let (start, end) = (args.bytes(1).clone(), args.bytes(2).clone());
    KeyRange {
        table: txn.table(),
        start,
        end: (!end.is_empty()).then_some(end),
    }
}
