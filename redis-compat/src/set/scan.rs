//! Walking over a set, page by page.

use crate::command::{Command, Part, Topic, command};
use crate::element_scan::{Options, cursor, cursor_reply};
use crate::{Args, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[SSCAN], &[]);

const SSCAN: Command = command(Topic::Set, "sscan")
    .syntax("key cursor [MATCH pattern] [COUNT count]")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(sscan)
    .tips(&["nondeterministic_output"])
    .hints("weight=2 key=set-key cursor=cursor count=scan-count reply=scan")
    .docs(
        "2.8.0",
        "O(1) for every call. O(N) for a complete iteration, including enough calls for the \
        cursor to return back to 0. N is the number of members of the set",
        "Lists members of a set, page by page.",
    );

/// `SSCAN key cursor [MATCH pattern] [COUNT count]`: the next cursor, and members. Each member that
/// stays is listed exactly once, whatever else changes.
///
/// O(count). Errors: `INVALID_CURSOR`, `WRONG_TYPE`, `SYNTAX`, `NOT_AN_INTEGER`, `ReplyTooLong`.
/// The options of a key that is absent are not looked at, as in Redis.
fn sscan(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (key, cursor) = (args.bytes(1), cursor(args.bytes(2))?);
    let mut listed = Vec::new();
    let mut next = 0;
    if txn.exists(key)? {
        let set = txn.set(key)?;
        let options = Options::parse(args, false)?;
        let (after, members) = set.0.scan(txn, cursor, options.count)?;
        next = after;
        for member in members {
            if options.passes(&member.name) {
                txn.take_reply_room(member.name.len())?;
                listed.push(Reply::Bulk(member.name));
            }
        }
    }
    Ok(Reply::Array(vec![cursor_reply(next), Reply::Array(listed)]))
}
