//! Reading and setting fields and their deadlines at once: HGETDEL, HGETEX and HSETEX, of Redis
//! 8.0.

use bytes::Bytes;
use coterie_types::UnixMillis;

use super::Hash;
use crate::command::{Command, Part, Topic, command};
use crate::deadline::{self, Deadline, Of, Options, Put, fixed_names};
use crate::txn::members::Members;
use crate::{Args, Classes, EvalError, Flags as F, KeyFlags as K, Reply, Txn};

pub(super) const PART: Part = Part::new(&[HGETDEL, HGETEX, HSETEX], &[]);

const HGETDEL: Command = command(Topic::Hash, "hgetdel")
    .syntax("key fields(FIELDS numfields field ...)")
    .flags(F::WRITE_FAST)
    .keys(&[K::RW_ACCESS_DELETE.at(1)])
    .runs(hgetdel)
    .hints("key=hash-key field=field")
    .docs(
        "8.0.0",
        "O(N) where N is the number of fields named",
        "Returns the values of fields and removes the fields.",
    );

/// `HGETDEL key FIELDS n field [field ...]`: the values, null for a field that is absent. A hash
/// without fields is removed.
///
/// O(log) for each. Errors: `WRONG_TYPE`, those of `deadline/words.rs`, `ReplyTooLong`.
fn hgetdel(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    let mut hash = txn.hash(key)?;
    let fields = fixed_names(args, Of::Fields)?;
    let (mut values, mut is_changed) = (Vec::with_capacity(fields.len()), false);
    for field in fields {
        let value = hash.remove(txn, field)?;
        is_changed |= value.is_some();
        txn.take_reply_room(value.as_ref().map_or(0, |value| value.len()))?;
        values.push(Reply::bulk_or_null(value));
    }
    if is_changed {
        txn.notify(Classes::HASH, "hdel", key);
        txn.put_hash(key, &mut hash)?;
    }
    Ok(Reply::Array(values))
}

const HGETEX: Command = command(Topic::Hash, "hgetex")
    .syntax(
        "key [expiration(EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT \
        unix-time-milliseconds|PERSIST)] fields(FIELDS numfields field ...)",
    )
    .flags(F::WRITE_FAST)
    .keys(&[K::RW_ACCESS_UPDATE
        .at(1)
        .notes("RW and UPDATE because it changes the TTL")])
    .runs(hgetex)
    .hints("key=hash-key field=field")
    .docs(
        "8.0.0",
        "O(N) where N is the number of fields named",
        "Returns the values of fields and changes their deadlines.",
    );

/// `HGETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST] FIELDS n field [field ...]`: the values,
/// null for a field that is absent. A deadline that has passed removes the fields.
///
/// O(log) for each. Errors: `WRONG_TYPE`, those of `deadline/words.rs`, `ReplyTooLong`.
fn hgetex(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    let mut hash = txn.hash(key)?;
    let options = Options::of_get(txn, args)?;
    let mut values = Vec::with_capacity(options.elements.len());
    let mut is_changed = false;
    for field in options.elements {
        let Some(cell) = hash.0.get(txn, field)? else {
            txn.take_reply_room(0)?;
            values.push(Reply::Null);
            continue;
        };
        match options.deadline {
            Deadline::At(at) if at <= txn.now() => {
                hash.remove(txn, field)?;
                is_changed = true;
            }
            Deadline::At(at) => {
                hash.0.set_deadline(txn, field, Some(at))?;
                is_changed = true;
            }
            Deadline::Drop if cell.deadline.is_some() => {
                hash.0.set_deadline(txn, field, None)?;
                is_changed = true;
            }
            Deadline::Drop | Deadline::Keep | Deadline::Unsaid => {}
        }
        txn.take_reply_room(cell.value.len())?;
        values.push(Reply::Bulk(cell.value));
    }
    if is_changed {
        let name = match options.deadline {
            Deadline::At(at) if at <= txn.now() => "hdel",
            Deadline::At(_) => "hexpire",
            Deadline::Drop | Deadline::Keep | Deadline::Unsaid => "hpersist",
        };
        txn.notify(Classes::HASH, name, key);
        txn.put_hash(key, &mut hash)?;
    }
    Ok(Reply::Array(values))
}

const HSETEX: Command = command(Topic::Hash, "hsetex")
    .syntax(
        "key [condition(FNX|FXX)] [expiration(EX seconds|PX milliseconds|EXAT \
        unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL)] \
        fields(FIELDS numfields data(field value) ...)",
    )
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_UPDATE.at(1)])
    .runs(hsetex)
    .hints("key=hash-key field=field value=field-value")
    .docs(
        "8.0.0",
        "O(N) where N is the number of fields named",
        "Sets fields and their deadlines.",
    );

/// `HSETEX key [FNX | FXX] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL] FIELDS n field value [field
/// value ...]`: 1 if the fields were set, 0 if the condition was not met. Without an option the
/// fields have no deadline. A deadline that has passed removes them.
///
/// O(log) for each. Errors: those of `deadline/words.rs`, `WRONG_TYPE`.
fn hsetex(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let options = Options::of_put(txn, args, Of::Fields, Hash::WORDS)?;
    let key = args.bytes(1);
    let mut hash = txn.hash(key)?;
    hash.expect_fields(options.elements.len() / 2);
    let is_put = deadline::put(txn, &options, &mut hash)?;
    if is_put {
        match options.deadline {
            Deadline::At(at) if at <= txn.now() => {
                txn.notify(Classes::HASH, "hdel", key);
                txn.put_hash(key, &mut hash)?;
            }
            deadline => {
                txn.put_hash(key, &mut hash)?;
                txn.notify(Classes::HASH, "hset", key);
                if matches!(deadline, Deadline::At(_)) {
                    txn.notify(Classes::HASH, "hexpire", key);
                }
            }
        }
    }
    Ok(Reply::Integer(is_put.into()))
}

impl Put for Hash {
    const WORDS: usize = 2;

    fn members(&mut self) -> &mut Members {
        &mut self.0
    }

    fn put(
        &mut self,
        txn: &mut Txn<'_>,
        pair: &[Bytes],
        deadline: Option<UnixMillis>,
    ) -> Result<(), EvalError> {
        self.set_until(txn, &pair[0], &pair[1], deadline)?;
        Ok(())
    }
}
