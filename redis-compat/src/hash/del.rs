//! Removing fields.

use crate::command::{Command, Part, Topic, command};
use crate::{Args, Classes, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[HDEL], &[]);

const HDEL: Command = command(Topic::Hash, "hdel")
    .syntax("key field ...")
    .flags(F::WRITE_FAST)
    .keys(&[K::RW.with(K::DELETE).at(1)])
    .runs(hdel)
    .hints("key=hash-key field=field")
    .docs(
        "2.0.0",
        "O(N) where N is the number of fields removed",
        "Removes fields of a hash.",
    );

/// `HDEL key field [field ...]`: how many were there. A hash without fields is removed.
///
/// O(log) for each field. Errors: `WRONG_TYPE`.
fn hdel(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    let mut hash = txn.hash(key)?;
    let mut removed = 0;
    for field in args.rest(2) {
        removed += i64::from(hash.remove(txn, field)?.is_some());
    }
    if removed > 0 {
        txn.notify(Classes::HASH, "hdel", key);
        txn.put_hash(key, &mut hash)?;
    }
    Ok(Reply::Integer(removed))
}
