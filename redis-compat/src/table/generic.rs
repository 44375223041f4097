//! Rows of the commands for keys of any type.

use crate::command::{Command, Group, OtherTable, proxy, row, spec};
use crate::{Categories as C, Flags as F, Keys, Route, key};

const G: Group = Group::Generic;

pub(super) const ROWS: &[Command] = &[
    row(
        G,
        "copy",
        -3,
        F::WRITE.with(F::DENYOOM),
        Keys::range(1, 2, 1),
        key::copy,
    )
    .specs(&[
        spec(&["RO", "access"], 1, 0, 1),
        spec(&["OW", "update"], 2, 0, 1),
    ])
    .categories(C::KEYSPACE)
    .other_table(OtherTable::Copy)
    .since(
        "6.2.0",
        "O(N) worst case for collections, where N is the number of nested items",
    )
    .check(key::copy_check)
    .summary("Copies a value to another key.")
    .deviation("the keys must be on one group, else CROSSGROUP."),
    row(G, "del", -2, F::WRITE, Keys::range(1, -1, 1), key::del)
        .specs(&[spec(&["RM", "delete"], 1, -1, 1)])
        .categories(C::KEYSPACE)
        .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
        .route(Route::SumOverKeys)
        .since(
            "1.0.0",
            "O(N) where N is the number of keys that will be removed",
        )
        .summary("Removes keys."),
    row(G, "dump", 2, F::READ, Keys::One(1), key::dump)
        .specs(&[spec(&["RO", "access"], 1, 0, 1)])
        .categories(C::KEYSPACE)
        .tips(&["nondeterministic_output"])
        .since(
            "2.6.0",
            "O(1) to access the key and additional O(N*M) to serialize it, where N \
is the number of Redis objects composing the value and M their average \
size",
        )
        .summary("Answers a value in serialized form.")
        .deviation(
            "RDB version 10, so that every Redis since 7.0 restores it; the \
compressed bytes of long values may differ from those of Redis.",
        ),
    row(
        G,
        "exists",
        -2,
        F::READ.with(F::FAST),
        Keys::range(1, -1, 1),
        key::exists,
    )
    .specs(&[spec(&["RO"], 1, -1, 1)])
    .categories(C::KEYSPACE)
    .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
    .route(Route::SumOverKeys)
    .since("1.0.0", "O(N) where N is the number of keys to check")
    .summary("Counts which of the keys exist."),
    row(
        G,
        "expire",
        -3,
        F::WRITE.with(F::FAST),
        Keys::One(1),
        key::expire,
    )
    .specs(&[spec(&["RW", "update"], 1, 0, 1)])
    .categories(C::KEYSPACE)
    .since("1.0.0", "O(1)")
    .summary("Sets the expiry of a key in seconds from now."),
    row(
        G,
        "expireat",
        -3,
        F::WRITE.with(F::FAST),
        Keys::One(1),
        key::expireat,
    )
    .specs(&[spec(&["RW", "update"], 1, 0, 1)])
    .categories(C::KEYSPACE)
    .since("1.2.0", "O(1)")
    .summary("Sets the expiry of a key in Unix seconds."),
    row(
        G,
        "expiretime",
        2,
        F::READ.with(F::FAST),
        Keys::One(1),
        key::expiretime,
    )
    .specs(&[spec(&["RO", "access"], 1, 0, 1)])
    .categories(C::KEYSPACE)
    .since("7.0.0", "O(1)")
    .summary("Answers the expiry of a key in Unix seconds."),
    proxy(G, "keys", 2, F::READ)
        .categories(C::KEYSPACE.with(C::DANGEROUS))
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"])
        .route(Route::EachRange)
        .since(
            "1.0.0",
            "O(N) with N being the number of keys in the database, under the \
assumption that the key names in the database and the given pattern \
have limited length",
        )
        .summary("Lists the keys that fit a pattern.")
        .deviation("keys come in key order."),
    row(
        G,
        "move",
        3,
        F::WRITE.with(F::FAST),
        Keys::One(1),
        key::move_key,
    )
    .specs(&[spec(&["RW", "access", "update"], 1, 0, 1)])
    .categories(C::KEYSPACE)
    .other_table(OtherTable::Move)
    .since("1.0.0", "O(1)")
    .summary("Moves a key to another database.")
    .deviation("both databases' ranges must be on one group, else CROSSGROUP."),
    proxy(G, "object", -2, F::NONE)
        .since("2.2.3", "Depends on subcommand")
        .summary("A container for questions about how values are kept.")
        .subcommands(&[
            row(
                G,
                "object|encoding",
                3,
                F::READ,
                Keys::One(2),
                key::object_encoding,
            )
            .specs(&[spec(&["RO"], 2, 0, 1)])
            .categories(C::KEYSPACE)
            .tips(&["nondeterministic_output"])
            .since("2.2.3", "O(1)")
            .summary("Answers how a value is kept."),
            row(G, "object|freq", 3, F::READ, Keys::One(2), key::object_freq)
                .specs(&[spec(&["RO"], 2, 0, 1)])
                .categories(C::KEYSPACE)
                .tips(&["nondeterministic_output"])
                .since("4.0.0", "O(1)")
                .summary("Answers how often a value is used.")
                .deviation(
                    "refused as in a Redis without an LFU policy: accesses are not tracked.",
                ),
            row(
                G,
                "object|help",
                2,
                F::LOADING.with(F::STALE),
                Keys::None,
                key::object_help,
            )
            .categories(C::KEYSPACE)
            .since("6.2.0", "O(1)")
            .summary("Lists the subcommands."),
            row(
                G,
                "object|idletime",
                3,
                F::READ,
                Keys::One(2),
                key::object_idletime,
            )
            .specs(&[spec(&["RO"], 2, 0, 1)])
            .categories(C::KEYSPACE)
            .tips(&["nondeterministic_output"])
            .since("2.2.3", "O(1)")
            .summary("Answers how long a value was not used.")
            .deviation("always 0: accesses are not tracked."),
            row(
                G,
                "object|refcount",
                3,
                F::READ,
                Keys::One(2),
                key::object_refcount,
            )
            .specs(&[spec(&["RO"], 2, 0, 1)])
            .categories(C::KEYSPACE)
            .tips(&["nondeterministic_output"])
            .since("2.2.3", "O(1)")
            .summary("Answers how often a value is shared.")
            .deviation("a copy of a small integer counts as shared, too."),
        ]),
    row(
        G,
        "persist",
        2,
        F::WRITE.with(F::FAST),
        Keys::One(1),
        key::persist,
    )
    .specs(&[spec(&["RW", "update"], 1, 0, 1)])
    .categories(C::KEYSPACE)
    .since("2.2.0", "O(1)")
    .summary("Takes away the expiry of a key."),
    row(
        G,
        "pexpire",
        -3,
        F::WRITE.with(F::FAST),
        Keys::One(1),
        key::pexpire,
    )
    .specs(&[spec(&["RW", "update"], 1, 0, 1)])
    .categories(C::KEYSPACE)
    .since("2.6.0", "O(1)")
    .summary("Sets the expiry of a key in milliseconds from now."),
    row(
        G,
        "pexpireat",
        -3,
        F::WRITE.with(F::FAST),
        Keys::One(1),
        key::pexpireat,
    )
    .specs(&[spec(&["RW", "update"], 1, 0, 1)])
    .categories(C::KEYSPACE)
    .since("2.6.0", "O(1)")
    .summary("Sets the expiry of a key in Unix milliseconds."),
    row(
        G,
        "pexpiretime",
        2,
        F::READ.with(F::FAST),
        Keys::One(1),
        key::pexpiretime,
    )
    .specs(&[spec(&["RO", "access"], 1, 0, 1)])
    .categories(C::KEYSPACE)
    .since("7.0.0", "O(1)")
    .summary("Answers the expiry of a key in Unix milliseconds."),
    row(G, "pttl", 2, F::READ.with(F::FAST), Keys::One(1), key::pttl)
        .specs(&[spec(&["RO", "access"], 1, 0, 1)])
        .categories(C::KEYSPACE)
        .tips(&["nondeterministic_output"])
        .since("2.6.0", "O(1)")
        .summary("Answers how long a key has left, in milliseconds."),
    proxy(G, "randomkey", 1, F::READ)
        .categories(C::KEYSPACE)
        .tips(&["request_policy:all_shards", "nondeterministic_output"])
        .route(Route::EachRange)
        .since("1.0.0", "O(1)")
        .summary("Answers any key.")
        .deviation("in a large database some keys are likelier than others."),
    row(G, "rename", 3, F::WRITE, Keys::range(1, 2, 1), key::rename)
        .specs(&[
            spec(&["RW", "access", "delete"], 1, 0, 1),
            spec(&["OW", "update"], 2, 0, 1),
        ])
        .categories(C::KEYSPACE)
        .since("1.0.0", "O(1)")
        .summary("Renames a key and overwrites the new name.")
        .deviation("the keys must be on one group, else CROSSGROUP."),
    row(
        G,
        "renamenx",
        3,
        F::WRITE.with(F::FAST),
        Keys::range(1, 2, 1),
        key::renamenx,
    )
    .specs(&[
        spec(&["RW", "access", "delete"], 1, 0, 1),
        spec(&["OW", "insert"], 2, 0, 1),
    ])
    .categories(C::KEYSPACE)
    .since("1.0.0", "O(1)")
    .summary("Renames a key if the new name is free.")
    .deviation("the keys must be on one group, else CROSSGROUP."),
    row(
        G,
        "restore",
        -4,
        F::WRITE.with(F::DENYOOM),
        Keys::One(1),
        key::restore,
    )
    .specs(&[spec(&["OW", "update"], 1, 0, 1)])
    .categories(C::KEYSPACE.with(C::DANGEROUS))
    .since(
        "2.6.0",
        "O(1) to create the new key and additional O(N*M) to reconstruct the \
serialized value, where N is the number of Redis objects composing the \
value and M their average size",
    )
    .summary("Creates a key from its serialized form.")
    .deviation(
        "strings only; RDB versions up to 11; IDLETIME and FREQ are checked and \
not kept; a relative TTL that ends after the last millisecond of an i64 is refused, where \
Redis answers OK and loses the key.",
    ),
    proxy(G, "scan", -2, F::READ)
        .categories(C::KEYSPACE)
        .tips(&["nondeterministic_output", "request_policy:special"])
        .route(Route::EachRange)
        .since("2.8.0", "O(1) for every call")
        .summary("Lists keys piece by piece.")
        .deviation(
            "keys come in key order, each once; the cursor is longer than that of \
Redis, and valid on any proxy.",
        ),
    row(
        G,
        "touch",
        -2,
        F::READ.with(F::FAST),
        Keys::range(1, -1, 1),
        key::exists,
    )
    .specs(&[spec(&["RO"], 1, -1, 1)])
    .categories(C::KEYSPACE)
    .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
    .route(Route::SumOverKeys)
    .since(
        "3.2.1",
        "O(N) where N is the number of keys that will be touched",
    )
    .summary("Counts which of the keys exist.")
    .deviation("the same as EXISTS: accesses are not tracked."),
    row(G, "ttl", 2, F::READ.with(F::FAST), Keys::One(1), key::ttl)
        .specs(&[spec(&["RO", "access"], 1, 0, 1)])
        .categories(C::KEYSPACE)
        .tips(&["nondeterministic_output"])
        .since("1.0.0", "O(1)")
        .summary("Answers how long a key has left, in seconds."),
    row(
        G,
        "type",
        2,
        F::READ.with(F::FAST),
        Keys::One(1),
        key::key_type,
    )
    .specs(&[spec(&["RO"], 1, 0, 1)])
    .categories(C::KEYSPACE)
    .since("1.0.0", "O(1)")
    .summary("Answers the type of a value."),
    row(
        G,
        "unlink",
        -2,
        F::WRITE.with(F::FAST),
        Keys::range(1, -1, 1),
        key::del,
    )
    .specs(&[spec(&["RM", "delete"], 1, -1, 1)])
    .categories(C::KEYSPACE)
    .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
    .route(Route::SumOverKeys)
    .since("4.0.0", "O(1) for each key removed regardless of its size")
    .summary("Removes keys.")
    .deviation("the same as DEL, which never takes long."),
    proxy(G, "wait", 3, F::NOSCRIPT)
        .categories(C::CONNECTION)
        .tips(&["request_policy:all_shards", "response_policy:agg_min"])
        .since("3.0.0", "O(1)")
        .summary("Waits until earlier writes are on replicas.")
        .deviation(
            "the least over the groups that the connection wrote to; 0 is not \
for ever, but as long as any command may take.",
        ),
];
