//! Emptying an interval, and sweeping what is expired.

use super::bounds;
use crate::{Args, EvalError, Reply, Txn};

/// `_FLUSH start end`: OK; the interval is empty. O(1) here, and one range deletion in the store.
pub(crate) fn flush(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let bounds = bounds(txn, args);
    txn.clear(bounds);
    Ok(Reply::OK)
}

/// `_EXPIRED key [key ...]`: how many were expired, and are deleted now. O(1) for each key.
///
/// The background sweep names keys it found expired by its own clock; the entry's clock decides. No
/// command could see them, so this is no change.
pub(crate) fn expired(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (table, now) = (txn.table(), txn.now());
    let mut dropped = 0;
    for key in args.rest(1) {
        let stored = txn.stored(table, key)?;
        if let Some(record) = stored.filter(|record| record.is_expired(now)) {
            txn.drop_expired(table, key.clone(), record.version);
            dropped += 1;
        }
    }
    Ok(Reply::Integer(dropped))
}
