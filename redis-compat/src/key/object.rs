//! What is known of a value's keeping: `OBJECT` and `MEMORY USAGE`.
//!
//! Redis keeps strings in three ways and tells which by `OBJECT ENCODING`. Coterie keeps bytes, and
//! notes what Redis would say ([`crate::Encoding`]). Accesses are not tracked.

use crate::{Args, CommandError, Encoding, EvalError, Record, Reply, Txn, number};

/// Redis shares the integers below this.
const SHARED_INTEGERS: i64 = 10_000;
/// What Redis says of an object that is shared.
const SHARED_REFCOUNT: i64 = i32::MAX as i64;

/// `OBJECT ENCODING key`: `int`, `embstr` or `raw`; null if absent. O(1).
pub(crate) fn object_encoding(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    Ok(txn
        .get(args.bytes(2))?
        .map_or(Reply::Null, |record| Reply::text(record.encoding().name())))
}

/// `OBJECT REFCOUNT key`: 1, or a large number for small integers; null if absent. O(1).
pub(crate) fn object_refcount(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let refcount = |record: Record| match number::parse_int(&record.value) {
        Some(0..SHARED_INTEGERS) if record.encoding() == Encoding::Int => SHARED_REFCOUNT,
        _ => 1,
    };
    Ok(txn
        .get(args.bytes(2))?
        .map_or(Reply::Null, |record| Reply::Integer(refcount(record))))
}

/// `OBJECT IDLETIME key`: 0; null if absent. O(1).
pub(crate) fn object_idletime(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    Ok(txn
        .get(args.bytes(2))?
        .map_or(Reply::Null, |_| Reply::Integer(0)))
}

/// `OBJECT FREQ key`: refused, as without an LFU policy; null if absent. O(1).
pub(crate) fn object_freq(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    match txn.get(args.bytes(2))? {
        None => Ok(Reply::Null),
        Some(_) => Err(CommandError::NoLfuPolicy.into()),
    }
}

/// `OBJECT HELP`: the subcommands.
pub(crate) fn object_help(_: &mut Txn<'_>, _: &Args<'_>) -> Result<Reply, EvalError> {
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

/// `MEMORY USAGE key [SAMPLES count]`: the bytes of the record as stored; null if absent. O(1).
///
/// Errors: `NotAnInteger`, `Syntax`.
pub(crate) fn memory_usage(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let mut at = 3;
    while at < args.len() {
        if !args.is(at, "samples") || at + 1 >= args.len() {
            return Err(CommandError::Syntax.into());
        }
        if args.int(at + 1)? < 0 {
            return Err(CommandError::Syntax.into());
        }
        at += 2;
    }
    let key = args.bytes(2);
    Ok(txn.get(key)?.map_or(Reply::Null, |record| {
        let mut raw = Vec::new();
        record.encode(&mut raw);
        Reply::Integer((key.len() + raw.len()) as i64)
    }))
}
