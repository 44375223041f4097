//! Acknowledging pending entries, and giving them back.

use super::del::take_ids;
use super::id::StreamId;
use super::no_key_or_group;
use super::pel::Pending;
use crate::command::{Command, Part, Topic, command};
use crate::errors::{SYNTAX, error_lines};
use crate::{Args, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[XACK, XNACK], LINES);

error_lines! {
    RETRYCOUNT_NEGATIVE = "ERR RETRYCOUNT must be zero or more";
}

const XACK: Command = command(Topic::Stream, "xack")
    .syntax("key group id ...")
    .flags(F::WRITE_FAST)
    .keys(&[K::RW_UPDATE.at(1)])
    .runs(xack)
    .hints("weight=3 key=stream-key group=stream-group id=stream-id")
    .docs(
        "5.0.0",
        "O(1) for each message ID processed.",
        "Acknowledges pending entries of a group.",
    );

/// `XACK key group id [id ...]`: how many were pending. O(1) for each. Errors: `WRONG_TYPE`,
/// `INVALID_ID`.
fn xack(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    let Some(mut stream) = txn.stream(key)? else {
        return Ok(Reply::Integer(0));
    };
    let Some(mut group) = stream.group(txn, args.bytes(2))? else {
        return Ok(Reply::Integer(0));
    };
    let mut acknowledged = 0;
    for id in StreamId::parse_all(args.rest(3))? {
        acknowledged += i64::from(group.acknowledge(&mut stream, txn, id)?);
    }
    if acknowledged > 0 {
        stream.put_group(txn, &group);
        txn.put_stream(key.clone(), &stream)?;
    }
    Ok(Reply::Integer(acknowledged))
}

const XNACK: Command = command(Topic::Stream, "xnack")
    .syntax(
        "key group mode(SILENT|FAIL|FATAL) IDS ids(numids:integer id ...) [RETRYCOUNT count] \
        [FORCE]",
    )
    .flags(F::WRITE_FAST)
    .keys(&[K::RW_UPDATE.at(1)])
    .runs(xnack)
    .hints("key=stream-key group=stream-group id=stream-id")
    .docs(
        "8.8.0",
        "O(1) for each message ID processed.",
        "Gives pending entries back to their group.",
    );

/// `XNACK key group SILENT|FAIL|FATAL IDS n id [id ...] [RETRYCOUNT n] [FORCE]`: how many entries
/// belong to no consumer now. `SILENT` takes a delivery back, `FATAL` makes them as many as there
/// can be. O(1) for each.
///
/// Errors: `SYNTAX`, `NOT_AN_INTEGER`, `RETRYCOUNT_NEGATIVE`, those of `IDS`, `WRONG_TYPE`,
/// `NOGROUP`.
fn xnack(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let options = parse_nack(args)?;
    let (key, name) = (args.bytes(1), args.bytes(2));
    let no_group = || no_key_or_group(key, name, "");
    let mut stream = txn.stream(key)?.ok_or_else(no_group)?;
    let mut group = stream.group(txn, name)?.ok_or_else(no_group)?;
    let mut released = 0;
    for id in &options.ids {
        let before = group.pending(&stream, txn, *id)?;
        if before.is_none() && !(options.force && stream.entry(txn, *id)?.is_some()) {
            continue;
        }
        let pending = Pending {
            consumer: 0,
            delivered_at: 0,
            deliveries: options.deliveries(before.map_or(0, |before| before.deliveries)),
        };
        group.put_pending(&mut stream, txn, *id, (before, pending))?;
        released += 1;
    }
    if released > 0 {
        stream.put_group(txn, &group);
        txn.put_stream(key.clone(), &stream)?;
    }
    Ok(Reply::Integer(released))
}

enum Mode {
    Silent,
    Fail,
    Fatal,
}

struct NackOptions {
    mode: Mode,
    ids: Vec<StreamId>,
    deliveries: Option<u64>,
    force: bool,
}

impl NackOptions {
    fn deliveries(&self, before: u64) -> u64 {
        self.deliveries.unwrap_or(match self.mode {
            Mode::Silent => before.saturating_sub(1),
            Mode::Fail => before,
            Mode::Fatal => i64::MAX as u64,
        })
    }
}

fn parse_nack(args: &Args<'_>) -> Result<NackOptions, CommandError> {
    let mut words = args.options(3);
    let mode = words.next().ok_or(SYNTAX)?;
    let mut options = NackOptions {
        mode: match mode.keyword().as_str() {
            "silent" => Mode::Silent,
            "fail" => Mode::Fail,
            "fatal" => Mode::Fatal,
            _ => return Err(SYNTAX),
        },
        ids: Vec::new(),
        deliveries: None,
        force: false,
    };
    while let Some(word) = words.next() {
        match word.keyword().as_str() {
            "ids" if options.ids.is_empty() => options.ids = take_ids(&mut words)?,
            "retrycount" => {
                let count = u64::try_from(words.int()?);
                options.deliveries = Some(count.map_err(|_| RETRYCOUNT_NEGATIVE)?);
            }
            "force" => options.force = true,
            _ => return Err(SYNTAX),
        }
    }
    if options.ids.is_empty() {
        return Err(SYNTAX);
    }
    Ok(options)
}
