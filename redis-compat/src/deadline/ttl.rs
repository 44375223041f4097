//! Asking for the deadlines of elements.

use super::expire::integers;
use super::words::fixed_names;
use super::{NO_DEADLINE, NO_ELEMENT, Of};
use crate::string::Unit;
use crate::{Args, EvalError, Reply, Txn};

/// `HTTL key FIELDS n field [field ...]` and its like. For each: the time that is left, or the
/// deadline if the unit is absolute; -1 if it has none, -2 if the element is absent. Seconds are
/// rounded up.
///
/// O(log) for each. Errors: `WRONG_TYPE`, those of `words.rs`.
pub(crate) fn ttl(
    txn: &mut Txn<'_>,
    args: &Args<'_>,
    of: Of,
    unit: Unit,
) -> Result<Reply, EvalError> {
    let mut elements = of.load(txn, args.bytes(1))?;
    let names = fixed_names(args, of)?;
    let base = if unit.is_absolute() {
        0
    } else {
        txn.read_now().0
    };
    let mut replies = Vec::with_capacity(names.len());
    for name in names {
        let reply = match elements.get(txn, name)?.map(|cell| cell.deadline) {
            None => NO_ELEMENT,
            Some(None) => NO_DEADLINE,
            Some(Some(at)) => {
                let millis = at.0.saturating_sub(base);
                let in_unit = match unit {
                    Unit::Seconds | Unit::AtSeconds => millis.div_ceil(1000),
                    Unit::Millis | Unit::AtMillis => millis,
                };
                in_unit as i64
            }
        };
        replies.push(reply);
    }
    Ok(integers(replies))
}
