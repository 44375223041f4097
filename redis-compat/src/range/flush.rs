//! Emptying an interval, and sweeping expired keys.

use super::bounds::bounds;
use crate::command::{Command, Part, Topic, command};
use crate::{Args, Classes, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[FLUSH, EXPIRED], &[]);

const FLUSH: Command = command(Topic::Coterie, "_flush")
    .syntax("start:key end:key")
    .flags(F::INTERNAL_WRITE)
    .over_interval()
    .runs(flush)
    .docs("0.1.0", "O(1)", "Removes all keys of an interval.");

/// `_FLUSH start end`: OK; the interval is empty. O(1) here, and a range deletion in the store.
fn flush(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let bounds = bounds(txn, args);
    txn.clear(bounds)?;
    Ok(Reply::OK)
}

const EXPIRED: Command = command(Topic::Coterie, "_expired")
    .syntax("key ...")
    .flags(F::INTERNAL_WRITE)
    .keys(&[K::RW.at(1).every(1)])
    .runs(expired)
    .docs(
        "0.1.0",
        "O(1) for each key, field and member deleted",
        "Deletes the expired keys among the given keys, and expired fields and members.",
    );

/// `_EXPIRED key [key ...]`: how many were expired, and are deleted now; fields of hashes and
/// members of sets count, too. O(1) for each; a bounded number of fields or members of a key.
///
/// The background sweep names keys it found expired by its own clock, or with a field or member
/// past its deadline ([`crate::Record::wake_at`]); the entry's clock decides. No command could see
/// what is deleted.
fn expired(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let mut dropped = 0;
    for key in args.rest(1) {
        if txn.remove_if_expired(key)? {
            dropped += 1;
        } else {
            let purged = txn.purge_members(key)? as i64;
            if purged > 0 {
                txn.notify(Classes::HASH, "hexpired", key);
            }
            dropped += purged;
        }
    }
    Ok(Reply::Integer(dropped))
}
