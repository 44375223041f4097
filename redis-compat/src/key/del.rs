//! Removing keys and asking for them.

use crate::command::{Command, Part, Topic, command};
use crate::{Args, EvalError, Flags as F, KeyFlags as K, Reply, Route, Txn};

pub(super) const PART: Part = Part::new(&[DEL, UNLINK, EXISTS, TOUCH, TYPE], &[]);

const DEL: Command = command(Topic::Generic, "del")
    .syntax("key ...")
    .flags(F::WRITE)
    .keys(&[K::RM_DELETE.at(1).every(1)])
    .runs(del)
    .route(Route::SumOverKeys)
    .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
    .docs(
        "1.0.0",
        "O(N) where N is the number of keys that will be removed",
        "Removes keys.",
    );

const UNLINK: Command = command(Topic::Generic, "unlink")
    .syntax("key ...")
    .flags(F::WRITE_FAST)
    .keys(&[K::RM_DELETE.at(1).every(1)])
    .runs(del)
    .route(Route::SumOverKeys)
    .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
    .docs(
        "4.0.0",
        "O(1) for each key removed regardless of its size",
        "Removes keys.",
    )
    .deviation("It does the same as DEL.");

/// `DEL key [key ...]`, `UNLINK`: how many were there. O(1) for each key, whatever it holds.
fn del(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let mut removed = 0;
    for key in args.rest(1) {
        if txn.exists(key)? {
            txn.remove(key.clone())?;
            removed += 1;
        }
    }
    Ok(Reply::Integer(removed))
}

const EXISTS: Command = command(Topic::Generic, "exists")
    .syntax("key ...")
    .flags(F::READ_FAST)
    .keys(&[K::RO.at(1).every(1)])
    .runs(exists)
    .route(Route::SumOverKeys)
    .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
    .docs(
        "1.0.0",
        "O(N) where N is the number of keys to check",
        "Counts the given keys that exist.",
    );

const TOUCH: Command = command(Topic::Generic, "touch")
    .syntax("key ...")
    .flags(F::READ_FAST)
    .keys(&[K::RO.at(1).every(1)])
    .runs(exists)
    .route(Route::SumOverKeys)
    .tips(&["request_policy:multi_shard", "response_policy:agg_sum"])
    .docs(
        "3.2.1",
        "O(N) where N is the number of keys that will be touched",
        "Counts the given keys that exist.",
    )
    .deviation("It does the same as EXISTS, because accesses are not tracked.");

/// `EXISTS key [key ...]`, `TOUCH`: how many are there, each as often as it is named. O(1) for
/// each.
fn exists(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let mut found = 0;
    for key in args.rest(1) {
        found += i64::from(txn.exists(key)?);
    }
    Ok(Reply::Integer(found))
}

const TYPE: Command = command(Topic::Generic, "type")
    .syntax("key")
    .flags(F::READ_FAST)
    .keys(&[K::RO.at(1)])
    .runs(key_type)
    .docs("1.0.0", "O(1)", "Returns the type of a value.");

/// `TYPE key`: the name of the type, `none` if absent. O(1).
fn key_type(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let value = txn.value(args.bytes(1))?;
    Ok(Reply::simple(
        value.map_or("none", |value| value.kind().name()),
    ))
}
