//! Taking over pending entries that are idle, one after the other.

use super::claim::{Claim, Claimer};
use super::id::StreamId;
use super::refusal::no_key_or_group;
use crate::command::{Command, Part, Topic, command};
use crate::errors::{SYNTAX, error_lines};
use crate::{Args, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn, number};

pub(super) const PART: Part = Part::new(&[XAUTOCLAIM], LINES);

error_lines! {
    MIN_IDLE_INVALID = "ERR Invalid min-idle-time argument for XAUTOCLAIM";
    COUNT_NOT_POSITIVE = "ERR COUNT must be > 0";
}

/// The entries that are claimed unless `COUNT` says how many.
const COUNT: u64 = 100;
/// So many entries are looked at for each that is to be claimed.
const ATTEMPTS: u64 = 10;

const XAUTOCLAIM: Command = command(Topic::Stream, "xautoclaim")
    .syntax("key group consumer min-idle-time start:string [COUNT count] [justid=JUSTID]")
    .flags(F::WRITE_FAST)
    .keys(&[K::RW.with(K::DELETE).at(1)])
    .runs(xautoclaim)
    .tips(&["nondeterministic_output"])
    .hints(
        "weight=8 key=stream-key group=stream-group consumer=stream-consumer \
        min-idle-time=stream-idle start=stream-start count=stream-count",
    )
    .docs(
        "6.2.0",
        "O(1) if COUNT is small.",
        "Gives pending entries that are idle to a consumer.",
    );

/// `XAUTOCLAIM key group consumer min-idle start [COUNT n] [JUSTID]`: the id to go on with, the
/// entries that the consumer has now, and the ids of pending entries that were removed, as their
/// entries are gone. O(n).
///
/// Errors: `MIN_IDLE_INVALID`, `INVALID_ID`, `INVALID_START`, `COUNT_NOT_POSITIVE`, `SYNTAX`,
/// `WRONG_TYPE`, `NOGROUP`, `ReplyTooLong`. Source: Redis 7.2 `t_stream.c`, `xautoclaimCommand`.
fn xautoclaim(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let options = parse(args, txn.now().0)?;
    let (key, name) = (args.bytes(1), args.bytes(2));
    let no_group = || no_key_or_group(key, name, "");
    let stream = txn.stream(key)?.ok_or_else(no_group)?;
    let group = stream.group(txn, name)?.ok_or_else(no_group)?;
    let mut claimer = Claimer::new(txn, stream, group, (key, args.bytes(3)))?;
    let (mut claimed, mut deleted) = (Vec::new(), Vec::new());
    let (mut next, mut left) = (Some(options.start), options.count);
    let mut attempts = options.count.saturating_mul(ATTEMPTS);
    while let Some(from) = next
        && left > 0
        && attempts > 0
    {
        let max = left.min(attempts).min(256) as usize;
        let page = claimer
            .group
            .some_pending(&claimer.stream, txn, from, max)?;
        next = page.last().and_then(|(last, _)| last.next());
        for (id, _) in page {
            attempts -= 1;
            match claimer.claim(txn, id, &options.claim)? {
                Some(reply) => claimed.push(reply),
                None if claimer.group.pending(&claimer.stream, txn, id)?.is_some() => continue,
                None => {
                    txn.take_reply_room(40)?;
                    deleted.push(id.reply());
                }
            }
            left -= 1;
        }
    }
    let next = match next {
        Some(from) => claimer
            .group
            .some_pending(&claimer.stream, txn, from, 1)?
            .pop(),
        None => None,
    };
    claimer.finish(txn, key)?;
    let next = next.map_or(StreamId::MIN, |(id, _)| id);
    let parts = [next.reply(), Reply::Array(claimed), Reply::Array(deleted)];
    Ok(Reply::Array(parts.to_vec()))
}

struct Options {
    start: StreamId,
    count: u64,
    claim: Claim,
}

fn parse(args: &Args<'_>, now: u64) -> Result<Options, CommandError> {
    let min_idle = number::parse_int(args.bytes(4)).ok_or(MIN_IDLE_INVALID)?;
    let mut options = Options {
        start: StreamId::parse_start(args.bytes(5))?,
        count: COUNT,
        claim: Claim {
            min_idle: min_idle.max(0),
            delivered_at: now,
            deliveries: None,
            force: false,
            just_id: false,
        },
    };
    let mut words = args.options(6);
    while let Some(word) = words.next() {
        match word.keyword().as_str() {
            "count" if words.left() > 0 => {
                let count = number::parse_int(words.value()?);
                // As many as fit into Redis' memory.
                let count = count.filter(|count| (1..=i64::MAX / 16).contains(count));
                options.count = count.ok_or(COUNT_NOT_POSITIVE)? as u64;
            }
            "justid" => options.claim.just_id = true,
            _ => return Err(SYNTAX),
        }
    }
    Ok(options)
}
