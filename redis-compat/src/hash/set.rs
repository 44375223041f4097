//! Setting fields.

use crate::command::{Command, Part, Topic, command};
use crate::{Args, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[HSET, HSETNX], &[]);

const HSET: Command = command(Topic::Hash, "hset")
    .syntax("key field_value(field value) ...")
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_UPDATE.at(1)])
    .runs(hset)
    .hints("weight=8 key=hash-key field=field value=field-value")
    .docs(
        "2.0.0",
        "O(N) where N is the number of fields of the hash",
        "Sets fields of a hash.",
    );

/// `HSET key field value [field value ...]`: how many fields are new. The expiry is kept.
///
/// O(length of the hash). Errors: `WrongArity`, `WRONG_TYPE`, `HASH_TOO_LONG`. Source: Redis
/// `t_hash.c`, `hsetCommand`.
fn hset(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    let pairs = args.rest(2).chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return Err(CommandError::WrongArity(args.name()).into());
    }
    let mut hash = txn.hash(key)?;
    hash.expect_fields(pairs.len());
    let mut added = 0;
    for pair in pairs {
        added += i64::from(hash.set(&pair[0], &pair[1])?);
    }
    txn.put_hash(key.clone(), &hash)?;
    Ok(Reply::Integer(added))
}

const HSETNX: Command = command(Topic::Hash, "hsetnx")
    .syntax("key field value")
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_INSERT.at(1)])
    .runs(hsetnx)
    .hints("weight=2 key=hash-key field=field value=field-value")
    .docs(
        "2.0.0",
        "O(N) where N is the number of fields of the hash",
        "Sets a field of a hash unless the field exists.",
    );

/// `HSETNX key field value`: 1 if set, 0 if the field was there. The expiry is kept.
///
/// O(length of the hash). Errors: `WRONG_TYPE`, `HASH_TOO_LONG`.
fn hsetnx(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (key, field, value) = (args.bytes(1), args.bytes(2), args.bytes(3));
    let mut hash = txn.hash(key)?;
    if hash.get(field)?.is_some() {
        return Ok(Reply::Integer(0));
    }
    hash.set(field, value)?;
    txn.put_hash(key.clone(), &hash)?;
    Ok(Reply::Integer(1))
}
