//! Rows of the commands for transactions.

use crate::command::{Command, Part, Topic, command};
use crate::errors::error_lines;
use crate::{Flags as F, KeyFlags as K};

pub(super) const PART: Part = Part::new(ROWS, LINES);

error_lines! {
    /// `MULTI` within `MULTI`.
    pub NESTED_MULTI = "ERR MULTI calls can not be nested";
    /// `EXEC` without `MULTI`.
    pub EXEC_WITHOUT_MULTI = "ERR EXEC without MULTI";
    /// `DISCARD` without `MULTI`.
    pub DISCARD_WITHOUT_MULTI = "ERR DISCARD without MULTI";
    /// `WATCH` within `MULTI`.
    pub WATCH_INSIDE_MULTI = "ERR WATCH inside MULTI is not allowed";
    /// A command that `MULTI` does not queue.
    pub NOT_IN_MULTI = "ERR Command not allowed inside a transaction";
    /// `EXEC` after a command that could not be queued.
    pub EXEC_ABORT = "EXECABORT Transaction discarded because of previous errors.";
}

const ROWS: &[Command] = &[
    command(Topic::Transactions, "discard")
        .flags(F::SESSION.with(F::FAST).with(F::ALLOW_BUSY))
        .docs(
            "2.0.0",
            "O(N), when N is the number of queued commands",
            "Drops the queued commands of a transaction.",
        ),
    command(Topic::Transactions, "exec")
        .flags(F::SESSION.with(F::SKIP_SLOWLOG))
        .docs(
            "1.2.0",
            "Depends on commands in the transaction",
            "Runs the queued commands of a transaction.",
        ),
    command(Topic::Transactions, "multi")
        .flags(F::SESSION.with(F::FAST).with(F::ALLOW_BUSY))
        .docs("1.2.0", "O(1)", "Begins a transaction."),
    command(Topic::Transactions, "unwatch")
        .flags(F::SESSION.with(F::FAST).with(F::ALLOW_BUSY))
        .docs("2.2.0", "O(1)", "Forgets the watched keys."),
    command(Topic::Transactions, "watch")
        .syntax("key ...")
        .flags(F::SESSION.with(F::FAST).with(F::ALLOW_BUSY))
        .keys(&[K::RO.at(1).every(1)])
        .docs(
            "2.2.0",
            "O(1) for every key",
            "Makes the next transaction fail if a key changes before it.",
        )
        .deviation(
            "A watched key that did not exist also counts as changed after a removal of another \
            key of the same slot (of 4096), after a FLUSHDB or FLUSHALL of its group, and \
            after a move of its range.",
        ),
];
