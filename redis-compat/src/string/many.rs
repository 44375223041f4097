//! Many strings in one command.

use crate::{Args, CommandError, EvalError, Kind, Reply, Txn};

/// `MGET key [key ...]`: the values in order, null for a key that is absent or no string. O(1)
/// each. Errors: `ReplyTooLong`.
pub(crate) fn mget(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let mut values = Vec::with_capacity(args.len() - 1);
    for key in args.rest(1) {
        let record = txn.get(key)?.filter(|record| record.kind == Kind::String);
        let value = record.map(|record| record.value);
        txn.take_reply_room(value.as_ref().map_or(0, |value| value.len()))?;
        values.push(Reply::bulk_or_null(value));
    }
    Ok(Reply::Array(values))
}

/// `MSET key value [key value ...]`: OK. Blind. O(1) each. Errors: `WrongArity`.
pub(crate) fn mset(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    check_pairs(args)?;
    put_pairs(txn, args);
    Ok(Reply::OK)
}

/// `MSETNX key value [key value ...]`: 1 if all were set, 0 and none set if any key was there.
///
/// O(1) each. Errors: `WrongArity`.
pub(crate) fn msetnx(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    check_pairs(args)?;
    for pair in args.rest(1).chunks_exact(2) {
        if txn.get(&pair[0])?.is_some() {
            return Ok(Reply::Integer(0));
        }
    }
    put_pairs(txn, args);
    Ok(Reply::Integer(1))
}

/// Each key has its value.
pub(crate) fn check_pairs(args: &Args<'_>) -> Result<(), CommandError> {
    if args.len() % 2 == 1 {
        Ok(())
    } else {
        Err(CommandError::WrongArity(args.name()))
    }
}

fn put_pairs(txn: &mut Txn<'_>, args: &Args<'_>) {
    for pair in args.rest(1).chunks_exact(2) {
        txn.put_string(pair[0].clone(), pair[1].clone(), None);
    }
}
