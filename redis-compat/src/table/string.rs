//! Rows of the string commands.

use crate::command::{Command, Group, row, spec};
use crate::{Categories as C, Flags as F, Keys, Route, string};

const G: Group = Group::String;

pub(super) const ROWS: &[Command] = &[
    row(
        G,
        "append",
        3,
        F::WRITE.with(F::DENYOOM).with(F::FAST),
        Keys::One(1),
        string::append,
    )
    .specs(&[spec(&["RW", "insert"], 1, 0, 1)])
    .categories(C::STRING)
    .since("2.0.0", "O(1)")
    .summary("Appends to a string, and creates it if absent."),
    row(
        G,
        "decr",
        2,
        F::WRITE.with(F::DENYOOM).with(F::FAST),
        Keys::One(1),
        string::decr,
    )
    .specs(&[spec(&["RW", "access", "update"], 1, 0, 1)])
    .categories(C::STRING)
    .since("1.0.0", "O(1)")
    .summary("Takes one from a counter."),
    row(
        G,
        "decrby",
        3,
        F::WRITE.with(F::DENYOOM).with(F::FAST),
        Keys::One(1),
        string::decrby,
    )
    .specs(&[spec(&["RW", "access", "update"], 1, 0, 1)])
    .categories(C::STRING)
    .since("1.0.0", "O(1)")
    .summary("Takes a number from a counter."),
    row(
        G,
        "get",
        2,
        F::READ.with(F::FAST),
        Keys::One(1),
        string::get,
    )
    .specs(&[spec(&["RO", "access"], 1, 0, 1)])
    .categories(C::STRING)
    .since("1.0.0", "O(1)")
    .summary("Answers the value of a string."),
    row(
        G,
        "getdel",
        2,
        F::WRITE.with(F::FAST),
        Keys::One(1),
        string::getdel,
    )
    .specs(&[spec(&["RW", "access", "delete"], 1, 0, 1)])
    .categories(C::STRING)
    .since("6.2.0", "O(1)")
    .summary("Answers the value of a string and removes the key."),
    row(
        G,
        "getex",
        -2,
        F::WRITE.with(F::FAST),
        Keys::One(1),
        string::getex,
    )
    .specs(&[spec(&["RW", "access", "update"], 1, 0, 1)
        .notes("RW and UPDATE because it changes the TTL")])
    .categories(C::STRING)
    .since("6.2.0", "O(1)")
    .summary("Answers the value of a string and changes its expiry."),
    row(G, "getrange", 4, F::READ, Keys::One(1), string::getrange)
        .specs(&[spec(&["RO", "access"], 1, 0, 1)])
        .categories(C::STRING)
        .since("2.4.0", "O(N) where N is the length of the returned string")
        .summary("Answers a part of a string."),
    row(
        G,
        "getset",
        3,
        F::WRITE.with(F::DENYOOM).with(F::FAST),
        Keys::One(1),
        string::getset,
    )
    .specs(&[spec(&["RW", "access", "update"], 1, 0, 1)])
    .categories(C::STRING)
    .since("1.0.0", "O(1)")
    .summary("Sets a string and answers the old value."),
    row(
        G,
        "incr",
        2,
        F::WRITE.with(F::DENYOOM).with(F::FAST),
        Keys::One(1),
        string::incr,
    )
    .specs(&[spec(&["RW", "access", "update"], 1, 0, 1)])
    .categories(C::STRING)
    .since("1.0.0", "O(1)")
    .summary("Adds one to a counter."),
    row(
        G,
        "incrby",
        3,
        F::WRITE.with(F::DENYOOM).with(F::FAST),
        Keys::One(1),
        string::incrby,
    )
    .specs(&[spec(&["RW", "access", "update"], 1, 0, 1)])
    .categories(C::STRING)
    .since("1.0.0", "O(1)")
    .summary("Adds a number to a counter."),
    row(
        G,
        "incrbyfloat",
        3,
        F::WRITE.with(F::DENYOOM).with(F::FAST),
        Keys::One(1),
        string::incrbyfloat,
    )
    .specs(&[spec(&["RW", "access", "update"], 1, 0, 1)])
    .categories(C::STRING)
    .since("2.6.0", "O(1)")
    .summary("Adds a floating point number to a counter."),
    row(G, "lcs", -3, F::READ, Keys::range(1, 2, 1), string::lcs)
        .specs(&[spec(&["RO", "access"], 1, 1, 1)])
        .categories(C::STRING)
        .since(
            "7.0.0",
            "O(N*M) where N and M are the lengths of s1 and s2, respectively",
        )
        .check(string::lcs_check)
        .summary("Finds the longest common subsequence of two strings.")
        .deviation("the keys must be on one group, else CROSSGROUP."),
    row(
        G,
        "mget",
        -2,
        F::READ.with(F::FAST),
        Keys::range(1, -1, 1),
        string::mget,
    )
    .specs(&[spec(&["RO", "access"], 1, -1, 1)])
    .categories(C::STRING)
    .tips(&["request_policy:multi_shard"])
    .route(Route::ArrayOverKeys)
    .since("1.0.0", "O(N) where N is the number of keys to retrieve")
    .summary("Answers the values of several strings."),
    row(
        G,
        "mset",
        -3,
        F::WRITE.with(F::DENYOOM),
        Keys::range(1, -1, 2),
        string::mset,
    )
    .specs(&[spec(&["OW", "update"], 1, -1, 2)])
    .categories(C::STRING)
    .tips(&[
        "request_policy:multi_shard",
        "response_policy:all_succeeded",
    ])
    .route(Route::PairsOverKeys)
    .since("1.0.1", "O(N) where N is the number of keys to set")
    .check(string::check_pairs)
    .summary("Sets several strings.")
    .deviation("keys of several groups are set group by group, not at once."),
    row(
        G,
        "msetnx",
        -3,
        F::WRITE.with(F::DENYOOM),
        Keys::range(1, -1, 2),
        string::msetnx,
    )
    .specs(&[spec(&["OW", "insert"], 1, -1, 2)])
    .categories(C::STRING)
    .tips(&["request_policy:multi_shard", "response_policy:agg_min"])
    .since("1.0.1", "O(N) where N is the number of keys to set")
    .check(string::check_pairs)
    .summary("Sets several strings if none of the keys exists.")
    .deviation("the keys must be on one group, else CROSSGROUP."),
    row(
        G,
        "psetex",
        4,
        F::WRITE.with(F::DENYOOM),
        Keys::One(1),
        string::psetex,
    )
    .specs(&[spec(&["OW", "update"], 1, 0, 1)])
    .categories(C::STRING)
    .since("2.6.0", "O(1)")
    .summary("Sets a string with an expiry in milliseconds."),
    row(
        G,
        "set",
        -3,
        F::WRITE.with(F::DENYOOM),
        Keys::One(1),
        string::set,
    )
    .specs(
        &[spec(&["RW", "access", "update", "variable_flags"], 1, 0, 1)
            .notes("RW and ACCESS due to the optional `GET` argument")],
    )
    .categories(C::STRING)
    .since("1.0.0", "O(1)")
    .summary("Sets a string, if asked only under a condition or with an expiry."),
    row(
        G,
        "setex",
        4,
        F::WRITE.with(F::DENYOOM),
        Keys::One(1),
        string::setex,
    )
    .specs(&[spec(&["OW", "update"], 1, 0, 1)])
    .categories(C::STRING)
    .since("2.0.0", "O(1)")
    .summary("Sets a string with an expiry in seconds."),
    row(
        G,
        "setnx",
        3,
        F::WRITE.with(F::DENYOOM).with(F::FAST),
        Keys::One(1),
        string::setnx,
    )
    .specs(&[spec(&["OW", "insert"], 1, 0, 1)])
    .categories(C::STRING)
    .since("1.0.0", "O(1)")
    .summary("Sets a string if the key is absent."),
    row(
        G,
        "setrange",
        4,
        F::WRITE.with(F::DENYOOM),
        Keys::One(1),
        string::setrange,
    )
    .specs(&[spec(&["RW", "update"], 1, 0, 1)])
    .categories(C::STRING)
    .since(
        "2.2.0",
        "O(1), not counting the time taken to copy the new string in place",
    )
    .summary("Overwrites a part of a string."),
    row(
        G,
        "strlen",
        2,
        F::READ.with(F::FAST),
        Keys::One(1),
        string::strlen,
    )
    .specs(&[spec(&["RO"], 1, 0, 1)])
    .categories(C::STRING)
    .since("2.2.0", "O(1)")
    .summary("Answers the length of a string."),
    row(G, "substr", 4, F::READ, Keys::One(1), string::getrange)
        .specs(&[spec(&["RO", "access"], 1, 0, 1)])
        .categories(C::STRING)
        .since("1.0.0", "O(N) where N is the length of the returned string")
        .summary("Answers a part of a string; the old name of GETRANGE."),
];
