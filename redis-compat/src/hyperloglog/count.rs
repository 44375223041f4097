//! `PFCOUNT`.

use super::estimate::{self, Histogram};
use super::layout::REGISTERS;
use crate::command::{Command, Part, Topic, command};
use crate::{Args, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[PFCOUNT], &[]);

const PFCOUNT: Command = command(Topic::HyperLogLog, "pfcount")
    .syntax("key ...")
    .flags(F::READ)
    .keys(&[K::RW.with(K::ACCESS).at(1).every(1).notes(
        "RW because it may change the internal representation of the key, and propagate to \
        replicas",
    )])
    .runs(pfcount)
    .hints("weight=2 key=hyperloglog-or-other")
    .docs(
        "2.8.9",
        "O(1) with a very small average constant time when called with a single key. O(N) with N \
        being the number of keys, and much bigger constant times, when called with multiple keys.",
        "Estimates how many different elements were added to HyperLogLogs.",
    )
    .deviation(
        "It is a read, and does not note the count in the value: later calls compute it again. All \
        keys must be in the same group; otherwise the reply is CROSSGROUP.",
    );

/// `PFCOUNT key [key ...]`: how many different elements were added to them, about. Absent keys
/// have none. O(1) for each key. Errors: `WRONG_TYPE`, `NOT_A_HYPERLOGLOG`, `CORRUPTED`.
fn pfcount(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    if let [key] = args.rest(1) {
        let found = txn.hyperloglog(key)?;
        let count = found.map_or(Ok(0), |found| found.count())?;
        return Ok(Reply::Integer(count as i64));
    }
    let mut registers = vec![0; REGISTERS];
    for key in args.rest(1) {
        if let Some(found) = txn.hyperloglog(key)? {
            found.raise_all(&mut registers)?;
        }
    }
    let mut histogram: Histogram = [0; 64];
    for value in registers {
        histogram[usize::from(value)] += 1;
    }
    Ok(Reply::Integer(estimate::count(&histogram) as i64))
}
