//! `PFDEBUG`: how a HyperLogLog is kept.

use super::sparse::Run;
use super::value::Form;
use crate::command::{Command, Part, Topic, command};
use crate::errors::error_lines;
use crate::{Args, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn, Word};

pub(super) const PART: Part = Part::new(&[PFDEBUG], LINES);

error_lines! {
    /// `PFDEBUG` of a key that is absent.
    NO_SUCH_HYPERLOGLOG = "ERR The specified key does not exist";
    /// `PFDEBUG DECODE` of a dense HyperLogLog.
    NOT_SPARSE = "ERR HLL encoding is not sparse";
}

const PFDEBUG: Command = command(Topic::HyperLogLog, "pfdebug")
    .syntax("subcommand key")
    .flags(F::WRITE_ROOM.with(F::ADMIN))
    .keys(&[K::RW.with(K::ACCESS).at(2)])
    .runs(pfdebug)
    .hints("subcommand=pfdebug key=hyperloglog-or-other")
    .docs(
        "2.8.9",
        "N/A",
        "Shows and changes the form of a HyperLogLog.",
    );

/// `PFDEBUG GETREG | DECODE | ENCODING | TODENSE key`: the registers, which makes the HyperLogLog
/// dense; the runs of a sparse HyperLogLog; the form; 1 if it was sparse and is dense now, else 0.
///
/// O(1). Errors: `NO_SUCH_HYPERLOGLOG`, `WRONG_TYPE`, `NOT_A_HYPERLOGLOG`, an unknown subcommand,
/// `NOT_SPARSE`, `CORRUPTED`, in this order.
fn pfdebug(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (word, key) = (args.bytes(1), args.bytes(2));
    let mut found = txn.hyperloglog_to_change(key)?;
    if found.old.is_none() {
        return Err(NO_SUCH_HYPERLOGLOG.into());
    }
    let new = &mut found.new;
    let mut changed = false;
    let reply = match Word(word).keyword().as_str() {
        "getreg" => {
            changed = new.make_dense()?;
            let registers = new.registers().map(|value| Reply::Integer(value.into()));
            Reply::Array(registers.collect())
        }
        "decode" if new.form() == Form::Dense => return Err(NOT_SPARSE.into()),
        "decode" => Reply::Bulk(shown(new.runs())?.into()),
        "encoding" => Reply::simple(match new.form() {
            Form::Dense => "dense",
            Form::Sparse => "sparse",
        }),
        "todense" => {
            changed = new.make_dense()?;
            Reply::Integer(changed.into())
        }
        _ => {
            let before = "Unknown PFDEBUG subcommand '";
            return Err(CommandError::quoting(before, word, "'").into());
        }
    };
    if changed {
        txn.put_hyperloglog(key, found)?;
    } else if let Some(old) = found.old {
        txn.mark_raw(key, old.into())?;
    }
    Ok(reply)
}

/// Runs as text: `v` a value and its length, `z` and `Z` zeros in a byte and in two.
fn shown(runs: impl Iterator<Item = Result<Run, CommandError>>) -> Result<String, CommandError> {
    let mut text = Vec::new();
    for run in runs {
        text.push(match run? {
            Run {
                value: 0,
                len,
                bytes: 1,
            } => format!("z:{len}"),
            Run { value: 0, len, .. } => format!("Z:{len}"),
            Run { value, len, .. } => format!("v:{value},{len}"),
        });
    }
    Ok(text.join(" "))
}
