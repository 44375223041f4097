//! Rows of the commands about the connection itself.

use crate::command::{Command, Group, proxy};
use crate::{Categories as C, Flags as F};

const G: Group = Group::Connection;

pub(super) const ROWS: &[Command] = &[
    proxy(
        G,
        "auth",
        -2,
        F::NOSCRIPT
            .with(F::LOADING)
            .with(F::STALE)
            .with(F::FAST)
            .with(F::NO_AUTH)
            .with(F::ALLOW_BUSY),
    )
    .categories(C::CONNECTION)
    .since(
        "1.0.0",
        "O(N) where N is the number of passwords defined for the user",
    )
    .summary("Proves who the client is."),
    proxy(G, "client", -2, F::NONE)
        .since("2.4.0", "Depends on subcommand")
        .summary("A container for commands about connections.")
        .deviation("sees and touches the clients of one proxy.")
        .subcommands(&[
            proxy(
                G,
                "client|caching",
                3,
                F::NOSCRIPT.with(F::LOADING).with(F::STALE),
            )
            .categories(C::CONNECTION)
            .since("6.0.0", "O(1)")
            .summary("Steers tracking for the next command."),
            proxy(
                G,
                "client|getname",
                2,
                F::NOSCRIPT.with(F::LOADING).with(F::STALE),
            )
            .categories(C::CONNECTION)
            .since("2.6.9", "O(1)")
            .summary("Answers the name of the connection."),
            proxy(
                G,
                "client|getredir",
                2,
                F::NOSCRIPT.with(F::LOADING).with(F::STALE),
            )
            .categories(C::CONNECTION)
            .since("6.0.0", "O(1)")
            .summary("Answers where tracking messages go."),
            proxy(G, "client|help", 2, F::LOADING.with(F::STALE))
                .categories(C::CONNECTION)
                .since("5.0.0", "O(1)")
                .summary("Lists the subcommands."),
            proxy(
                G,
                "client|id",
                2,
                F::NOSCRIPT.with(F::LOADING).with(F::STALE),
            )
            .categories(C::CONNECTION)
            .since("5.0.0", "O(1)")
            .summary("Answers the id of the connection."),
            proxy(
                G,
                "client|info",
                2,
                F::NOSCRIPT.with(F::LOADING).with(F::STALE),
            )
            .categories(C::CONNECTION)
            .tips(&["nondeterministic_output"])
            .since("6.2.0", "O(1)")
            .summary("Describes the connection.")
            .deviation("has `watch=`, as Redis since 7.4."),
            proxy(
                G,
                "client|kill",
                -3,
                F::ADMIN.with(F::NOSCRIPT).with(F::LOADING).with(F::STALE),
            )
            .categories(C::CONNECTION)
            .since("2.4.0", "O(N) where N is the number of client connections")
            .summary("Closes connections."),
            proxy(
                G,
                "client|list",
                -2,
                F::ADMIN.with(F::NOSCRIPT).with(F::LOADING).with(F::STALE),
            )
            .categories(C::CONNECTION)
            .tips(&["nondeterministic_output"])
            .since("2.4.0", "O(N) where N is the number of client connections")
            .summary("Describes all connections.")
            .deviation("has `watch=`, as Redis since 7.4."),
            proxy(
                G,
                "client|no-evict",
                3,
                F::ADMIN.with(F::NOSCRIPT).with(F::LOADING).with(F::STALE),
            )
            .categories(C::CONNECTION)
            .since("7.0.0", "O(1)")
            .summary("Says whether the connection may be closed for memory."),
            proxy(
                G,
                "client|no-touch",
                3,
                F::NOSCRIPT.with(F::LOADING).with(F::STALE),
            )
            .categories(C::CONNECTION)
            .since("7.2.0", "O(1)")
            .summary("Says whether reads count as accesses."),
            proxy(
                G,
                "client|pause",
                -3,
                F::ADMIN.with(F::NOSCRIPT).with(F::LOADING).with(F::STALE),
            )
            .categories(C::CONNECTION)
            .since("2.9.50", "O(1)")
            .summary("Holds back commands for a while."),
            proxy(
                G,
                "client|reply",
                3,
                F::NOSCRIPT.with(F::LOADING).with(F::STALE),
            )
            .categories(C::CONNECTION)
            .since("3.2.0", "O(1)")
            .summary("Turns replies off and on."),
            proxy(
                G,
                "client|setinfo",
                4,
                F::NOSCRIPT.with(F::LOADING).with(F::STALE),
            )
            .categories(C::CONNECTION)
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
            .since("7.2.0", "O(1)")
            .summary("Names the client's library and its version."),
            proxy(
                G,
                "client|setname",
                3,
                F::NOSCRIPT.with(F::LOADING).with(F::STALE),
            )
            .categories(C::CONNECTION)
            .since("2.6.9", "O(1)")
            .summary("Names the connection."),
            proxy(
                G,
                "client|tracking",
                -3,
                F::NOSCRIPT.with(F::LOADING).with(F::STALE),
            )
            .categories(C::CONNECTION)
            .since("6.0.0", "O(1)")
            .summary("Turns client-side caching on and off.")
            .deviation("ON is refused: client-side caching is not offered."),
            proxy(
                G,
                "client|trackinginfo",
                2,
                F::NOSCRIPT.with(F::LOADING).with(F::STALE),
            )
            .categories(C::CONNECTION)
            .since("6.2.0", "O(1)")
            .summary("Describes the state of client-side caching."),
            proxy(
                G,
                "client|unblock",
                -3,
                F::ADMIN.with(F::NOSCRIPT).with(F::LOADING).with(F::STALE),
            )
            .categories(C::CONNECTION)
            .since(
                "5.0.0",
                "O(log N) where N is the number of client connections",
            )
            .summary("Wakes a client that waits."),
            proxy(
                G,
                "client|unpause",
                2,
                F::ADMIN.with(F::NOSCRIPT).with(F::LOADING).with(F::STALE),
            )
            .categories(C::CONNECTION)
            .since("6.2.0", "O(N) Where N is the number of paused clients")
            .summary("Ends a pause."),
        ]),
    proxy(G, "echo", 2, F::LOADING.with(F::STALE).with(F::FAST))
        .categories(C::CONNECTION)
        .since("1.0.0", "O(1)")
        .summary("Answers its argument."),
    proxy(
        G,
        "hello",
        -1,
        F::NOSCRIPT
            .with(F::LOADING)
            .with(F::STALE)
            .with(F::FAST)
            .with(F::NO_AUTH)
            .with(F::ALLOW_BUSY),
    )
    .categories(C::CONNECTION)
    .since("6.0.0", "O(1)")
    .summary("Chooses the protocol version, and can authenticate."),
    proxy(G, "ping", -1, F::FAST)
        .categories(C::CONNECTION)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .since("1.0.0", "O(1)")
        .summary("Answers PONG, or its argument."),
    proxy(
        G,
        "quit",
        -1,
        F::NOSCRIPT
            .with(F::LOADING)
            .with(F::STALE)
            .with(F::FAST)
            .with(F::NO_AUTH)
            .with(F::ALLOW_BUSY),
    )
    .categories(C::CONNECTION)
    .since("1.0.0", "O(1)")
    .summary("Closes the connection."),
    proxy(
        G,
        "reset",
        1,
        F::NOSCRIPT
            .with(F::LOADING)
            .with(F::STALE)
            .with(F::FAST)
            .with(F::NO_AUTH)
            .with(F::ALLOW_BUSY),
    )
    .categories(C::CONNECTION)
    .since("6.2.0", "O(1)")
    .summary("Puts the connection back to how it began."),
    proxy(G, "select", 2, F::LOADING.with(F::STALE).with(F::FAST))
        .categories(C::CONNECTION)
        .since("1.0.0", "O(1)")
        .summary("Chooses the database."),
];
