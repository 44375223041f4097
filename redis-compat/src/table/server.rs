//! Rows of the commands about the server.

use crate::command::{Command, Group, proxy, row, spec};
use crate::{Categories as C, Flags as F, Keys, Route, key};

const G: Group = Group::Server;

pub(super) const ROWS: &[Command] = &[
    proxy(G, "command", -1, F::LOADING.with(F::STALE))
        .categories(C::CONNECTION)
        .tips(&["nondeterministic_output_order"])
        .since(
            "2.8.13",
            "O(N) where N is the total number of Redis commands",
        )
        .summary("Describes all commands.")
        .subcommands(&[
            proxy(G, "command|count", 2, F::LOADING.with(F::STALE))
                .categories(C::CONNECTION)
                .since("2.8.13", "O(1)")
                .summary("Counts the commands."),
            proxy(G, "command|docs", -2, F::LOADING.with(F::STALE))
                .categories(C::CONNECTION)
                .tips(&["nondeterministic_output_order"])
                .since("7.0.0", "O(N) where N is the number of commands to look up")
                .summary("Answers the documentation of commands."),
            proxy(G, "command|getkeys", -4, F::LOADING.with(F::STALE))
                .categories(C::CONNECTION)
                .since(
                    "2.8.13",
                    "O(N) where N is the number of arguments to the command",
                )
                .summary("Finds the keys among the words of a command."),
            proxy(G, "command|getkeysandflags", -4, F::LOADING.with(F::STALE))
                .categories(C::CONNECTION)
                .since(
                    "7.0.0",
                    "O(N) where N is the number of arguments to the command",
                )
                .summary(
                    "Finds the keys among the words of a command, and what is done with \
them.",
                ),
            proxy(G, "command|help", 2, F::LOADING.with(F::STALE))
                .categories(C::CONNECTION)
                .since("5.0.0", "O(1)")
                .summary("Lists the subcommands."),
            proxy(G, "command|info", -2, F::LOADING.with(F::STALE))
                .categories(C::CONNECTION)
                .tips(&["nondeterministic_output_order"])
                .since(
                    "2.8.13",
                    "O(N) where N is the number of commands to look up",
                )
                .summary("Describes commands."),
            proxy(G, "command|list", -2, F::LOADING.with(F::STALE))
                .categories(C::CONNECTION)
                .tips(&["nondeterministic_output_order"])
                .since(
                    "7.0.0",
                    "O(N) where N is the total number of Redis commands",
                )
                .summary("Lists the names of commands."),
        ]),
    proxy(G, "config", -2, F::NONE)
        .since("2.0.0", "Depends on subcommand")
        .summary("A container for settings.")
        .subcommands(&[
            proxy(
                G,
                "config|get",
                -3,
                F::ADMIN.with(F::NOSCRIPT).with(F::LOADING).with(F::STALE),
            )
            .since(
                "2.0.0",
                "O(N) when N is the number of configuration parameters provided",
            )
            .summary("Answers settings.")
            .deviation("only the settings that mean something here."),
            proxy(G, "config|help", 2, F::LOADING.with(F::STALE))
                .since("5.0.0", "O(1)")
                .summary("Lists the subcommands."),
            proxy(
                G,
                "config|resetstat",
                2,
                F::ADMIN.with(F::NOSCRIPT).with(F::LOADING).with(F::STALE),
            )
            .since("2.0.0", "O(1)")
            .summary("Sets statistics back to zero."),
            proxy(
                G,
                "config|rewrite",
                2,
                F::ADMIN.with(F::NOSCRIPT).with(F::LOADING).with(F::STALE),
            )
            .since("2.8.0", "O(1)")
            .summary("Writes settings to their file.")
            .deviation(
                "refused as in a Redis without a config file: lasting settings are \
flags.",
            ),
            proxy(
                G,
                "config|set",
                -4,
                F::ADMIN.with(F::NOSCRIPT).with(F::LOADING).with(F::STALE),
            )
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
            .since(
                "2.0.0",
                "O(N) when N is the number of configuration parameters provided",
            )
            .summary("Changes settings.")
            .deviation(
                "only the settings that mean something here, on one proxy and until \
it ends; those that cannot change may be set to what they are \
where Redis can change them.",
            ),
        ]),
    proxy(G, "dbsize", 1, F::READ.with(F::FAST))
        .categories(C::KEYSPACE)
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"])
        .route(Route::EachRange)
        .since("1.0.0", "O(1)")
        .summary("Counts the keys of the database.")
        .deviation("counts by reading all keys, range after range."),
    proxy(
        G,
        "debug",
        -2,
        F::ADMIN.with(F::NOSCRIPT).with(F::LOADING).with(F::STALE),
    )
    .since("1.0.0", "Depends on subcommand")
    .summary("Commands for tests.")
    .deviation(
        "only SLEEP, which holds one connection, and SET-ACTIVE-EXPIRE and \
QUICKLIST-PACKED-THRESHOLD, which do nothing.",
    ),
    proxy(G, "flushall", -1, F::WRITE)
        .categories(C::KEYSPACE.with(C::DANGEROUS))
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .route(Route::EachRange)
        .since(
            "1.0.0",
            "O(N) where N is the total number of keys in all databases",
        )
        .summary("Removes all keys of all databases.")
        .deviation("ASYNC and SYNC do the same; ranges are emptied one after another."),
    proxy(G, "flushdb", -1, F::WRITE)
        .categories(C::KEYSPACE.with(C::DANGEROUS))
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .route(Route::EachRange)
        .since(
            "1.0.0",
            "O(N) where N is the number of keys in the selected database",
        )
        .summary("Removes all keys of the database.")
        .deviation("ASYNC and SYNC do the same; ranges are emptied one after another."),
    proxy(G, "info", -1, F::LOADING.with(F::STALE))
        .categories(C::DANGEROUS)
        .tips(&[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ])
        .since("1.0.0", "O(1)")
        .summary("Describes the server and the cluster.")
        .deviation(
            "only what means something here, and a section `coterie`. Figures are those of this \
proxy; memory and processor time those of its process. `usec` runs from where the proxy began a \
command to its complete answer, with the way to the group and its log, where Redis counts the \
execution alone; each command of a transaction counts the time of the whole. `keyspace_hits` and \
`keyspace_misses` count GET, GETDEL, GETEX and MGET.",
        ),
    proxy(G, "lastsave", 1, F::LOADING.with(F::STALE).with(F::FAST))
        .categories(C::ADMIN.with(C::DANGEROUS))
        .tips(&["nondeterministic_output"])
        .since("1.0.0", "O(1)")
        .summary("Answers when data was last saved."),
    proxy(G, "latency", -2, F::NONE)
        .since("2.8.13", "Depends on subcommand")
        .summary("A container for latency reports.")
        .deviation("no events are sampled: what there is to tell of them is empty.")
        .subcommands(&[
            proxy(
                G,
                "latency|doctor",
                2,
                F::ADMIN.with(F::NOSCRIPT).with(F::LOADING).with(F::STALE),
            )
            .tips(&[
                "nondeterministic_output",
                "request_policy:all_nodes",
                "response_policy:special",
            ])
            .since("2.8.13", "O(1)")
            .summary("Explains latency in words."),
            proxy(
                G,
                "latency|graph",
                3,
                F::ADMIN.with(F::NOSCRIPT).with(F::LOADING).with(F::STALE),
            )
            .tips(&[
                "nondeterministic_output",
                "request_policy:all_nodes",
                "response_policy:special",
            ])
            .since("2.8.13", "O(1)")
            .summary("Draws the latency of an event."),
            proxy(G, "latency|help", 2, F::LOADING.with(F::STALE))
                .since("2.8.13", "O(1)")
                .summary("Lists the subcommands."),
            proxy(
                G,
                "latency|histogram",
                -2,
                F::ADMIN.with(F::NOSCRIPT).with(F::LOADING).with(F::STALE),
            )
            .tips(&[
                "nondeterministic_output",
                "request_policy:all_nodes",
                "response_policy:special",
            ])
            .since(
                "7.0.0",
                "O(N) where N is the number of commands with latency information being \
retrieved",
            )
            .summary("Answers how long commands took.")
            .deviation("the time is that of `usec` in INFO."),
            proxy(
                G,
                "latency|history",
                3,
                F::ADMIN.with(F::NOSCRIPT).with(F::LOADING).with(F::STALE),
            )
            .tips(&[
                "nondeterministic_output",
                "request_policy:all_nodes",
                "response_policy:special",
            ])
            .since("2.8.13", "O(1)")
            .summary("Answers the latency of an event over time."),
            proxy(
                G,
                "latency|latest",
                2,
                F::ADMIN.with(F::NOSCRIPT).with(F::LOADING).with(F::STALE),
            )
            .tips(&[
                "nondeterministic_output",
                "request_policy:all_nodes",
                "response_policy:special",
            ])
            .since("2.8.13", "O(1)")
            .summary("Answers the last latency of each event."),
            proxy(
                G,
                "latency|reset",
                -2,
                F::ADMIN.with(F::NOSCRIPT).with(F::LOADING).with(F::STALE),
            )
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
            .since("2.8.13", "O(1)")
            .summary("Forgets latencies."),
        ]),
    proxy(G, "memory", -2, F::NONE)
        .since("4.0.0", "Depends on subcommand")
        .summary("A container for questions about memory.")
        .subcommands(&[
            proxy(G, "memory|doctor", 2, F::NONE)
                .tips(&[
                    "nondeterministic_output",
                    "request_policy:all_shards",
                    "response_policy:special",
                ])
                .since("4.0.0", "O(1)")
                .summary("Explains memory in words."),
            proxy(G, "memory|help", 2, F::LOADING.with(F::STALE))
                .since("4.0.0", "O(1)")
                .summary("Lists the subcommands."),
            proxy(G, "memory|malloc-stats", 2, F::NONE)
                .tips(&[
                    "nondeterministic_output",
                    "request_policy:all_shards",
                    "response_policy:special",
                ])
                .since(
                    "4.0.0",
                    "Depends on how much memory is allocated, could be slow",
                )
                .summary("Answers what the allocator knows."),
            proxy(G, "memory|purge", 2, F::NONE)
                .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
                .since(
                    "4.0.0",
                    "Depends on how much memory is allocated, could be slow",
                )
                .summary("Asks the allocator to give memory back."),
            proxy(G, "memory|stats", 2, F::NONE)
                .tips(&[
                    "nondeterministic_output",
                    "request_policy:all_shards",
                    "response_policy:special",
                ])
                .since("4.0.0", "O(1)")
                .summary("Answers what memory is used for.")
                .deviation(
                    "only total.allocated and clients.normal of the proxy, and \
keys.count, which is 0.",
                ),
            row(
                G,
                "memory|usage",
                -3,
                F::READ,
                Keys::One(2),
                key::memory_usage,
            )
            .specs(&[spec(&["RO"], 2, 0, 1)])
            .since("4.0.0", "O(N) where N is the number of samples")
            .summary("Answers how many bytes a key and its value take.")
            .deviation(
                "the bytes of key and record as stored; SAMPLES is checked and not \
used.",
            ),
        ]),
    proxy(
        G,
        "role",
        1,
        F::NOSCRIPT.with(F::LOADING).with(F::STALE).with(F::FAST),
    )
    .categories(C::ADMIN.with(C::DANGEROUS))
    .since("2.8.12", "O(1)")
    .summary("Answers the part played in replication."),
    proxy(G, "slowlog", -2, F::NONE)
        .since("2.2.12", "Depends on subcommand")
        .summary("A container for the log of slow commands.")
        .deviation(
            "only commands that go to groups or that the proxy runs alone; \
their time is from sending to the replies.",
        )
        .subcommands(&[
            proxy(
                G,
                "slowlog|get",
                -2,
                F::ADMIN.with(F::LOADING).with(F::STALE),
            )
            .tips(&["request_policy:all_nodes", "nondeterministic_output"])
            .since("2.2.12", "O(N) where N is the number of entries returned")
            .summary("Answers entries of the log."),
            proxy(G, "slowlog|help", 2, F::LOADING.with(F::STALE))
                .since("6.2.0", "O(1)")
                .summary("Lists the subcommands."),
            proxy(
                G,
                "slowlog|len",
                2,
                F::ADMIN.with(F::LOADING).with(F::STALE),
            )
            .tips(&[
                "request_policy:all_nodes",
                "response_policy:agg_sum",
                "nondeterministic_output",
            ])
            .since("2.2.12", "O(1)")
            .summary("Counts the entries of the log."),
            proxy(
                G,
                "slowlog|reset",
                2,
                F::ADMIN.with(F::LOADING).with(F::STALE),
            )
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
            .since(
                "2.2.12",
                "O(N) where N is the number of entries in the slowlog",
            )
            .summary("Empties the log."),
        ]),
    proxy(G, "time", 1, F::LOADING.with(F::STALE).with(F::FAST))
        .tips(&["nondeterministic_output"])
        .since("2.6.0", "O(1)")
        .summary("Answers the time."),
];
