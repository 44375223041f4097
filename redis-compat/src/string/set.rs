//! `SET` and its older spellings.

use bytes::Bytes;
use coterie_types::UnixMillis;

use super::condition::Condition;
use super::expiry::{self, Expiry, Options, Parsed, Unit};
use crate::command::{Command, Part, Topic, command};
use crate::{Args, Classes, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[SET, SETNX, SETEX, PSETEX], &[]);

const SET: Command = command(Topic::String, "set")
    .syntax(
        "key value [condition(NX|XX|IFEQ ifeq-value|IFNE ifne-value|IFDEQ \
        ifdeq-digest:integer|IFDNE ifdne-digest:integer)] [GET] [expiration(EX seconds|PX \
        milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL)]",
    )
    .flags(F::WRITE_ROOM)
    .keys(&[K::RW_ACCESS_UPDATE
        .with(K::VARIABLE_FLAGS)
        .at(1)
        .notes("RW and ACCESS due to the optional `GET` argument")])
    .runs(set)
    .blind_unless(&[
        "nx", "xx", "ifeq", "ifne", "ifdeq", "ifdne", "get", "keepttl",
    ])
    .key_flags_of(key_flags)
    .hints("weight=17 newer=IFEQ newer=IFNE newer=IFDEQ newer=IFDNE")
    .docs(
        "1.0.0",
        "O(1)",
        "Sets a string, on request only under a condition or with an expiry.",
    );

/// `SET key value [NX | XX | IFEQ value | IFNE value | IFDEQ digest | IFDNE digest] [GET] [EX s |
/// PX ms | EXAT s | PXAT ms | KEEPTTL]`: OK, or the old value. An absent key differs from every
/// value.
///
/// Blind: without a condition, GET and KEEPTTL the old record is not read. O(1).
/// Errors: `SYNTAX`, `DIGEST_LENGTH`, `NOT_AN_INTEGER`, `InvalidExpire`, `WRONG_TYPE` (GET and
/// comparing conditions only). Source: Redis 7.0 `t_string.c`, `setGenericCommand`.
fn set(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (key, value) = (args.bytes(1), args.bytes(2));
    if args.len() == 3 {
        txn.put_string(key.clone(), value.clone(), None)?;
        txn.notify(Classes::STRING, "set", key);
        return Ok(Reply::OK);
    }
    let options = expiry::parse(args, 3, Options::Set)?;
    let expires_at = match options.expiry {
        Expiry::At(unit, amount) => Some(unit.time(amount, txn.now(), args.name())?),
        _ => None,
    };
    set_generic(txn, key, value, options, expires_at)
}

/// The value is read with GET, and compared by some conditions.
fn key_flags(args: &[Bytes]) -> K {
    let mut options = args.iter().skip(3);
    let is = |word: &Bytes, option: &str| word.eq_ignore_ascii_case(option.as_bytes());
    let compares = |word: &Bytes| Condition::COMPARING.iter().any(|option| is(word, option));
    if options.any(|word| is(word, "get") || compares(word)) {
        K::RW_ACCESS_UPDATE
    } else {
        K::OW_UPDATE
    }
}

fn set_generic(
    txn: &mut Txn<'_>,
    key: &Bytes,
    value: &Bytes,
    options: Parsed<'_>,
    expires_at: Option<UnixMillis>,
) -> Result<Reply, EvalError> {
    let keep = options.expiry == Expiry::Keep;
    let compares = options.condition.is_some_and(Condition::compares);
    // The expiry, and the bytes if they count.
    let old = if options.get || compares {
        let string = txn.string(key)?;
        string.map(|string| (string.expires_at(), Some(string.into_bytes())))
    } else if options.condition.is_some() || keep {
        txn.value(key)?.map(|value| (value.expires_at(), None))
    } else {
        None
    };
    let bytes = old.as_ref().and_then(|(_, bytes)| bytes.as_ref());
    let holds = |condition: Condition<'_>| condition.holds(old.is_some(), bytes);
    let refused = !options.condition.is_none_or(holds);
    let kept = old.as_ref().and_then(|(at, _)| *at).filter(|_| keep);
    if !refused {
        txn.put_string(key.clone(), value.clone(), expires_at.or(kept))?;
        notify_set(txn, key, expires_at);
    }
    Ok(if options.get {
        Reply::bulk_or_null(old.and_then(|(_, bytes)| bytes))
    } else if refused {
        Reply::Null
    } else {
        Reply::OK
    })
}

const SETNX: Command = command(Topic::String, "setnx")
    .syntax("key value")
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::OW_INSERT.at(1)])
    .runs(setnx)
    .docs("1.0.0", "O(1)", "Sets a string unless the key exists.");

/// `SETNX key value`: 1 if set, 0 if the key was there. O(1).
fn setnx(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (key, value) = (args.bytes(1), args.bytes(2));
    let absent = !txn.exists(key)?;
    if absent {
        txn.put_string(key.clone(), value.clone(), None)?;
        txn.notify(Classes::STRING, "set", key);
    }
    Ok(Reply::Integer(absent.into()))
}

const SETEX: Command = command(Topic::String, "setex")
    .syntax("key seconds value")
    .flags(F::WRITE_ROOM)
    .keys(&[K::OW_UPDATE.at(1)])
    .runs(setex)
    .blind_unless(&[])
    .docs("2.0.0", "O(1)", "Sets a string with an expiry in seconds.");

/// `SETEX key seconds value`: OK. Blind. O(1). Errors: `NOT_AN_INTEGER`, `InvalidExpire`.
fn setex(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    set_for(txn, args, Unit::Seconds)
}

const PSETEX: Command = command(Topic::String, "psetex")
    .syntax("key milliseconds value")
    .flags(F::WRITE_ROOM)
    .keys(&[K::OW_UPDATE.at(1)])
    .runs(psetex)
    .blind_unless(&[])
    .docs(
        "2.6.0",
        "O(1)",
        "Sets a string with an expiry in milliseconds.",
    );

/// `PSETEX key milliseconds value`: OK. Blind. O(1). Errors: `NOT_AN_INTEGER`, `InvalidExpire`.
fn psetex(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    set_for(txn, args, Unit::Millis)
}

fn set_for(txn: &mut Txn<'_>, args: &Args<'_>, unit: Unit) -> Result<Reply, EvalError> {
    let at = unit.time(args.bytes(2), txn.now(), args.name())?;
    txn.put_string(args.bytes(1).clone(), args.bytes(3).clone(), Some(at))?;
    notify_set(txn, args.bytes(1), Some(at));
    Ok(Reply::OK)
}

/// The events of a string that was set, with an expiry if one was given.
pub(super) fn notify_set(txn: &mut Txn<'_>, key: &Bytes, expires_at: Option<UnixMillis>) {
    txn.notify(Classes::STRING, "set", key);
    if expires_at.is_some() {
        txn.notify(Classes::GENERIC, "expire", key);
    }
}
