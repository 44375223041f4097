//! Walking over a hash, page by page.

use crate::command::{Command, Part, Topic, command};
use crate::element_scan::{Options, cursor, cursor_reply};
use crate::{Args, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[HSCAN], &[]);

const HSCAN: Command = command(Topic::Hash, "hscan")
    .syntax("key cursor [MATCH pattern] [COUNT count] [NOVALUES]")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(hscan)
    .tips(&["nondeterministic_output"])
    .hints("weight=2 key=hash-key cursor=cursor count=scan-count reply=scan without=NOVALUES")
    .docs(
        "2.8.0",
        "O(1) for every call. O(N) for a complete iteration, including enough calls for the \
        cursor to return back to 0. N is the number of fields of the hash",
        "Lists fields and values of a hash, page by page.",
    );

/// `HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]`: the next cursor, and fields with
/// their values. Each field that stays is listed exactly once, whatever else changes.
///
/// O(count). Errors: `INVALID_CURSOR`, `WRONG_TYPE`, `SYNTAX`, `NOT_AN_INTEGER`, `ReplyTooLong`.
/// The options of a key that is absent are not looked at, as in Redis.
fn hscan(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (key, cursor) = (args.bytes(1), cursor(args.bytes(2))?);
    let mut listed = Vec::new();
    let mut next = 0;
    if txn.exists(key)? {
        let hash = txn.hash(key)?;
        let options = Options::parse(args, true)?;
        let (after, fields) = hash.0.scan(txn, cursor, options.count)?;
        next = after;
        for field in fields {
            if !options.passes(&field.name) {
                continue;
            }
            txn.take_reply_room(field.name.len())?;
            listed.push(Reply::Bulk(field.name));
            if !options.no_values {
                txn.take_reply_room(field.value.len())?;
                listed.push(Reply::Bulk(field.value));
            }
        }
    }
    Ok(Reply::Array(vec![cursor_reply(next), Reply::Array(listed)]))
}
