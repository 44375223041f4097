//! Random fields.

use crate::command::{Command, Part, Topic, command};
use crate::errors::{SYNTAX, error_lines};
use crate::set::random_count;
use crate::txn::members::Member;
use crate::{Args, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[HRANDFIELD], LINES);

error_lines! {
    /// A count of random elements of which each brings a second.
    OUT_OF_RANGE = "ERR value is out of range";
}

const HRANDFIELD: Command = command(Topic::Hash, "hrandfield")
    .syntax("key [options(count [WITHVALUES])]")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(hrandfield)
    .tips(&["nondeterministic_output"])
    .hints("key=hash-key count=random-count reply=random")
    .docs(
        "6.2.0",
        "O(N) where N is the number of fields returned",
        "Returns random fields of a hash.",
    );

/// `HRANDFIELD key [count [WITHVALUES]]`: a random field, or null; with a count, so many different
/// fields, or all; with a count below zero, so many, and the same again perhaps. Each is as likely
/// as any other. With values, pairs in RESP3.
///
/// O(log) for each, expected. Errors: `NOT_AN_INTEGER`, `IntOutOfRange`, `SYNTAX`, `OUT_OF_RANGE`,
/// `WRONG_TYPE`, `ReplyTooLong`. Source: Redis `t_hash.c`, `hrandfieldCommand`.
fn hrandfield(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    if args.len() == 2 {
        let field = txn.hash(args.bytes(1))?.0.random(txn)?;
        return Ok(Reply::bulk_or_null(field.map(|field| field.name)));
    }
    let count = random_count(args)?;
    let with_values = args.is(3, "withvalues");
    if args.len() > 4 || args.len() == 4 && !with_values {
        return Err(SYNTAX.into());
    }
    if with_values && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(OUT_OF_RANGE.into());
    }
    let hash = txn.hash(args.bytes(1))?;
    let (mut fields, mut pairs) = (Vec::new(), Vec::new());
    let mut visit = |txn: &mut Txn<'_>, Member { name, value, .. }: Member| {
        txn.take_reply_room(name.len())?;
        if with_values {
            // The pair has a head, too.
            txn.take_reply_room(value.len() + 16)?;
            pairs.push((Reply::Bulk(name), Reply::Bulk(value)));
        } else {
            fields.push(Reply::Bulk(name));
        }
        Ok(true)
    };
    match u64::try_from(count) {
        Ok(count) => hash.0.sample(txn, count, &mut visit)?,
        Err(_) => hash.0.draw(txn, count.unsigned_abs(), &mut visit)?,
    }
    Ok(match with_values {
        true => Reply::Pairs(pairs),
        false => Reply::Array(fields),
    })
}
