//! `PFMERGE`.

use super::layout::REGISTERS;
use super::sparse::Way;
use super::value::Form;
use crate::command::{Command, Part, Topic, command};
use crate::{Args, Classes, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[PFMERGE], &[]);

const PFMERGE: Command = command(Topic::HyperLogLog, "pfmerge")
    .syntax("destkey sourcekey ...")
    // Redis takes a destination alone.
    .arity(-2)
    .flags(F::WRITE_ROOM)
    .keys(&[
        K::RW_INSERT.with(K::ACCESS).at(1),
        K::RO_ACCESS.at(2).every(1),
    ])
    .runs(pfmerge)
    .hints("destkey=hyperloglog sourcekey=hyperloglog-or-other")
    .docs(
        "2.8.9",
        "O(N) to merge N HyperLogLogs, but with high constant times.",
        "Merges HyperLogLogs into the first.",
    )
    .deviation("All keys must be in the same group; otherwise the reply is CROSSGROUP.");

/// `PFMERGE destination [source ...]`: OK. The destination, which may be absent, counts as a
/// source, too, and keeps its expiry; it becomes dense if any source is.
///
/// O(1) for each key. Errors: `WRONG_TYPE`, `NOT_A_HYPERLOGLOG`, `CORRUPTED`.
fn pfmerge(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let mut registers = vec![0; REGISTERS];
    let mut is_dense = false;
    for key in args.rest(1) {
        if let Some(found) = txn.hyperloglog(key)? {
            is_dense |= found.form() == Form::Dense;
            found.raise_all(&mut registers)?;
        }
    }
    let key = args.bytes(1);
    let mut found = txn.hyperloglog_to_change(key)?;
    if is_dense {
        found.new.make_dense()?;
    }
    let mut way = Way::default();
    for (register, value) in registers.into_iter().enumerate() {
        if value > 0 {
            found.new.raise(register, value, &mut way)?;
        }
    }
    found.new.forget_count();
    txn.put_hyperloglog(key, found)?;
    txn.notify(Classes::STRING, "pfadd", key);
    Ok(Reply::OK)
}
