//! Setting the deadlines of elements, and taking them away.

use super::words::{condition_and_names, deadline, fixed_names};
use super::{NO_DEADLINE, NO_ELEMENT, Of};
use crate::string::Unit;
use crate::{Args, EvalError, Reply, Txn};

const CONDITION_NOT_MET: i64 = 0;
const SET: i64 = 1;
const DELETED: i64 = 2;

/// `HEXPIRE key time [NX | XX | GT | LT] FIELDS n field [field ...]` and its like. For each: 1 if
/// the deadline was set, 2 if it has passed and the element is gone, 0 if the condition is not met,
/// -2 if the element is absent. A key without elements is removed.
///
/// O(log) for each. Errors: `WRONG_TYPE`, those of `words.rs`.
pub(crate) fn expire(
    txn: &mut Txn<'_>,
    args: &Args<'_>,
    of: Of,
    unit: Unit,
) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    let mut elements = of.load(txn, key)?;
    let at = deadline(args.bytes(2), unit, txn.now(), args.name())?;
    let (condition, names) = condition_and_names(args, of)?;
    let mut replies = Vec::with_capacity(names.len());
    for name in names {
        let reply = match elements.get(txn, name)? {
            None => NO_ELEMENT,
            Some(cell) if !condition.allows(cell.deadline, at) => CONDITION_NOT_MET,
            Some(_) if at <= txn.now() => {
                elements.remove(txn, name)?;
                DELETED
            }
            Some(_) => {
                elements.set_deadline(txn, name, Some(at))?;
                SET
            }
        };
        replies.push(reply);
    }
    if replies.iter().any(|reply| *reply > 0) {
        let (expired, removed) = of.events();
        for (reply, name) in [(SET, expired), (DELETED, removed)] {
            if replies.contains(&reply) {
                txn.notify(of.class(), name, key);
            }
        }
        elements.store(txn, key)?;
    }
    Ok(integers(replies))
}

/// `HPERSIST key FIELDS n field [field ...]` and its like. For each: 1 if its deadline was taken
/// away, -1 if it had none, -2 if the element is absent.
///
/// O(log) for each. Errors: `WRONG_TYPE`, those of `words.rs`.
pub(crate) fn persist(txn: &mut Txn<'_>, args: &Args<'_>, of: Of) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    let mut elements = of.load(txn, key)?;
    let names = fixed_names(args, of)?;
    let mut replies = Vec::with_capacity(names.len());
    for name in names {
        let reply = match elements.get(txn, name)? {
            None => NO_ELEMENT,
            Some(cell) if cell.deadline.is_none() => NO_DEADLINE,
            Some(_) => {
                elements.set_deadline(txn, name, None)?;
                SET
            }
        };
        replies.push(reply);
    }
    if replies.contains(&SET) {
        elements.store(txn, key)?;
        txn.notify(of.class(), of.persisted(), key);
    }
    Ok(integers(replies))
}

pub(super) fn integers(values: Vec<i64>) -> Reply {
    Reply::Array(values.into_iter().map(Reply::Integer).collect())
}
