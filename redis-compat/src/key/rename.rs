//! Another name for a value.

use crate::{Args, CommandError, EvalError, Reply, Txn};

/// `RENAME key newkey`: OK; what `newkey` held is gone. The expiry moves along. O(1).
///
/// Errors: `NoSuchKey`. Source: Redis `db.c`, `renameGenericCommand`.
pub(crate) fn rename(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    rename_generic(txn, args, false)?;
    Ok(Reply::OK)
}

/// `RENAMENX key newkey`: 1 if renamed, 0 if `newkey` was there. O(1). Errors: `NoSuchKey`.
pub(crate) fn renamenx(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    Ok(Reply::Integer(rename_generic(txn, args, true)?.into()))
}

fn rename_generic(txn: &mut Txn<'_>, args: &Args<'_>, nx: bool) -> Result<bool, EvalError> {
    let (from, to) = (args.bytes(1), args.bytes(2));
    let record = txn.get(from)?.ok_or(CommandError::NoSuchKey)?;
    if from == to || (nx && txn.get(to)?.is_some()) {
        return Ok(false);
    }
    txn.put(to.clone(), record);
    txn.remove(from.clone());
    Ok(true)
}
