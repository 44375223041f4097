//! The interval of a command that walks one.

use coterie_types::KeyRange;

use crate::{Args, Txn};

/// The interval that words 1 and 2 name.
pub(super) fn bounds(txn: &Txn<'_>, args: &Args<'_>) -> KeyRange {
    let (start, end) = (args.bytes(1).clone(), args.bytes(2).clone());
    KeyRange {
        table: txn.table(),
        start,
        end: (!end.is_empty()).then_some(end),
    }
}
