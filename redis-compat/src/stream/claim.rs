//! Taking over pending entries by their ids.

use bytes::Bytes;

use super::Stream;
use super::group::Group;
use super::id::StreamId;
use super::pel::Pending;
use super::refusal::no_key_or_group;
use super::xgroup::CONSUMER_CREATED;
use crate::command::{Command, Part, Topic, command};
use crate::errors::error_lines;
use crate::{
    Args, Classes, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn, Words, number,
};

pub(super) const PART: Part = Part::new(&[XCLAIM], LINES);

error_lines! {
    MIN_IDLE_INVALID = "ERR Invalid min-idle-time argument for XCLAIM";
    IDLE_INVALID = "ERR Invalid IDLE option argument for XCLAIM";
    TIME_INVALID = "ERR Invalid TIME option argument for XCLAIM";
    RETRYCOUNT_INVALID = "ERR Invalid RETRYCOUNT option argument for XCLAIM";
}

const XCLAIM: Command = command(Topic::Stream, "xclaim")
    .syntax(
        "key group consumer min-idle-time id ... [IDLE ms:integer] [TIME unix-time-milliseconds] \
        [RETRYCOUNT count] [force=FORCE] [justid=JUSTID] [LASTID id]",
    )
    .flags(F::WRITE_FAST)
    .keys(&[K::RW_UPDATE.at(1)])
    .runs(xclaim)
    .tips(&["nondeterministic_output"])
    .hints(
        "weight=7 key=stream-key group=stream-group consumer=stream-consumer \
        min-idle-time=stream-idle id=stream-id ms=stream-idle \
        unix-time-milliseconds=stream-time",
    )
    .docs(
        "5.0.0",
        "O(log N) with N being the number of messages in the PEL of the consumer group.",
        "Gives pending entries to a consumer.",
    );

/// `XCLAIM key group consumer min-idle id [id ...] [IDLE ms] [TIME ms] [RETRYCOUNT n] [FORCE]
/// [JUSTID] [LASTID id]`: the entries, or their ids, that the consumer has now. Pending entries
/// whose entries are gone are removed. O(1) for each.
///
/// Errors: `WRONG_TYPE`, `NOGROUP`, those of this file, `INVALID_ID`, `ReplyTooLong`. Source: Redis
/// 7.2 `t_stream.c`, `xclaimCommand`.
fn xclaim(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (key, name) = (args.bytes(1), args.bytes(2));
    let no_group = || no_key_or_group(key, name, "");
    let stream = txn.stream(key)?.ok_or_else(no_group)?;
    let group = stream.group(txn, name)?.ok_or_else(no_group)?;
    let now = txn.now().0;
    let options = parse(args, now)?;
    let mut claimer = Claimer::new(txn, stream, group, (key, args.bytes(3)))?;
    claimer.group.last = claimer.group.last.max(options.last);
    let mut replies = Vec::new();
    for id in &options.ids {
        replies.extend(claimer.claim(txn, *id, &options.claim)?);
    }
    claimer.finish(txn, key)?;
    Ok(Reply::Array(replies))
}

struct Options {
    ids: Vec<StreamId>,
    last: StreamId,
    claim: Claim,
}

/// How entries are claimed.
pub(super) struct Claim {
    pub(super) min_idle: i64,
    /// When they count as delivered.
    pub(super) delivered_at: u64,
    /// How often they count as delivered.
    pub(super) deliveries: Option<u64>,
    pub(super) force: bool,
    pub(super) just_id: bool,
}

fn parse(args: &Args<'_>, now: u64) -> Result<Options, CommandError> {
    let min_idle = number::parse_int(args.bytes(4)).ok_or(MIN_IDLE_INVALID)?;
    let words = args.rest(5);
    let ids = words.iter().map_while(|word| StreamId::parse(word).ok());
    let ids: Vec<_> = ids.collect();
    let mut words = Words::new(&words[ids.len()..]);
    let mut delivered_at = -1;
    let mut options = Options {
        ids,
        last: StreamId::MIN,
        claim: Claim {
            min_idle: min_idle.max(0),
            delivered_at: now,
            deliveries: None,
            force: false,
            just_id: false,
        },
    };
    while let Some(word) = words.next() {
        match word.keyword().as_str() {
            "force" => options.claim.force = true,
            "justid" => options.claim.just_id = true,
            "idle" if words.left() > 0 => {
                let idle = int(&mut words, IDLE_INVALID)?;
                delivered_at = (now as i64).wrapping_sub(idle);
            }
            "time" if words.left() > 0 => delivered_at = int(&mut words, TIME_INVALID)?,
            "retrycount" if words.left() > 0 => {
                let count = int(&mut words, RETRYCOUNT_INVALID)?;
                options.claim.deliveries = u64::try_from(count).ok();
            }
            "lastid" if words.left() > 0 => options.last = StreamId::parse(words.value()?)?,
            _ => {
                let word = word.0;
                return Err(CommandError::quoting(
                    "Unrecognized XCLAIM option '",
                    word,
                    "'",
                ));
            }
        }
    }
    // A time that makes no sense is taken for this moment.
    options.claim.delivered_at = match u64::try_from(delivered_at) {
        Ok(at) => at.min(now),
        Err(_) => now,
    };
    Ok(options)
}

fn int(words: &mut Words<'_>, error: CommandError) -> Result<i64, CommandError> {
    number::parse_int(words.value()?).ok_or(error)
}

/// A consumer that takes over pending entries.
pub(super) struct Claimer {
    pub(super) stream: Stream,
    pub(super) group: Group,
    consumer: u32,
    now: u64,
}

impl Claimer {
    pub(super) fn new(
        txn: &mut Txn<'_>,
        mut stream: Stream,
        mut group: Group,
        (key, name): (&Bytes, &Bytes),
    ) -> Result<Self, EvalError> {
        let now = txn.now().0;
        let (consumer, is_new) = group.consumer_or_new(&mut stream, txn, name)?;
        if is_new {
            txn.notify(Classes::STREAM, CONSUMER_CREATED, key);
        }
        group.consumer(&stream, txn, consumer)?.seen_at = now;
        Ok(Self {
            stream,
            group,
            consumer,
            now,
        })
    }

    /// Claims an entry; returns its reply if the consumer has it now. Errors: `ReplyTooLong`.
    pub(super) fn claim(
        &mut self,
        txn: &mut Txn<'_>,
        id: StreamId,
        claim: &Claim,
    ) -> Result<Option<Reply>, EvalError> {
        let Self { stream, group, .. } = self;
        let before = group.pending(stream, txn, id)?;
        let Some(entry) = stream.entry(txn, id)? else {
            if let Some(before) = before {
                group.remove_pending(stream, txn, id, before)?;
            }
            return Ok(None);
        };
        let deliveries = match before {
            Some(before) => {
                let idle = self.now as i64 - before.delivered_at as i64;
                if before.consumer != 0 && claim.min_idle > 0 && idle < claim.min_idle {
                    return Ok(None);
                }
                before.deliveries
            }
            None if claim.force => 1,
            None => return Ok(None),
        };
        let deliveries = claim.deliveries.unwrap_or(if claim.just_id {
            deliveries
        } else {
            deliveries.saturating_add(1)
        });
        let pending = Pending {
            consumer: self.consumer,
            delivered_at: claim.delivered_at,
            deliveries,
        };
        group.put_pending(stream, txn, id, (before, pending))?;
        group.consumer(stream, txn, self.consumer)?.active_at = Some(self.now);
        if claim.just_id {
            txn.take_reply_room(40)?;
            return Ok(Some(id.reply()));
        }
        entry.reply(txn).map(Some)
    }

    /// Stores what was changed.
    pub(super) fn finish(mut self, txn: &mut Txn<'_>, key: &Bytes) -> Result<(), EvalError> {
        self.stream.put_group(txn, &self.group);
        txn.put_stream(key.clone(), &self.stream)
    }
}
