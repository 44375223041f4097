//! `ZSCAN`: all members in parts.

use super::listing::SCORE_BYTES;
use crate::command::{Command, Part, Topic, command};
use crate::errors::{INVALID_CURSOR, SYNTAX};
use crate::{Args, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn, glob, number};

pub(super) const PART: Part = Part::new(&[ZSCAN], &[]);

const COUNT: usize = 10;

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

/// `ZSCAN key cursor [MATCH pattern] [COUNT count]`: the next cursor, 0 at the end; and members with
/// their scores, both as strings.
///
/// O(count). Errors: `INVALID_CURSOR`, `WRONG_TYPE`, `NOT_AN_INTEGER`, `SYNTAX`, the last two only
/// if the key is there. Source: Redis `db.c`, `scanGenericCommand`.
fn zscan(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let cursor = parse_cursor(args.bytes(2)).ok_or(INVALID_CURSOR)?;
    let mut set = txn.zset(args.bytes(1))?;
    if set.len()? == 0 {
        return Ok(reply(0, Vec::new()));
    }
    let options = parse(args)?;
    let (next, items) = set.scan(txn, cursor, options.count)?;
    let mut shown = Vec::new();
    for item in items {
        if options.matches(&item.member) {
            txn.take_reply_room(item.member.len())?;
            txn.take_reply_room(SCORE_BYTES)?;
            shown.push(Reply::Bulk(item.member));
            shown.push(Reply::Bulk(number::double(item.score).into()));
        }
    }
    Ok(reply(next, shown))
}

fn reply(next: u64, items: Vec<Reply>) -> Reply {
    let next = Reply::Bulk(next.to_string().into());
    Reply::Array(vec![next, Reply::Array(items)])
}

struct Options<'a> {
    count: usize,
    pattern: Option<&'a [u8]>,
}

impl Options<'_> {
    fn matches(&self, member: &[u8]) -> bool {
        let mut pattern = self.pattern.into_iter();
        pattern.all(|pattern| glob::matches(pattern, member))
    }
}

fn parse<'a>(args: &Args<'a>) -> Result<Options<'a>, CommandError> {
    let (mut count, mut pattern) = (COUNT, None);
    let mut words = args.options(3);
    while let Some(word) = words.next() {
        match word.keyword().as_str() {
            "count" => {
                count = usize::try_from(words.int()?).unwrap_or(0);
                if count == 0 {
                    return Err(SYNTAX);
                }
            }
            "match" => pattern = Some(&words.value()?[..]),
            _ => return Err(SYNTAX),
        }
    }
    Ok(Options { count, pattern })
}

/// A cursor as `strtoul` reads it: up to the first NUL, nothing being 0. A sign is taken, and a
/// number below zero wraps around.
fn parse_cursor(word: &[u8]) -> Option<u64> {
    let word = word.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = std::str::from_utf8(word).ok()?;
    if text.is_empty() {
        return Some(0);
    }
    match text.strip_prefix('-') {
        Some(digits) if !digits.starts_with('+') => {
            Some(digits.parse::<u64>().ok()?.wrapping_neg())
        }
        Some(_) => None,
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_as_redis_reads_them() {
        for (text, cursor) in [
            ("", Some(0)),
            ("\0", Some(0)),
            ("0\x001", Some(0)),
            ("+7", Some(7)),
            ("007", Some(7)),
            ("-18446744073709551615", Some(1)),
            ("x", None),
            ("-+1", None),
            ("18446744073709551616", None),
        ] {
            assert_eq!(parse_cursor(text.as_bytes()), cursor, "{text:?}");
        }
    }
}
