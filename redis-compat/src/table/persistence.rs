//! Rows of the commands that have Redis save its dataset, or end. A cluster has every acknowledged
//! write on disk, and is stopped by those who run it.

use crate::Flags as F;
use crate::command::{Command, Part, Topic, command};
use crate::errors::error_lines;

pub(super) const PART: Part = Part::new(ROWS, LINES);

error_lines! {
    /// `SHUTDOWN`: a client cannot stop the cluster.
    pub NO_SHUTDOWN = "ERR Errors trying to SHUTDOWN. Check logs.";
    /// `SHUTDOWN ABORT`: nothing is shutting down.
    pub NOTHING_TO_ABORT = "ERR No shutdown in progress.";
}

/// For administrators, never while a dataset is being loaded.
const SAVES: F = F::ADMIN.with(F::NOSCRIPT).with(F::NO_ASYNC_LOADING);

const ROWS: &[Command] = &[
    command(Topic::Server, "bgrewriteaof")
        .flags(SAVES)
        .docs(
            "1.0.0",
            "O(1)",
            "Asynchronously rewrites the append-only file to disk.",
        )
        .deviation("It does nothing: acknowledged writes are on disk."),
    command(Topic::Server, "bgsave")
        .syntax("[SCHEDULE]")
        .flags(SAVES)
        .docs(
            "1.0.0",
            "O(1)",
            "Asynchronously saves the database(s) to disk.",
        )
        .deviation("It does nothing: acknowledged writes are on disk."),
    command(Topic::Server, "save")
        .flags(SAVES.with(F::NO_MULTI))
        .docs(
            "1.0.0",
            "O(N) where N is the total number of keys in all databases",
            "Synchronously saves the database(s) to disk.",
        )
        .deviation("It does nothing: acknowledged writes are on disk."),
    command(Topic::Server, "shutdown")
        .syntax("[nosave_save(NOSAVE|SAVE)] [NOW] [FORCE] [ABORT]")
        .flags(F::ADMINISTERS.with(F::NO_MULTI).with(F::ALLOW_BUSY))
        .docs(
            "1.0.0",
            "O(N) when saving, where N is the total number of keys in all databases when saving \
            data, otherwise O(1)",
            "Synchronously saves the database(s) to disk and shuts down the Redis server.",
        )
        .deviation("It is refused: those who run a cluster stop its processes."),
];
