//! The error lines of `SORT`.

use crate::CommandError;
use crate::errors::error_lines;

error_lines! {
    /// An element, or the value that a pattern names, is no number.
    pub(super) NO_NUMBER = "ERR One or more scores can't be converted into double";
    /// A pattern names a key that may be in another group.
    pub(super) FOREIGN_KEY = "ERR BY and GET patterns of SORT may name only keys of the group that holds the \
        sorted key";
    /// The elements to sort are more than a command may hold.
    pub(super) TOO_MANY_ELEMENTS = "ERR the collection is too large to be sorted by a single command";
}

pub(super) const SORT_LINES: &[CommandError] = LINES;
