//! Another name for a value.

use crate::command::{Command, Part, Topic, command};
use crate::errors::NO_SUCH_KEY;
use crate::{Args, Classes, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[RENAME, RENAMENX], &[]);

const RENAME: Command = command(Topic::Generic, "rename")
    .syntax("key newkey")
    .flags(F::WRITE)
    .keys(&[K::RW_ACCESS_DELETE.at(1), K::OW_UPDATE.at(2)])
    .runs(rename)
    .docs(
        "1.0.0",
        "O(1)",
        "Renames a key and overwrites the new name.",
    )
    .deviation("All keys must be in the same group; otherwise the reply is CROSSGROUP.");

/// `RENAME key newkey`: OK; the old value of `newkey` is gone. The expiry moves along. O(1).
///
/// Errors: `NO_SUCH_KEY`. Source: Redis `db.c`, `renameGenericCommand`.
fn rename(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    rename_generic(txn, args, false)?;
    Ok(Reply::OK)
}

const RENAMENX: Command = command(Topic::Generic, "renamenx")
    .syntax("key newkey")
    .flags(F::WRITE_FAST)
    .keys(&[K::RW_ACCESS_DELETE.at(1), K::OW_INSERT.at(2)])
    .runs(renamenx)
    .docs("1.0.0", "O(1)", "Renames a key unless the new name exists.")
    .deviation("All keys must be in the same group; otherwise the reply is CROSSGROUP.");

/// `RENAMENX key newkey`: 1 if renamed, 0 if `newkey` was there. O(1). Errors: `NO_SUCH_KEY`.
fn renamenx(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    Ok(Reply::Integer(rename_generic(txn, args, true)?.into()))
}

fn rename_generic(txn: &mut Txn<'_>, args: &Args<'_>, nx: bool) -> Result<bool, EvalError> {
    let (from, to) = (args.bytes(1), args.bytes(2));
    let value = txn.value(from)?.ok_or(NO_SUCH_KEY)?;
    if from == to || (nx && txn.exists(to)?) {
        return Ok(false);
    }
    txn.notify_replaced(txn.table(), to);
    txn.copy_to(from, (txn.table(), to.clone()), value)?;
    txn.remove_moved(from.clone())?;
    txn.notify(Classes::GENERIC, "rename_from", from);
    txn.notify(Classes::GENERIC, "rename_to", to);
    Ok(true)
}
