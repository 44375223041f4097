//! Many strings in a single command.

use super::StringValue;
use crate::command::{Command, Nulls, Part, Topic, command};
use crate::{Args, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Route, Txn, Value};

pub(super) const PART: Part = Part::new(&[MGET, MSET, MSETNX], &[]);

const MGET: Command = command(Topic::String, "mget")
    .syntax("key ...")
    .flags(F::READ_FAST)
    .keys(&[K::RO_ACCESS.at(1).every(1)])
    .runs(mget)
    .nulls(Nulls::EachKey)
    .route(Route::ArrayOverKeys)
    .tips(&["request_policy:multi_shard"])
    .docs(
        "1.0.0",
        "O(N) where N is the number of keys to retrieve",
        "Returns the string values of several keys.",
    );

/// `MGET key [key ...]`: the values in order, null for a key that is absent or no string. O(1)
/// each. Errors: `ReplyTooLong`.
fn mget(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let mut values = Vec::with_capacity(args.len() - 1);
    for key in args.rest(1) {
        let string = txn.value(key)?.and_then(Value::into_string);
        let value = string.map(StringValue::into_bytes);
        txn.take_reply_room(value.as_ref().map_or(0, |value| value.len()))?;
        values.push(Reply::bulk_or_null(value));
    }
    Ok(Reply::Array(values))
}

const MSET: Command = command(Topic::String, "mset")
    .syntax("key_value(key value) ...")
    .flags(F::WRITE_ROOM)
    .keys(&[K::OW_UPDATE.at(1).every(2)])
    .runs(mset)
    .route(Route::PairsOverKeys)
    .check(check_pairs)
    .blind_unless(&[])
    .tips(&[
        "request_policy:multi_shard",
        "response_policy:all_succeeded",
    ])
    .docs(
        "1.0.1",
        "O(N) where N is the number of keys to set",
        "Sets several strings.",
    )
    .deviation(
        "Keys of several groups are set group by group, so other clients may see a part of \
        them.",
    );

/// `MSET key value [key value ...]`: OK. Blind. O(1) each. Errors: `WrongArity`.
fn mset(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    check_pairs(args)?;
    put_pairs(txn, args)?;
    Ok(Reply::OK)
}

const MSETNX: Command = command(Topic::String, "msetnx")
    .syntax("key_value(key value) ...")
    .flags(F::WRITE_ROOM)
    .keys(&[K::OW_INSERT.at(1).every(2)])
    .runs(msetnx)
    .check(check_pairs)
    .tips(&["request_policy:multi_shard", "response_policy:agg_min"])
    .docs(
        "1.0.1",
        "O(N) where N is the number of keys to set",
        "Sets several strings unless any of the keys exists.",
    )
    .deviation("All keys must be in the same group; otherwise the reply is CROSSGROUP.");

/// `MSETNX key value [key value ...]`: 1 if all were set, 0 and none set if any key was there.
///
/// O(1) each. Errors: `WrongArity`.
fn msetnx(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    check_pairs(args)?;
    for pair in args.rest(1).chunks_exact(2) {
        if txn.exists(&pair[0])? {
            return Ok(Reply::Integer(0));
        }
    }
    put_pairs(txn, args)?;
    Ok(Reply::Integer(1))
}

/// Each key has its value.
fn check_pairs(args: &Args<'_>) -> Result<(), CommandError> {
    if args.len() % 2 == 1 {
        Ok(())
    } else {
        Err(CommandError::WrongArity(args.name()))
    }
}

fn put_pairs(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    for pair in args.rest(1).chunks_exact(2) {
        txn.put_string(pair[0].clone(), pair[1].clone(), None)?;
    }
    Ok(())
}
