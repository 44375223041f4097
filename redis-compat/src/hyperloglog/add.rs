//! `PFADD`.

use super::sparse::Way;
use crate::command::{Command, Part, Topic, command};
use crate::{Args, Classes, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[PFADD], &[]);

const PFADD: Command = command(Topic::HyperLogLog, "pfadd")
    .syntax("key [element ...]")
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_INSERT.at(1)])
    .runs(pfadd)
    .hints("weight=3 key=hyperloglog element=element")
    .docs(
        "2.8.9",
        "O(1) to add every element.",
        "Adds elements to a HyperLogLog, or creates it.",
    );

/// `PFADD key [element ...]`: 1 if the key is new or the estimate may have changed, else 0. The
/// expiry is kept.
///
/// O(1) for each element; the 12 KB of a dense HyperLogLog are copied. Errors: `WRONG_TYPE`,
/// `NOT_A_HYPERLOGLOG`, `CORRUPTED`.
fn pfadd(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    let mut found = txn.hyperloglog_to_change(key)?;
    let mut changed = found.old.is_none();
    let mut way = Way::default();
    for element in args.rest(2) {
        changed |= found.new.add(element, &mut way)?;
    }
    if changed {
        found.new.forget_count();
        txn.put_hyperloglog(key, found)?;
        txn.notify(Classes::STRING, "pfadd", key);
    } else if let Some(old) = found.old {
        txn.mark_raw(key, old.into())?;
    }
    Ok(Reply::Integer(changed.into()))
}
