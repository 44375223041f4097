//! Asking for the expiry of a key: -2 if the key is absent, -1 if it has none.
//!
//! Remaining lifetimes count from the leader's clock ([`Txn::read_now`]), since between two log
//! entries the group clock stands still. Source: Redis `expire.c`, `ttlGenericCommand`.

use crate::{Args, EvalError, Reply, Txn};

/// `TTL key`: the seconds left, rounded. O(1).
pub(crate) fn ttl(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let base = txn.read_now().0;
    expiry(txn, args, base, true)
}

/// `PTTL key`: the milliseconds left. O(1).
pub(crate) fn pttl(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let base = txn.read_now().0;
    expiry(txn, args, base, false)
}

/// `EXPIRETIME key`: the expiry in Unix seconds, rounded. O(1).
pub(crate) fn expiretime(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    expiry(txn, args, 0, true)
}

/// `PEXPIRETIME key`: the expiry in Unix milliseconds. O(1).
pub(crate) fn pexpiretime(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    expiry(txn, args, 0, false)
}

fn expiry(
    txn: &mut Txn<'_>,
    args: &Args<'_>,
    base: u64,
    seconds: bool,
) -> Result<Reply, EvalError> {
    Ok(Reply::Integer(
        match txn.get(args.bytes(1))?.map(|record| record.expires_at) {
            None => -2,
            Some(None) => -1,
            Some(Some(at)) => {
                let millis = at.0.saturating_sub(base) as i64;
                if seconds {
                    millis.saturating_add(500) / 1000
                } else {
                    millis
                }
            }
        },
    ))
}
