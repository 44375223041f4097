//! `ZSCAN`: all members in parts.

use super::listing::SCORE_BYTES;
use crate::command::{Command, Part, Topic, command};
use crate::element_scan::{Options, cursor, cursor_reply};
use crate::{Args, EvalError, Flags as F, KeyFlags as K, Reply, Txn, number};

pub(super) const PART: Part = Part::new(&[ZSCAN], &[]);

const ZSCAN: Command = command(Topic::SortedSet, "zscan")
    .syntax("key cursor [MATCH pattern] [COUNT count]")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(zscan)
    .tips(&["nondeterministic_output"])
    .hints("key=zset-key cursor=cursor count=limit reply=scan")
    .docs(
        "2.8.0",
        "O(1) for every call. O(N) for a complete iteration, including enough command calls for \
        the cursor to return back to 0. N is the number of elements inside the collection.",
        "Iterates over the members of a sorted set and their scores.",
    )
    .deviation(
        "A set of up to 8 KiB is returned whole. A cursor fits into 48 bits and keeps nothing on \
        the server; each member that stays is returned once.",
    );

/// `ZSCAN key cursor [MATCH pattern] [COUNT count]`: the next cursor, 0 at the end; and members
/// with their scores, both as strings.
///
/// O(count). Errors: `INVALID_CURSOR`, `WRONG_TYPE`, `NOT_AN_INTEGER`, `SYNTAX`, the last two only
/// if the key is there. Source: Redis `db.c`, `scanGenericCommand`.
fn zscan(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let cursor = cursor(args.bytes(2))?;
    let mut set = txn.zset(args.bytes(1))?;
    let mut listed = Vec::new();
    let mut next = 0;
    if set.len()? > 0 {
        let options = Options::parse(args, false)?;
        let (after, items) = set.scan(txn, cursor, options.count)?;
        next = after;
        for item in items {
            if options.passes(&item.member) {
                txn.take_reply_room(item.member.len())?;
                txn.take_reply_room(SCORE_BYTES)?;
                listed.push(Reply::Bulk(item.member));
                listed.push(Reply::Bulk(number::double(item.score).into()));
            }
        }
    }
    Ok(Reply::Array(vec![cursor_reply(next), Reply::Array(listed)]))
}
