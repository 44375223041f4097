//! Rows of the commands for keys of any type.

use crate::command::{Command, Part, Topic, command};
use crate::errors::error_lines;
use crate::{Categories as C, Flags as F, Route};

pub(super) const PART: Part = Part::new(ROWS, LINES);

error_lines! {
    /// `SCAN` with a cursor that is no number.
    pub INVALID_CURSOR = "ERR invalid cursor";
    /// `WAIT` or `CLIENT PAUSE` with a timeout that is no number.
    pub TIMEOUT_NOT_AN_INTEGER = "ERR timeout is not an integer or out of range";
    /// A timeout in seconds that is no number.
    pub TIMEOUT_NOT_A_FLOAT = "ERR timeout is not a float or out of range";
    /// `WAIT` or `CLIENT PAUSE` with a timeout below zero.
    pub TIMEOUT_NEGATIVE = "ERR timeout is negative";
    /// `WAIT` or `CLIENT PAUSE` with a timeout that ends after the last millisecond there is.
    pub TIMEOUT_OUT_OF_RANGE = "ERR timeout is out of range";
}

const ROWS: &[Command] = &[
    command(Topic::Generic, "keys")
        .syntax("pattern")
        .flags(F::READ)
        .route(Route::EachRange)
        .categories(C::KEYSPACE.with(C::DANGEROUS))
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"])
        .docs(
            "1.0.0",
            "O(N) with N being the number of keys in the database, under the assumption \
            that the key names in the database and the given pattern have limited \
            length",
            "Lists the keys that match a pattern.",
        )
        .deviation("Keys come in key order. A user sees only names that its patterns fit."),
    command(Topic::Generic, "randomkey")
        .flags(F::READ)
        .route(Route::EachRange)
        .tips(&["request_policy:all_shards", "nondeterministic_output"])
        .docs("1.0.0", "O(1)", "Returns a random key.")
        .deviation(
            "In a large database some keys are more likely than others. A user sees only names \
            that its patterns fit.",
        ),
    command(Topic::Generic, "scan")
        .syntax("cursor [MATCH pattern] [COUNT count] [TYPE type]")
        .flags(F::READ)
        .route(Route::EachRange)
        .tips(&["nondeterministic_output", "request_policy:special"])
        .docs("2.8.0", "O(1) for every call", "Lists keys page by page.")
        .deviation(
            "Keys come in key order, each once, and the cursor has more digits and is valid on \
            every proxy. A user sees only names that its patterns fit.",
        ),
    command(Topic::Generic, "wait")
        .syntax("numreplicas timeout")
        .flags(F::NOSCRIPT)
        .categories(C::CONNECTION)
        .tips(&["request_policy:all_shards", "response_policy:agg_min"])
        .docs(
            "3.0.0",
            "O(1)",
            "Waits until earlier writes have reached replicas.",
        )
        .deviation(
            "The reply is the lowest count of the groups that the connection wrote to, and no \
            wait is longer than `--request-timeout`, not even with a timeout of 0.",
        ),
];
