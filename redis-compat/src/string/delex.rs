//! Removing a key under a condition on its value.

use super::StringValue;
use super::condition::Condition;
use crate::command::{Command, Part, Topic, command};
use crate::errors::error_lines;
use crate::{Args, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[DELEX, DELIFEQ], LINES);

error_lines! {
    /// `DELEX` with a word that is no condition.
    INVALID_CONDITION = "ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE";
}

const DELEX: Command = command(Topic::String, "delex")
    .syntax(
        "key [condition(IFEQ ifeq-value|IFNE ifne-value|IFDEQ ifdeq-digest:integer|IFDNE \
        ifdne-digest:integer)]",
    )
    .flags(F::WRITE_FAST)
    .keys(&[K::RW.with(K::DELETE).at(1)])
    .runs(delex)
    .docs(
        "8.4.0",
        "O(1) for IFEQ and IFNE, O(N) for IFDEQ and IFDNE where N is the length of the string",
        "Removes a key, on request only under a condition on its value.",
    );

/// `DELEX key [IFEQ value | IFNE value | IFDEQ digest | IFDNE digest]`: 1 if removed, 0 if absent
/// or the condition does not hold. Without a condition the key may be of any type.
///
/// O(length). Errors: `WrongArity`, `INVALID_CONDITION`, `DIGEST_LENGTH`, `WRONG_TYPE`, in this
/// order.
fn delex(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    match args.len() {
        2 => {
            let found = txn.exists(key)?;
            if found {
                txn.remove(key.clone())?;
            }
            Ok(Reply::Integer(found.into()))
        }
        4 => {
            let mut words = args.options(2);
            let keyword = words.next().map(|word| word.keyword());
            let keyword = keyword.as_ref().map_or("", |word| word.as_str());
            let condition = Condition::comparing(keyword, &mut words)?;
            remove_if(txn, args, condition.ok_or(INVALID_CONDITION)?)
        }
        _ => Err(CommandError::WrongArity(args.name()).into()),
    }
}

const DELIFEQ: Command = command(Topic::String, "delifeq")
    .syntax("key value")
    .flags(F::WRITE_FAST)
    .keys(&[K::RW.with(K::DELETE).at(1)])
    .runs(delifeq)
    .docs(
        "9.0.0",
        "O(1)",
        "Removes a key if it holds this string; Valkey's name of DELEX with IFEQ.",
    );

/// `DELIFEQ key value`: 1 if removed, 0 if absent or another string. O(length). Errors:
/// `WRONG_TYPE`.
fn delifeq(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    remove_if(txn, args, Condition::Equal(args.bytes(2)))
}

fn remove_if(
    txn: &mut Txn<'_>,
    args: &Args<'_>,
    condition: Condition<'_>,
) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    let string = txn.string(key)?;
    let holds = |string: &StringValue| condition.holds(true, Some(string.bytes()));
    let removes = string.as_ref().is_some_and(holds);
    if removes {
        txn.remove(key.clone())?;
    }
    Ok(Reply::Integer(removes.into()))
}
