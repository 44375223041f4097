//! `DUMP` and `RESTORE`: values in the format of Redis' RDB files.
//!
//! ```text
//! 1 byte      type: 0 = string, others in the `payload.rs` of a type
//! n bytes     the value ([`crate::rdb`], `hash/payload.rs`, `list/payload.rs`)
//! 2 bytes     RDB version, little endian
//! 8 bytes     CRC-64 of all before, little endian
//! ```
//!
//! Source: Redis `cluster.c`, `createDumpPayload` and `restoreCommand`.

use bytes::{Buf, BufMut, Bytes};

use super::Typed;
use crate::command::{Command, Part, Topic, command};
use crate::errors::SYNTAX;
use crate::errors::error_lines;
use crate::hash::{self, Hash};
use crate::list;
use crate::rdb::{self, crc64};
use crate::set::{self, Set};
use crate::stream::{self, Stream};
use crate::string::Unit;
use crate::zset::{self, SortedSet};
use crate::{
    Args, Categories as C, CommandError, EvalError, Flags as F, KeyFlags as K, Reply, Txn,
};

pub(super) const PART: Part = Part::new(&[DUMP, RESTORE], LINES);

error_lines! {
    /// `RESTORE` on a key that exists.
    BUSY_KEY = "BUSYKEY Target key name already exists.";
    /// A `RESTORE` payload of another version, or damaged.
    pub BAD_DUMP = "ERR DUMP payload version or checksum are wrong";
    /// A `RESTORE` payload that is whole and makes no sense.
    BAD_DATA_FORMAT = "ERR Bad data format";
    /// `RESTORE` with a TTL below zero.
    INVALID_TTL = "ERR Invalid TTL value, must be >= 0";
    /// `RESTORE` with an idle time below zero.
    INVALID_IDLE_TIME = "ERR Invalid IDLETIME value, must be >= 0";
    /// `RESTORE` with a frequency that is no byte.
    INVALID_FREQ = "ERR Invalid FREQ value, must be >= 0 and <= 255";
}

/// The RDB version written: Redis 7.0's, so that every Redis since takes the payload.
const VERSION_WRITTEN: u16 = 10;
/// The RDB version of a value that Redis 7.0 does not know: a hash whose fields have deadlines.
const VERSION_WITH_DEADLINES: u16 = 12;
/// The newest RDB version read: Redis 8.4's. Strings have not changed since version 1.
const VERSION_READ_MAX: u16 = 13;
const FOOTER_BYTES: usize = 10;
const TYPE_STRING: u8 = 0;

const DUMP: Command = command(Topic::Generic, "dump")
    .syntax("key")
    .flags(F::READ)
    .keys(&[K::RO_ACCESS.at(1)])
    .runs(dump)
    .tips(&["nondeterministic_output"])
    .hints("reply=payload")
    .docs(
        "2.6.0",
        "O(1) to access the key and additional O(N*M) to serialize it, where N is \
        the number of Redis objects composing the value and M their average size",
        "Returns a serialized form of a value.",
    )
    .deviation(
        "The payload has RDB version 10, which every Redis since 7.0 restores, and 12 if fields of \
        a hash have deadlines. Long values may be compressed to other bytes. Deadlines of members \
        of sets are left out.",
    );

/// `DUMP key`: the value as a payload for `RESTORE`, or null. O(length).
fn dump(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    let Some(value) = txn.value(key)? else {
        return Ok(Reply::Null);
    };
    let mut payload = Vec::with_capacity(value.stored_bytes() + FOOTER_BYTES + 6);
    match value.typed(txn.table(), key)? {
        Typed::String(string) => {
            payload.put_u8(TYPE_STRING);
            rdb::put_string(&mut payload, string.read_all(txn, key)?.bytes());
        }
        Typed::Hash(hash) => hash::put_payload(&mut payload, txn, &hash)?,
        Typed::List(_) => list::put_payload(&mut payload, txn, args.bytes(1))?,
        Typed::Set(set) => set::put_payload(&mut payload, txn, &set)?,
        Typed::SortedSet(set) => {
            let mut set = set.under(txn, args.bytes(1))?;
            zset::put_payload(&mut payload, txn, &mut set)?;
        }
        Typed::Stream(stream) => {
            stream::put_payload(&mut payload, txn, args.bytes(1), stream)?;
        }
    }
    let version = match payload.first() {
        Some(of) if hash::has_deadlines(*of) => VERSION_WITH_DEADLINES,
        _ => VERSION_WRITTEN,
    };
    payload.put_u16_le(version);
    payload.put_u64_le(crc64(&payload));
    Ok(Reply::Bulk(Bytes::from(payload)))
}

const RESTORE: Command = command(Topic::Generic, "restore")
    .syntax("key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]")
    .flags(F::WRITE_ROOM)
    .keys(&[K::OW_UPDATE.at(1)])
    .runs(restore)
    .categories(C::KEYSPACE.with(C::DANGEROUS))
    .hints("weight=2 ttl=ttl seconds=index frequency=index")
    .docs(
        "2.6.0",
        "O(1) to create the new key and additional O(N*M) to reconstruct the \
        serialized value, where N is the number of Redis objects composing the \
        value and M their average size",
        "Creates a key from its serialized form.",
    )
    .deviation(
        "It restores values of RDB versions up to 13, but no value of a module. It ignores valid \
        IDLETIME and FREQ, and refuses a relative TTL that overflows, where Redis replies OK and \
        loses the key.",
    );

/// `RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME s] [FREQ n]`: OK. A TTL of 0 is none; a
/// TTL that has passed stores nothing. Idle time and frequency are checked and not kept.
///
/// A relative TTL that ends after the last instant is refused, as every other command refuses it;
/// Redis lets the sum wrap, answers OK and stores nothing.
///
/// O(length). Errors: `SYNTAX`, `INVALID_IDLE_TIME`, `INVALID_FREQ`, `BUSY_KEY`, `NOT_AN_INTEGER`,
/// `INVALID_TTL`, `InvalidExpire`, `BAD_DUMP`, `BAD_DATA_FORMAT`, in this order.
fn restore(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let options = parse(args)?;
    let key = args.bytes(1);
    let found = txn.exists(key)?;
    if found && !options.replace {
        return Err(BUSY_KEY.into());
    }
    let ttl = args.int(2)?;
    if ttl < 0 {
        return Err(INVALID_TTL.into());
    }
    let expires_at = match ttl {
        0 => None,
        _ => {
            let unit = if options.absolute {
                Unit::AtMillis
            } else {
                Unit::Millis
            };
            Some(unit.time(args.bytes(2), txn.now(), args.name())?)
        }
    };
    let restored = decode(args.bytes(3), txn)?;
    if expires_at.is_some_and(|at| at <= txn.now()) {
        if found {
            txn.remove(key.clone())?;
        }
    } else {
        match restored {
            Restored::String(value) => txn.put_string(key.clone(), value, expires_at)?,
            Restored::Hash(hash) => txn.put_hash(key, &mut hash.expiring(expires_at))?,
            Restored::List(elements) => txn.restore_list(key, &elements, expires_at)?,
            Restored::Set(set) => txn.put_set(key, &mut set.expiring(expires_at))?,
            Restored::SortedSet(set) => txn.put_zset(key.clone(), set.expiring(expires_at))?,
            Restored::Stream(stream) => {
                txn.put_stream(key.clone(), &stream.expiring(expires_at))?
            }
        }
    }
    Ok(Reply::OK)
}

/// A value of a payload.
enum Restored {
    String(Bytes),
    Hash(Hash),
    /// Its elements.
    List(Vec<Bytes>),
    Set(Set),
    SortedSet(SortedSet),
    Stream(Stream),
}

fn decode(payload: &Bytes, txn: &mut Txn<'_>) -> Result<Restored, EvalError> {
    let body_len = payload.len().checked_sub(FOOTER_BYTES).ok_or(BAD_DUMP)?;
    let (summed, sum) = payload.split_at(payload.len() - 8);
    let version = u16::from_le_bytes([payload[body_len], payload[body_len + 1]]);
    if version > VERSION_READ_MAX || crc64(summed).to_le_bytes() != sum {
        return Err(BAD_DUMP.into());
    }
    let mut body = payload.slice(..body_len);
    let max = txn.value_bytes_max();
    let restored = match body.try_get_u8() {
        Ok(TYPE_STRING) => rdb::take_string(&mut body, max).map(Restored::String),
        Ok(of) if hash::is_payload(of) => {
            hash::take_payload(of, &mut body, txn)?.map(Restored::Hash)
        }
        Ok(of) if list::is_payload(of) => {
            list::take_payload(of, &mut body, max).map(Restored::List)
        }
        Ok(of) if set::is_payload(of) => set::take_payload(of, &mut body, txn)?.map(Restored::Set),
        Ok(of) if zset::is_payload(of) => {
            zset::take_payload(of, &mut body, max)?.map(Restored::SortedSet)
        }
        Ok(of) if stream::is_payload(of) => {
            stream::take_payload(of, &mut body, max).map(Restored::Stream)
        }
        Ok(_) => None,
        Err(_) => None,
    };
    Ok(restored.ok_or(BAD_DATA_FORMAT)?)
}

#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
}

fn parse(args: &Args<'_>) -> Result<Options, CommandError> {
    let mut options = Options::default();
    let (mut idle, mut freq) = (false, false);
    let mut words = args.options(4);
    while let Some(word) = words.next() {
        match word.keyword().as_str() {
            "replace" => options.replace = true,
            "absttl" => options.absolute = true,
            "idletime" if !freq => {
                idle = true;
                if words.int()? < 0 {
                    return Err(INVALID_IDLE_TIME);
                }
            }
            "freq" if !idle => {
                freq = true;
                if !(0..=255).contains(&words.int()?) {
                    return Err(INVALID_FREQ);
                }
            }
            _ => return Err(SYNTAX),
        }
    }
    Ok(options)
}
