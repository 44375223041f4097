//! Setting fields.

use crate::command::{Command, Part, Topic, command};
use crate::{Args, Classes, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[HSET, HMSET, HSETNX], &[]);

const HSET: Command = command(Topic::Hash, "hset")
    .syntax("key field_value(field value) ...")
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_UPDATE.at(1)])
    .runs(hset)
    .hints("weight=8 key=hash-key field=field value=field-value")
    .docs(
        "2.0.0",
        "O(N) where N is the number of fields set",
        "Sets fields of a hash.",
    );

/// `HSET key field value [field value ...]`: how many fields are new. The expiry is kept;
/// deadlines of the fields are not.
///
/// O(log) for each field. Errors: `WrongArity`, `WRONG_TYPE`. Source: Redis
/// `t_hash.c`, `hsetCommand`.
fn hset(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    Ok(Reply::Integer(set_all(txn, args)?))
}

const HMSET: Command = command(Topic::Hash, "hmset")
    .syntax("key field_value(field value) ...")
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_UPDATE.at(1)])
    .runs(hmset)
    .hints("key=hash-key field=field value=field-value")
    .docs(
        "2.0.0",
        "O(N) where N is the number of fields set",
        "Sets fields of a hash; the old name of HSET.",
    );

/// `HMSET key field value [field value ...]`: OK; as [`hset`].
fn hmset(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    set_all(txn, args)?;
    Ok(Reply::OK)
}

/// Sets fields; returns how many are new.
fn set_all(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<i64, EvalError> {
    let key = args.bytes(1);
    let pairs = args.rest(2).chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return Err(CommandError::WrongArity(args.name()).into());
    }
    let mut hash = txn.hash(key)?;
    hash.expect_fields(pairs.len());
    let mut added = 0;
    for pair in pairs {
        added += i64::from(hash.set(txn, &pair[0], &pair[1])?);
    }
    txn.put_hash(key, &mut hash)?;
    txn.notify(Classes::HASH, "hset", key);
    Ok(added)
}

const HSETNX: Command = command(Topic::Hash, "hsetnx")
    .syntax("key field value")
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_INSERT.at(1)])
    .runs(hsetnx)
    .hints("weight=2 key=hash-key field=field value=field-value")
    .docs(
        "2.0.0",
        "O(1)",
        "Sets a field of a hash unless the field exists.",
    );

/// `HSETNX key field value`: 1 if set, 0 if the field was there. The expiry is kept.
///
/// O(log) for each field. Errors: `WRONG_TYPE`.
fn hsetnx(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (key, field, value) = (args.bytes(1), args.bytes(2), args.bytes(3));
    let mut hash = txn.hash(key)?;
    if hash.get(txn, field)?.is_some() {
        return Ok(Reply::Integer(0));
    }
    hash.set(txn, field, value)?;
    txn.put_hash(key, &mut hash)?;
    txn.notify(Classes::HASH, "hset", key);
    Ok(Reply::Integer(1))
}
