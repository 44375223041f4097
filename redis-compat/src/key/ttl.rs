//! Asking for the expiry of a key: -2 if the key is absent, -1 if it has none.
//!
//! Remaining lifetimes count from the leader's clock ([`Txn::read_now`]), since between two log
//! entries the group clock stands still. Source: Redis `expire.c`, `ttlGenericCommand`.

use crate::command::{Command, Part, Topic, command};
use crate::{Args, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[TTL, PTTL, EXPIRETIME, PEXPIRETIME], &[]);

const TTL: Command = command(Topic::Generic, "ttl")
    .syntax("key")
    .flags(F::READ_FAST)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(ttl)
    .tips(&["nondeterministic_output"])
    .hints("reply=time")
    .docs(
        "1.0.0",
        "O(1)",
        "Returns the remaining lifetime of a key in seconds.",
    );

/// `TTL key`: the seconds left, rounded. O(1).
fn ttl(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let base = txn.read_now().0;
    expiry(txn, args, base, true)
}

const PTTL: Command = command(Topic::Generic, "pttl")
    .syntax("key")
    .flags(F::READ_FAST)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(pttl)
    .tips(&["nondeterministic_output"])
    .hints("reply=time")
    .docs(
        "2.6.0",
        "O(1)",
        "Returns the remaining lifetime of a key in milliseconds.",
    );

/// `PTTL key`: the milliseconds left. O(1).
fn pttl(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let base = txn.read_now().0;
    expiry(txn, args, base, false)
}

const EXPIRETIME: Command = command(Topic::Generic, "expiretime")
    .syntax("key")
    .flags(F::READ_FAST)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(expiretime)
    .hints("reply=time")
    .docs(
        "7.0.0",
        "O(1)",
        "Returns the expiry of a key in Unix seconds.",
    );

/// `EXPIRETIME key`: the expiry in Unix seconds, rounded. O(1).
fn expiretime(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    expiry(txn, args, 0, true)
}

const PEXPIRETIME: Command = command(Topic::Generic, "pexpiretime")
    .syntax("key")
    .flags(F::READ_FAST)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(pexpiretime)
    .hints("reply=time")
    .docs(
        "7.0.0",
        "O(1)",
        "Returns the expiry of a key in Unix milliseconds.",
    );

/// `PEXPIRETIME key`: the expiry in Unix milliseconds. O(1).
fn pexpiretime(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    expiry(txn, args, 0, false)
}

fn expiry(
    txn: &mut Txn<'_>,
    args: &Args<'_>,
    base: u64,
    seconds: bool,
) -> Result<Reply, EvalError> {
    Ok(Reply::Integer(
        match txn.value(args.bytes(1))?.map(|value| value.expires_at()) {
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
