//! Many strings in a single command.

use bytes::Bytes;
use coterie_types::UnixMillis;

use super::expiry::{self, Expiry, Options};
use super::set::notify_set;
use super::{StringValue, UnreadString};
use crate::command::{Command, Nulls, Part, Topic, command};
use crate::errors::error_lines;
use crate::{
    Args, Classes, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Route, Txn, Value,
    number,
};

pub(super) const PART: Part = Part::new(&[MGET, MSET, MSETEX, MSETNX], LINES);

error_lines! {
    /// `MSETEX` with a count of keys that makes no sense.
    INVALID_NUMKEYS = "ERR invalid numkeys value";
    /// `MSETEX` with fewer words than keys and values.
    WRONG_NUMBER_OF_PAIRS = "ERR wrong number of key-value pairs";
}

const MGET: Command = command(Topic::String, "mget")
    .syntax("key ...")
    .flags(F::READ_FAST)
    .keys(&[K::RO_ACCESS.at(1).every(1)])
    .runs(mget)
    .nulls(Nulls::EachKey)
    .route(Route::ArrayOverKeys)
    .tips(&["request_policy:multi_shard"])
    .docs(
        "1.0.0",
        "O(N) where N is the number of keys to retrieve",
        "Returns the string values of several keys.",
    );

/// `MGET key [key ...]`: the values in order, null for a key that is absent or no string. O(1)
/// each. Errors: `ReplyTooLong`.
fn mget(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let mut values = Vec::with_capacity(args.len() - 1);
    for key in args.rest(1) {
        let value = txn.value(key)?;
        let string = value.map(Value::into_string).transpose()?.flatten();
        txn.take_reply_room(string.as_ref().map_or(0, UnreadString::len))?;
        let read = string.map(|string| string.read_all(txn, key)).transpose()?;
        values.push(Reply::bulk_or_null(read.map(StringValue::into_bytes)));
    }
    Ok(Reply::Array(values))
}

const MSET: Command = command(Topic::String, "mset")
    .syntax("key_value(key value) ...")
    .flags(F::WRITE_ROOM)
    .keys(&[K::OW_UPDATE.at(1).every(2)])
    .runs(mset)
    .route(Route::PairsOverKeys)
    .check(check_pairs)
    .blind_unless(&[])
    .tips(&[
        "request_policy:multi_shard",
        "response_policy:all_succeeded",
    ])
    .docs(
        "1.0.1",
        "O(N) where N is the number of keys to set",
        "Sets several strings.",
    )
    .deviation(
        "Keys of several groups are set group by group, so other clients may see a part of \
        them.",
    );

/// `MSET key value [key value ...]`: OK. Blind. O(1) each. Errors: `WrongArity`.
fn mset(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    check_pairs(args)?;
    put_pairs(txn, args)?;
    Ok(Reply::OK)
}

const MSETNX: Command = command(Topic::String, "msetnx")
    .syntax("key_value(key value) ...")
    .flags(F::WRITE_ROOM)
    .keys(&[K::OW_INSERT.at(1).every(2)])
    .runs(msetnx)
    .check(check_pairs)
    .tips(&["request_policy:multi_shard", "response_policy:agg_min"])
    .docs(
        "1.0.1",
        "O(N) where N is the number of keys to set",
        "Sets several strings unless any of the keys exists.",
    )
    .deviation("All keys must be in the same group; otherwise the reply is CROSSGROUP.");

/// `MSETNX key value [key value ...]`: 1 if all were set, 0 and none set if any key was there.
///
/// O(1) each. Errors: `WrongArity`.
fn msetnx(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    check_pairs(args)?;
    for pair in args.rest(1).chunks_exact(2) {
        if txn.exists(&pair[0])? {
            return Ok(Reply::Integer(0));
        }
    }
    put_pairs(txn, args)?;
    Ok(Reply::Integer(1))
}

/// Each key has its value.
fn check_pairs(args: &Args<'_>) -> Result<(), CommandError> {
    if args.len() % 2 == 1 {
        Ok(())
    } else {
        Err(CommandError::WrongArity(args.name()))
    }
}

fn put_pairs(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    for pair in args.rest(1).chunks_exact(2) {
        txn.put_string(pair[0].clone(), pair[1].clone(), None)?;
        txn.notify(Classes::STRING, "set", &pair[0]);
    }
    Ok(())
}

const MSETEX: Command = command(Topic::String, "msetex")
    .syntax(
        "numkeys data(key value) ... [condition(NX|XX)] [expiration(EX seconds|PX \
        milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL)]",
    )
    .flags(F::WRITE_ROOM)
    .keys(&[K::OW_UPDATE.at(1).counted_pairs()])
    .runs(msetex)
    .check(msetex_check)
    .blind_unless(&["nx", "xx", "keepttl"])
    .tips(&[
        "request_policy:multi_shard",
        "response_policy:all_succeeded",
    ])
    .docs(
        "8.4.0",
        "O(N) where N is the number of keys to set",
        "Sets several strings, on request only under a condition or with an expiry.",
    )
    .deviation("All keys must be in the same group; otherwise the reply is CROSSGROUP.");

/// `MSETEX n key value [key value ...] [NX | XX] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]`: 1 if
/// all were set; 0 and none set if any key was there (NX), or any was not (XX).
///
/// Blind without NX, XX and KEEPTTL. O(1) each. Errors: `INVALID_NUMKEYS`,
/// `WRONG_NUMBER_OF_PAIRS`, `SYNTAX`, `NOT_AN_INTEGER`, `InvalidExpire`.
fn msetex(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let pairs = counted_pairs(args)?;
    let options = expiry::parse(args, 2 + pairs.len(), Options::MSetEx)?;
    let expires_at = match options.expiry {
        Expiry::At(unit, amount) => Some(unit.time(amount, txn.now(), args.name())?),
        _ => None,
    };
    if let Some(condition) = options.condition {
        for pair in pairs.chunks_exact(2) {
            if !condition.holds(txn.exists(&pair[0])?, None) {
                return Ok(Reply::Integer(0));
            }
        }
    }
    for pair in pairs.chunks_exact(2) {
        let (key, value) = (&pair[0], &pair[1]);
        let kept = match options.expiry {
            Expiry::Keep => txn.value(key)?.and_then(|value| value.expires_at()),
            _ => None,
        };
        txn.put_string(key.clone(), value.clone(), expires_at.or(kept))?;
        notify_set(txn, key, expires_at);
    }
    Ok(Reply::Integer(1))
}

/// The count, the pairs and the options make sense, whatever the time is.
fn msetex_check(args: &Args<'_>) -> Result<(), CommandError> {
    let pairs = counted_pairs(args)?;
    let options = expiry::parse(args, 2 + pairs.len(), Options::MSetEx)?;
    if let Expiry::At(unit, amount) = options.expiry {
        // A time that the present makes too late is refused when the command runs.
        unit.time(amount, UnixMillis(0), args.name())?;
    }
    Ok(())
}

/// As many keys and values as the first word says. Errors: `INVALID_NUMKEYS`,
/// `WRONG_NUMBER_OF_PAIRS`.
fn counted_pairs<'a>(args: &Args<'a>) -> Result<&'a [Bytes], CommandError> {
    let count = number::parse_int(args.bytes(1)).and_then(|count| i32::try_from(count).ok());
    let count = count.filter(|count| *count > 0).ok_or(INVALID_NUMKEYS)?;
    let words = args.rest(2);
    let pairs = words.get(..2 * count as usize);
    pairs.ok_or(WRONG_NUMBER_OF_PAIRS)
}
