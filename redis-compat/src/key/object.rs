//! How a value is stored: `OBJECT` and `MEMORY USAGE`.
//!
//! Redis keeps strings in three ways and tells which by `OBJECT ENCODING`. Coterie keeps bytes, and
//! notes the encoding that Redis would report ([`crate::Encoding`]). Accesses are not tracked.

use super::Value;
use crate::command::{Command, Part, Topic, command};
use crate::errors::SYNTAX;
use crate::errors::error_lines;
use crate::{Args, Encoding, EvalError, Flags as F, KeyFlags as K, Reply, Txn, number};

pub(super) const PART: Part = Part::new(
    &[
        OBJECT,
        OBJECT_ENCODING,
        OBJECT_REFCOUNT,
        OBJECT_IDLETIME,
        OBJECT_FREQ,
        OBJECT_HELP,
        MEMORY_USAGE,
    ],
    LINES,
);

error_lines! {
    /// `OBJECT FREQ` without an LFU policy, which Coterie does not have.
    NO_LFU_POLICY = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. \
        Please note that when switching between policies at runtime LRU and LFU data will take \
        some time to adjust.";
}

/// Redis shares the integers below this.
const SHARED_INTEGERS: i64 = 10_000;
/// The count that Redis reports for a shared object.
const SHARED_REFCOUNT: i64 = i32::MAX as i64;

const OBJECT: Command = command(Topic::Generic, "object").container().docs(
    "2.2.3",
    "Depends on subcommand",
    "A container for commands about the internals of a value.",
);

const OBJECT_ENCODING: Command = command(Topic::Generic, "object|encoding")
    .syntax("key")
    .flags(F::READ)
    .keys(&[K::RO.at(2)])
    .runs(object_encoding)
    .tips(&["nondeterministic_output"])
    .hints("reply=encoding")
    .docs("2.2.3", "O(1)", "Returns the internal encoding of a value.");

/// `OBJECT ENCODING key`: `int`, `embstr` or `raw`; null if absent. O(1).
fn object_encoding(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let value = txn.value(args.bytes(2))?;
    Ok(match value {
        Some(value) => Reply::text(value.encoding_name()?),
        None => Reply::Null,
    })
}

const OBJECT_REFCOUNT: Command = command(Topic::Generic, "object|refcount")
    .syntax("key")
    .flags(F::READ)
    .keys(&[K::RO.at(2)])
    .runs(object_refcount)
    .tips(&["nondeterministic_output"])
    .hints("reply=ours")
    .docs(
        "2.2.3",
        "O(1)",
        "Returns the number of references to a value.",
    )
    .deviation("A copy of a small integer counts as shared, too.");

/// `OBJECT REFCOUNT key`: 1, or a large number for small integers; null if absent. O(1).
fn object_refcount(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let value = txn.value(args.bytes(2))?;
    Ok(value.map_or(Reply::Null, |value| Reply::Integer(refcount(value))))
}

fn refcount(value: Value) -> i64 {
    let Some(string) = value.into_string() else {
        return 1;
    };
    match number::parse_int(string.bytes()) {
        Some(0..SHARED_INTEGERS) if string.encoding() == Encoding::Int => SHARED_REFCOUNT,
        _ => 1,
    }
}

const OBJECT_IDLETIME: Command = command(Topic::Generic, "object|idletime")
    .syntax("key")
    .flags(F::READ)
    .keys(&[K::RO.at(2)])
    .runs(object_idletime)
    .tips(&["nondeterministic_output"])
    .hints("reply=ours")
    .docs(
        "2.2.3",
        "O(1)",
        "Returns the time since a value was last accessed.",
    )
    .deviation("The reply is always 0, because accesses are not tracked.");

/// `OBJECT IDLETIME key`: 0; null if absent. O(1).
fn object_idletime(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let exists = txn.exists(args.bytes(2))?;
    Ok(if exists {
        Reply::Integer(0)
    } else {
        Reply::Null
    })
}

const OBJECT_FREQ: Command = command(Topic::Generic, "object|freq")
    .syntax("key")
    .flags(F::READ)
    .keys(&[K::RO.at(2)])
    .runs(object_freq)
    .tips(&["nondeterministic_output"])
    .docs("4.0.0", "O(1)", "Returns how often a value is accessed.")
    .deviation(
        "It is refused, as in a Redis without an LFU policy, because accesses are not tracked.",
    );

/// `OBJECT FREQ key`: refused, as without an LFU policy; null if absent. O(1).
fn object_freq(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    if txn.exists(args.bytes(2))? {
        Err(NO_LFU_POLICY.into())
    } else {
        Ok(Reply::Null)
    }
}

const OBJECT_HELP: Command = command(Topic::Generic, "object|help")
    .flags(F::ANY_TIME)
    .runs(object_help)
    .docs("6.2.0", "O(1)", "Lists the subcommands.");

/// `OBJECT HELP`: the subcommands.
fn object_help(_: &mut Txn<'_>, _: &Args<'_>) -> Result<Reply, EvalError> {
    Ok(Reply::help(
        "OBJECT",
        &[
            "ENCODING <key>",
            "    Return the kind of internal representation used in order to store the value",
            "    associated with a <key>.",
            "FREQ <key>",
            "    Return the access frequency index of the <key>. The returned integer is",
            "    proportional to the logarithm of the recent access frequency of the key.",
            "IDLETIME <key>",
            "    Return the idle time of the <key>, that is the approximated number of",
            "    seconds elapsed since the last access to the key.",
            "REFCOUNT <key>",
            "    Return the number of references of the value associated with the specified",
            "    <key>.",
        ],
    ))
}

const MEMORY_USAGE: Command = command(Topic::Server, "memory|usage")
    .syntax("key [SAMPLES count]")
    .flags(F::READ)
    .keys(&[K::RO.at(2)])
    .runs(memory_usage)
    .hints("reply=ours")
    .docs(
        "4.0.0",
        "O(N) where N is the number of samples",
        "Returns the bytes that a key and its value take.",
    )
    .deviation(
        "The reply is the stored size of key and record in bytes; SAMPLES is checked and not \
        used.",
    );

/// `MEMORY USAGE key [SAMPLES count]`: the bytes of the record as stored; null if absent. O(1).
///
/// Errors: `NOT_AN_INTEGER`, `SYNTAX`.
fn memory_usage(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let mut words = args.options(3);
    while let Some(word) = words.next() {
        if word.keyword().as_str() != "samples" || words.int()? < 0 {
            return Err(SYNTAX.into());
        }
    }
    let key = args.bytes(2);
    let bytes = |value: Value| Reply::Integer((key.len() + value.stored_bytes()) as i64);
    Ok(txn.value(key)?.map_or(Reply::Null, bytes))
}
