//! Rows of MULTI and what belongs to it.

use crate::command::{Command, Group, proxy, spec};
use crate::{Categories as C, Flags as F, Keys};

const G: Group = Group::Transactions;

pub(super) const ROWS: &[Command] = &[
    proxy(
        G,
        "discard",
        1,
        F::NOSCRIPT
            .with(F::LOADING)
            .with(F::STALE)
            .with(F::FAST)
            .with(F::ALLOW_BUSY),
    )
    .categories(C::TRANSACTION)
    .since("2.0.0", "O(N), when N is the number of queued commands")
    .summary("Drops the transaction."),
    proxy(
        G,
        "exec",
        1,
        F::NOSCRIPT
            .with(F::LOADING)
            .with(F::STALE)
            .with(F::SKIP_SLOWLOG),
    )
    .categories(C::TRANSACTION)
    .since("1.2.0", "Depends on commands in the transaction")
    .summary("Runs the transaction."),
    proxy(
        G,
        "multi",
        1,
        F::NOSCRIPT
            .with(F::LOADING)
            .with(F::STALE)
            .with(F::FAST)
            .with(F::ALLOW_BUSY),
    )
    .categories(C::TRANSACTION)
    .since("1.2.0", "O(1)")
    .summary("Begins a transaction."),
    proxy(
        G,
        "unwatch",
        1,
        F::NOSCRIPT
            .with(F::LOADING)
            .with(F::STALE)
            .with(F::FAST)
            .with(F::ALLOW_BUSY),
    )
    .categories(C::TRANSACTION)
    .since("2.2.0", "O(1)")
    .summary("Forgets the watched keys."),
    proxy(
        G,
        "watch",
        -2,
        F::NOSCRIPT
            .with(F::LOADING)
            .with(F::STALE)
            .with(F::FAST)
            .with(F::ALLOW_BUSY),
    )
    .keys(Keys::range(1, -1, 1))
    .specs(&[spec(&["RO"], 1, -1, 1)])
    .categories(C::TRANSACTION)
    .since("2.2.0", "O(1) for every key")
    .summary("Makes the next transaction depend on keys staying as they are.")
    .deviation(
        "a key that did not exist counts as touched when another key of the same slot (one of 4096) \
was removed since, when a database of its group was emptied, or when its range has moved to another group.",
    ),
];
