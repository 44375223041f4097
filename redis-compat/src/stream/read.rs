//! Reading new entries of several streams: `XREAD`, and the words that `XREADGROUP` shares with it.
//!
//! Nothing here waits. A command that is to wait keeps the ids that its words meant when it came:
//! [`resolve_read_ids`].

use bytes::Bytes;

use super::Stream;
use super::entry::Range;
use super::id::{StreamId, until_nul};
use crate::command::{Command, Part, Topic, command};
use crate::errors::{
    SYNTAX, TIMEOUT_NEGATIVE, TIMEOUT_NOT_AN_INTEGER, TIMEOUT_OUT_OF_RANGE, WRONG_TYPE, error_lines,
};
use crate::waits::{Timeout, WaitQueue};
use crate::{
    Args, CommandError, EvalError, Flags as F, KeyFlags as K, Kind, Reply, Txn, Words, number,
};

pub(super) const PART: Part = Part::new(&[XREAD], LINES);

error_lines! {
    /// `MAXCOUNT` or `MAXSIZE` of 0 or less.
    NOT_POSITIVE = "ERR MAXCOUNT and MAXSIZE must be > 0";
    UNBALANCED_XREAD = "ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' \
        must be specified.";
    UNBALANCED_XREADGROUP = "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an \
        ID or '>' must be specified.";
    GROUP_OF_XREAD = "ERR The GROUP option is only supported by XREADGROUP. You called XREAD \
        instead.";
    NOACK_OF_XREAD = "ERR The NOACK option is only supported by XREADGROUP. You called XREAD \
        instead.";
    NEW_OF_XREAD = "ERR The > ID can be specified only when calling XREADGROUP using the GROUP \
        <group> <consumer> option.";
    pub(super) GROUP_MISSING = "ERR Missing GROUP option for XREADGROUP";
    pub(super) LAST_OF_XREADGROUP = "ERR The $ ID is meaningless in the context of XREADGROUP: you want to \
        read the history of this consumer by specifying a proper ID, or use the > ID to get new \
        messages. The $ ID would just return an empty result set.";
    pub(super) TOP_OF_XREADGROUP = "ERR The + ID is meaningless in the context of XREADGROUP: you want to \
        read the history of this consumer by specifying a proper ID, or use the > ID to get new \
        messages. The + ID would just return an empty result set.";
}

const XREAD: Command = command(Topic::Stream, "xread")
    .syntax("[COUNT count] [BLOCK milliseconds] STREAMS streams(key ... id ...)")
    .flags(F::READ.with(F::BLOCKING).with(F::MOVABLE_KEYS))
    .keys(&[K::RO_ACCESS.behind("STREAMS", 1).every(1).halved()])
    .runs(xread)
    .check(check)
    .waits(Timeout::Block, readers)
    .resolves(resolve_words)
    .hints("key=stream-key id=stream-id milliseconds=stream-block")
    .docs(
        "5.0.0",
        "For each stream mentioned: O(N) with N being the number of elements being returned.",
        "Returns the entries of several streams behind given ids.",
    )
    .deviation("It takes the id + of Redis 7.4 and MAXCOUNT and MAXSIZE of 8.10, too.");

/// `XREAD [COUNT n] [MAXCOUNT n] [MAXSIZE n] [BLOCK ms] STREAMS key ... id ...`: for each stream
/// that has entries behind its id, its key and these entries; null if there are none. O(entries of
/// the reply).
///
/// Errors: `SYNTAX`, those of the options, `WRONG_TYPE`, `INVALID_ID`, `ReplyTooLong`. Source:
/// Redis `t_stream.c`, `xreadCommand`.
fn xread(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let mut read = Read::parse(args, txn.now().0)?;
    let ids = resolve(txn, &read)?;
    let mut replies = Vec::new();
    for (key, behind) in read.keys.iter().zip(ids) {
        let Some(stream) = stream_of(txn, key)? else {
            continue;
        };
        let start = behind.next().filter(|_| stream.has_behind(behind));
        let Some(start) = start.filter(|_| !read.budget.is_empty()) else {
            continue;
        };
        txn.take_reply_room(key.len())?;
        let mut entries = Vec::new();
        let range = Range::up(start, StreamId::MAX);
        stream.each_entry(txn, range, read.max, &mut |txn, entry| {
            if !read.budget.take(entry.bytes()) {
                return Ok(false);
            }
            entries.push(entry.reply(txn)?);
            Ok(true)
        })?;
        if !entries.is_empty() {
            replies.push((Reply::Bulk(key.clone()), Reply::Array(entries)));
        }
    }
    if replies.is_empty() {
        txn.wait();
    }
    Ok(of_streams(replies))
}

/// The stream of a key. A client that has waited lets other types be.
fn stream_of(txn: &mut Txn<'_>, key: &Bytes) -> Result<Option<Stream>, EvalError> {
    match txn.stream(key) {
        Err(EvalError::Rejected(WRONG_TYPE)) if txn.has_waited() => Ok(None),
        stream => stream,
    }
}

/// The words of `XREAD` make sense.
fn check(args: &Args<'_>) -> Result<(), CommandError> {
    for word in Read::parse(args, 0)?.ids {
        match until_nul(word) {
            b"$" | b"+" => {}
            b">" => return Err(NEW_OF_XREAD),
            _ => drop(StreamId::parse(word)?),
        }
    }
    Ok(())
}

/// All who wait for entries of a stream get them.
fn readers(_: &[Bytes]) -> WaitQueue {
    WaitQueue {
        kind: Kind::Stream,
        name: Bytes::new(),
        takes: false,
        ends_with_key: false,
    }
}

/// The command with ids in place of `$` and `+`; `None` if it has none of these.
fn resolve_words(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Option<Vec<Bytes>>, EvalError> {
    let words = resolve_read_ids(txn, args)?;
    let same = words.iter().eq(args.rest(0));
    Ok((!same).then_some(words))
}

/// The reply of streams and their entries.
pub(super) fn of_streams(replies: Vec<(Reply, Reply)>) -> Reply {
    if replies.is_empty() {
        Reply::NullArray
    } else {
        Reply::PairMap(replies)
    }
}

/// The ids behind which `XREAD` reads.
fn resolve(txn: &mut Txn<'_>, read: &Read<'_>) -> Result<Vec<StreamId>, EvalError> {
    let mut ids = Vec::with_capacity(read.ids.len());
    for (key, word) in read.keys.iter().zip(read.ids) {
        let stream = stream_of(txn, key)?;
        ids.push(match (until_nul(word), stream) {
            (b"$" | b"+", None) => StreamId::MIN,
            (b"$", Some(stream)) => stream.head.last,
            (b"+", Some(stream)) => {
                let last = match stream.head.length {
                    0 => None,
                    _ => stream.head.last_entry.previous(),
                };
                last.unwrap_or(stream.head.last)
            }
            (b">", _) => return Err(NEW_OF_XREAD.into()),
            _ => StreamId::parse(word)?,
        });
    }
    Ok(ids)
}

/// The words of an `XREAD` that begins to wait: `$` and `+` are the ids that they mean now. Those
/// of an `XREADGROUP` stay: `>` is the entries that its group has not delivered by then.
///
/// Errors: as those of the command.
pub fn resolve_read_ids(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Vec<Bytes>, EvalError> {
    let mut words: Vec<Bytes> = (0..args.len()).map(|at| args.bytes(at).clone()).collect();
    let read = Read::parse(args, txn.now().0)?;
    if read.group.is_none() {
        let ids = resolve(txn, &read)?;
        let first = words.len() - ids.len();
        for (word, id) in words[first..].iter_mut().zip(ids) {
            *word = Bytes::from(id.to_string());
        }
    }
    Ok(words)
}

/// The bounds for the entries of all streams together.
#[derive(Debug)]
pub(super) struct Budget {
    count: usize,
    bytes: usize,
    is_whole: bool,
}

impl Budget {
    /// Takes an entry of so many bytes; returns whether there is room for it. There always is for
    /// the first.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        if self.count == 0 || (bytes > self.bytes && !self.is_whole) {
            self.count = 0;
            return false;
        }
        self.count -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
        self.is_whole = false;
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// The words of `XREAD` and `XREADGROUP`.
#[derive(Debug)]
pub(super) struct Read<'a> {
    /// The most entries of a stream.
    pub(super) max: usize,
    pub(super) budget: Budget,
    /// Group and consumer.
    pub(super) group: Option<(&'a Bytes, &'a Bytes)>,
    pub(super) noack: bool,
    /// Pending entries that are idle for so long are claimed.
    pub(super) claim: Option<u64>,
    pub(super) keys: &'a [Bytes],
    /// A word for each key.
    pub(super) ids: &'a [Bytes],
}

impl<'a> Read<'a> {
    pub(super) fn parse(args: &Args<'a>, now: u64) -> Result<Self, CommandError> {
        let is_group = args.name() == "xreadgroup";
        let mut read = Self {
            max: usize::MAX,
            budget: Budget {
                count: usize::MAX,
                bytes: usize::MAX,
                is_whole: true,
            },
            group: None,
            noack: false,
            claim: None,
            keys: &[],
            ids: &[],
        };
        let mut words = args.options(1);
        while let Some(word) = words.next() {
            match word.keyword().as_str() {
                "block" if words.left() > 0 => check_timeout(&mut words, now)?,
                "count" if words.left() > 0 => {
                    // 0 and less is no limit.
                    let count = usize::try_from(words.int()?).unwrap_or(0);
                    read.max = if count == 0 { usize::MAX } else { count };
                }
                "maxcount" if words.left() > 0 => read.budget.count = at_least_one(&mut words)?,
                "maxsize" if words.left() > 0 => read.budget.bytes = at_least_one(&mut words)?,
                "streams" if words.left() > 0 => {
                    let words = args.rest(args.len() - words.left());
                    if !words.len().is_multiple_of(2) {
                        return Err(if is_group {
                            UNBALANCED_XREADGROUP
                        } else {
                            UNBALANCED_XREAD
                        });
                    }
                    (read.keys, read.ids) = words.split_at(words.len() / 2);
                    break;
                }
                "group" if words.left() >= 2 => {
                    if !is_group {
                        return Err(GROUP_OF_XREAD);
                    }
                    let [group, consumer] = words.values()?;
                    read.group = Some((group, consumer));
                }
                "noack" if is_group => read.noack = true,
                "noack" => return Err(NOACK_OF_XREAD),
                "claim" if is_group && words.left() > 0 => {
                    let idle = u64::try_from(words.int()?).unwrap_or(0);
                    read.claim = Some(idle);
                }
                _ => return Err(SYNTAX),
            }
        }
        if read.keys.is_empty() {
            return Err(SYNTAX);
        }
        if is_group && read.group.is_none() {
            return Err(GROUP_MISSING);
        }
        Ok(read)
    }
}

/// Errors: `NOT_AN_INTEGER`, `NOT_POSITIVE`.
fn at_least_one(words: &mut Words<'_>) -> Result<usize, CommandError> {
    let number = usize::try_from(words.int()?).unwrap_or(0);
    (number > 0).then_some(number).ok_or(NOT_POSITIVE)
}

/// Errors: `TIMEOUT_NOT_AN_INTEGER`, `TIMEOUT_NEGATIVE`, `TIMEOUT_OUT_OF_RANGE`.
fn check_timeout(words: &mut Words<'_>, now: u64) -> Result<(), CommandError> {
    let timeout = number::parse_int(words.value()?).ok_or(TIMEOUT_NOT_AN_INTEGER)?;
    let timeout = u64::try_from(timeout).map_err(|_| TIMEOUT_NEGATIVE)?;
    if timeout > (i64::MAX as u64).saturating_sub(now) {
        return Err(TIMEOUT_OUT_OF_RANGE);
    }
    Ok(())
}
