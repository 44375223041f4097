//! Reading a string, and the reads that also change it.

use crate::{Args, EvalError, Reply, Txn};

/// `GET key`: the value, or null. O(1). Errors: `WrongType`.
pub(crate) fn get(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let record = txn.string(args.bytes(1))?;
    Ok(Reply::bulk_or_null(record.map(|record| record.value)))
}
