//! Deadlines of fields: HEXPIRE and its like, of Redis 7.4.

use crate::command::{Command, Part, Topic, command};
use crate::deadline::{Of, expire, persist, ttl};
use crate::string::Unit;
use crate::{Flags as F, KeyFlags as K, KeySpec};

pub(super) const PART: Part = Part::new(
    &[
        HEXPIRE,
        HPEXPIRE,
        HEXPIREAT,
        HPEXPIREAT,
        HPERSIST,
        HTTL,
        HPTTL,
        HEXPIRETIME,
        HPEXPIRETIME,
    ],
    &[],
);

const CHANGED: &[KeySpec] = &[K::RW_UPDATE.at(1)];
const READ: &[KeySpec] = &[K::RO_ACCESS.at(1)];
const COST: &str = "O(N) where N is the number of fields named";

const fn sets(name: &'static str, syntax: &'static str, summary: &'static str) -> Command {
    command(Topic::Hash, name)
        .syntax(syntax)
        .flags(F::WRITE_FAST)
        .keys(CHANGED)
        .hints("key=hash-key field=field")
        .docs("7.4.0", COST, summary)
}

const fn asks(name: &'static str, summary: &'static str) -> Command {
    command(Topic::Hash, name)
        .syntax("key fields(FIELDS numfields field ...)")
        .flags(F::READ_FAST)
        .keys(READ)
        .hints("key=hash-key field=field")
        .docs("7.4.0", COST, summary)
}

const HEXPIRE: Command = sets(
    "hexpire",
    "key seconds [condition(NX|XX|GT|LT)] fields(FIELDS numfields field ...)",
    "Sets the deadlines of fields in seconds from now.",
)
.runs(|txn, args| expire(txn, args, Of::Fields, Unit::Seconds));

const HPEXPIRE: Command = sets(
    "hpexpire",
    "key milliseconds [condition(NX|XX|GT|LT)] fields(FIELDS numfields field ...)",
    "Sets the deadlines of fields in milliseconds from now.",
)
.runs(|txn, args| expire(txn, args, Of::Fields, Unit::Millis));

const HEXPIREAT: Command = sets(
    "hexpireat",
    "key unix-time-seconds [condition(NX|XX|GT|LT)] fields(FIELDS numfields field ...)",
    "Sets the deadlines of fields in Unix seconds.",
)
.runs(|txn, args| expire(txn, args, Of::Fields, Unit::AtSeconds));

const HPEXPIREAT: Command = sets(
    "hpexpireat",
    "key unix-time-milliseconds [condition(NX|XX|GT|LT)] fields(FIELDS numfields field ...)",
    "Sets the deadlines of fields in Unix milliseconds.",
)
.runs(|txn, args| expire(txn, args, Of::Fields, Unit::AtMillis));

const HPERSIST: Command = sets(
    "hpersist",
    "key fields(FIELDS numfields field ...)",
    "Removes the deadlines of fields.",
)
.runs(|txn, args| persist(txn, args, Of::Fields));

const HTTL: Command = asks("httl", "Returns the seconds that fields have left.")
    .tips(&["nondeterministic_output"])
    .runs(|txn, args| ttl(txn, args, Of::Fields, Unit::Seconds));

const HPTTL: Command = asks("hpttl", "Returns the milliseconds that fields have left.")
    .tips(&["nondeterministic_output"])
    .runs(|txn, args| ttl(txn, args, Of::Fields, Unit::Millis));

const HEXPIRETIME: Command = asks(
    "hexpiretime",
    "Returns the deadlines of fields in Unix seconds.",
)
.runs(|txn, args| ttl(txn, args, Of::Fields, Unit::AtSeconds));

const HPEXPIRETIME: Command = asks(
    "hpexpiretime",
    "Returns the deadlines of fields in Unix milliseconds.",
)
.runs(|txn, args| ttl(txn, args, Of::Fields, Unit::AtMillis));
