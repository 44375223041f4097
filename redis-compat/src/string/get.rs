//! Reading a string, and the reads that also change it.

use super::condition;
use super::expiry::{self, Expiry, Options};
use super::{StringValue, UnreadString};
use crate::command::{Command, Nulls, Part, Topic, command};
use crate::{Args, Classes, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(
    &[GET, GETDEL, GETSET, GETEX, STRLEN, GETRANGE, SUBSTR, DIGEST],
    &[],
);

const GET: Command = command(Topic::String, "get")
    .syntax("key")
    .flags(F::READ_FAST)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(get)
    .nulls(Nulls::Key)
    .docs("1.0.0", "O(1)", "Returns the string value of a key.");

/// `GET key`: the value, or null. O(1). Errors: `WRONG_TYPE`.
fn get(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let string = txn.string(args.bytes(1))?;
    Ok(Reply::bulk_or_null(string.map(StringValue::into_bytes)))
}

const GETDEL: Command = command(Topic::String, "getdel")
    .syntax("key")
    .flags(F::WRITE_FAST)
    .keys(&[K::RW_ACCESS_DELETE.at(1)])
    .runs(getdel)
    .nulls(Nulls::Key)
    .docs(
        "6.2.0",
        "O(1)",
        "Returns the string value of a key and removes the key.",
    );

/// `GETDEL key`: the value, or null; the key is removed. O(1). Errors: `WRONG_TYPE`.
fn getdel(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    let Some(string) = txn.string(key)? else {
        return Ok(Reply::Null);
    };
    txn.remove(key.clone())?;
    Ok(Reply::Bulk(string.into_bytes()))
}

const GETSET: Command = command(Topic::String, "getset")
    .syntax("key value")
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_ACCESS_UPDATE.at(1)])
    .runs(getset)
    .docs(
        "1.0.0",
        "O(1)",
        "Sets a string and returns the previous value.",
    );

/// `GETSET key value`: the old value, or null; the expiry is dropped. O(1). Errors: `WRONG_TYPE`.
fn getset(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (key, value) = (args.bytes(1), args.bytes(2));
    let old = txn.string(key)?;
    txn.put_string(key.clone(), value.clone(), None)?;
    txn.notify(Classes::STRING, "set", key);
    Ok(Reply::bulk_or_null(old.map(StringValue::into_bytes)))
}

const GETEX: Command = command(Topic::String, "getex")
    .syntax(
        "key [expiration(EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT \
        unix-time-milliseconds|PERSIST)]",
    )
    .flags(F::WRITE_FAST)
    .keys(&[K::RW_ACCESS_UPDATE
        .at(1)
        .notes("RW and UPDATE because it changes the TTL")])
    .runs(getex)
    .nulls(Nulls::Key)
    .docs(
        "6.2.0",
        "O(1)",
        "Returns the string value of a key and changes its expiry.",
    );

/// `GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]`: the value, or null; the expiry is
/// changed.
///
/// Without an option it is a plain read. A time that has passed removes the key. O(1).
/// Errors: `SYNTAX`, `WRONG_TYPE`, `NOT_AN_INTEGER`, `InvalidExpire`, in this order. Source: Redis
/// `t_string.c`, `getexCommand`.
fn getex(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let options = expiry::parse(args, 2, Options::GetEx)?;
    let key = args.bytes(1);
    let Some(string) = txn.string(key)? else {
        return Ok(Reply::Null);
    };
    let bytes = string.bytes().clone();
    match options.expiry {
        Expiry::At(unit, amount) => {
            let at = unit.time(amount, txn.now(), args.name())?;
            if at <= txn.now() {
                txn.remove(key.clone())?;
            } else {
                txn.set_expiry(key.clone(), string.into(), Some(at))?;
                txn.notify(Classes::GENERIC, "expire", key);
            }
        }
        Expiry::Drop if string.expires_at().is_some() => {
            txn.set_expiry(key.clone(), string.into(), None)?;
            txn.notify(Classes::GENERIC, "persist", key);
        }
        _ => {}
    }
    Ok(Reply::Bulk(bytes))
}

const STRLEN: Command = command(Topic::String, "strlen")
    .syntax("key")
    .flags(F::READ_FAST)
    .keys(&[K::RO.at(1)])
    .runs(strlen)
    .docs("2.2.0", "O(1)", "Returns the length of a string.");

/// `STRLEN key`: the length in bytes, 0 if absent. O(1). Errors: `WRONG_TYPE`.
fn strlen(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let string = txn.unread_string(args.bytes(1))?;
    let len = string.as_ref().map_or(0, UnreadString::len);
    Ok(Reply::Integer(len as i64))
}

const DIGEST: Command = command(Topic::String, "digest")
    .syntax("key")
    .flags(F::READ_FAST)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(digest)
    .docs(
        "8.4.0",
        "O(N) where N is the length of the string",
        "Returns the hash of a string.",
    );

/// `DIGEST key`: XXH3 of 64 bits of the value, as 16 hexadecimal digits; null if absent. O(length).
/// Errors: `WRONG_TYPE`.
fn digest(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let string = txn.string(args.bytes(1))?;
    let digits = |string: StringValue| condition::digest(string.bytes()).into();
    Ok(Reply::bulk_or_null(string.map(digits)))
}

const GETRANGE: Command = command(Topic::String, "getrange")
    .syntax("key start end")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(getrange)
    .docs(
        "2.4.0",
        "O(N) where N is the length of the returned string",
        "Returns a part of a string.",
    );

const SUBSTR: Command = command(Topic::String, "substr")
    .syntax("key start end")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(getrange)
    .docs(
        "1.0.0",
        "O(N) where N is the length of the returned string",
        "Returns a part of a string; the old name of GETRANGE.",
    );

/// `GETRANGE key start end`, `SUBSTR`: the bytes from `start` to `end`, both included; below 0 they
/// count from the end. O(length of the range); of a string in one record it shares the memory.
///
/// Errors: `NOT_AN_INTEGER`, `WRONG_TYPE`. Source: Redis `t_string.c`, `getrangeCommand`.
fn getrange(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (start, end) = (args.int(2)?, args.int(3)?);
    let key = args.bytes(1);
    let string = txn.unread_string(key)?;
    let part = string.and_then(|string| {
        let (first, last) = clamp(start, end, string.len())?;
        Some(string.read(txn, key, first..last + 1))
    });
    Ok(Reply::Bulk(part.transpose()?.unwrap_or_default()))
}

/// The first and the last position of a range given as Redis takes it, or `None` if it is empty.
pub(crate) fn clamp(start: i64, end: i64, len: usize) -> Option<(usize, usize)> {
    if start < 0 && end < 0 && start > end {
        return None;
    }
    let from_end = |at: i64| if at < 0 { (len as i64 + at).max(0) } else { at };
    let (start, end) = (from_end(start), from_end(end).min(len as i64 - 1));
    (start <= end).then_some((start as usize, end as usize))
}

#[cfg(test)]
mod tests {
    use super::clamp;

    #[test]
    fn ranges_are_clamped_as_redis_clamps_them() {
        assert_eq!(clamp(0, -1, 5), Some((0, 4)));
        assert_eq!(clamp(-3, -2, 5), Some((2, 3)));
        assert_eq!(clamp(-99, 99, 5), Some((0, 4)));
        assert_eq!(clamp(3, 2, 5), None);
        assert_eq!(clamp(-1, -2, 5), None);
        assert_eq!(
            clamp(0, -99, 5),
            Some((0, 0)),
            "an end before the start of the text is its start"
        );
        assert_eq!(clamp(0, 0, 0), None);
        assert_eq!(clamp(i64::MIN, i64::MAX, 5), Some((0, 4)));
    }
}
