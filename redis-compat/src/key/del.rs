//! Removing keys and asking for them.

use crate::{Args, EvalError, Reply, Txn};

/// `DEL key [key ...]`, `UNLINK`: how many were there. O(1) for each key, whatever it holds.
pub(crate) fn del(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let mut removed = 0;
    for key in args.rest(1) {
        if txn.get(key)?.is_some() {
            txn.remove(key.clone());
            removed += 1;
        }
    }
    Ok(Reply::Integer(removed))
}

/// `EXISTS key [key ...]`, `TOUCH`: how many are there, each as often as it is named. O(1) for
/// each.
pub(crate) fn exists(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let mut found = 0;
    for key in args.rest(1) {
        found += i64::from(txn.get(key)?.is_some());
    }
    Ok(Reply::Integer(found))
}

/// `TYPE key`: the name of the type, `none` if absent. O(1).
pub(crate) fn key_type(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let record = txn.get(args.bytes(1))?;
    Ok(Reply::simple(
        record.map_or("none", |record| record.kind.name()),
    ))
}
