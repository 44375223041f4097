//! Rows of Coterie's own commands: the administrator's `COTERIE`, and the internal ones by which
//! the proxy asks groups. The names of the latter begin with `_`; they are refused to clients.

use crate::command::{Command, Group, proxy, row};
use crate::{Categories as C, Flags as F, Keys, Route, range, watch};

const G: Group = Group::Coterie;
const READ: F = F::READ.with(F::INTERNAL);
const WRITE: F = F::WRITE.with(F::INTERNAL);
const INTERVAL: Keys = Keys::Interval { start: 1, end: 2 };

pub(super) const ROWS: &[Command] = &[
    proxy(
        G,
        "coterie",
        -2,
        F::ADMIN.with(F::NOSCRIPT).with(F::LOADING).with(F::STALE),
    )
    .categories(C::ADMIN)
    .since("0.1.0", "O(n), n being what is listed")
    .summary("Administers the cluster: nodes, groups, ranges, jobs, settings."),
    row(G, "_count", -3, READ, INTERVAL, range::count)
        .route(Route::EachRange)
        .since("0.1.0", "O(n)")
        .summary("Counts the keys of an interval."),
    row(
        G,
        "_expired",
        -2,
        WRITE,
        Keys::Range {
            first: 1,
            last: -1,
            step: 1,
        },
        range::expired,
    )
    .since("0.1.0", "O(1) for each key")
    .summary("Deletes those of the keys that are expired."),
    row(G, "_flush", 3, WRITE, INTERVAL, range::flush)
        .route(Route::EachRange)
        .since("0.1.0", "O(1)")
        .summary("Empties an interval."),
    row(G, "_keys", -4, READ, INTERVAL, range::keys)
        .route(Route::EachRange)
        .since("0.1.0", "O(n)")
        .summary("Lists the keys of an interval that fit a pattern."),
    row(G, "_random", 3, READ, INTERVAL, range::random)
        .route(Route::EachRange)
        .since("0.1.0", "O(1)")
        .summary("Answers any key of an interval."),
    row(G, "_scan", -4, READ, INTERVAL, range::scan)
        .route(Route::EachRange)
        .since("0.1.0", "O(count)")
        .summary("Lists keys of an interval, up to a number of records."),
    row(G, "_watch", 2, READ, Keys::One(1), watch::watch)
        .since("0.1.0", "O(1)")
        .summary("Answers the token of a key for WATCH."),
];
