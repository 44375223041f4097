//! Deadlines of members: SEXPIRE and its like, and SADDEX, of Redis 8.12.

use bytes::Bytes;
use coterie_types::UnixMillis;

use super::Set;
use crate::command::{Command, Part, Topic, command};
use crate::deadline::{self, Of, Options, Put, expire, persist, ttl};
use crate::string::Unit;
use crate::txn::members::Members;
use crate::{Args, Classes, EvalError, Flags as F, KeyFlags as K, KeySpec, Reply, Txn};

pub(super) const PART: Part = Part::new(
    &[
        SEXPIRE,
        SPEXPIRE,
        SEXPIREAT,
        SPEXPIREAT,
        SPERSIST,
        STTL,
        SPTTL,
        SEXPIRETIME,
        SPEXPIRETIME,
        SADDEX,
    ],
    &[],
);

const CHANGED: &[KeySpec] = &[K::RW_UPDATE.at(1)];
const READ: &[KeySpec] = &[K::RO_ACCESS.at(1)];
const COST: &str = "O(N) where N is the number of members named";

const fn sets(name: &'static str, syntax: &'static str, summary: &'static str) -> Command {
    command(Topic::Set, name)
        .syntax(syntax)
        .flags(F::WRITE_FAST)
        .keys(CHANGED)
        .hints("key=set-key member=member")
        .docs("8.12.0", COST, summary)
}

const fn asks(name: &'static str, summary: &'static str) -> Command {
    command(Topic::Set, name)
        .syntax("key members(MEMBERS nummembers member ...)")
        .flags(F::READ_FAST)
        .keys(READ)
        .hints("key=set-key member=member")
        .docs("8.12.0", COST, summary)
}

const SEXPIRE: Command = sets(
    "sexpire",
    "key seconds [condition(NX|XX|GT|LT)] members(MEMBERS nummembers member ...)",
    "Sets the deadlines of members in seconds from now.",
)
.runs(|txn, args| expire(txn, args, Of::Members, Unit::Seconds));

const SPEXPIRE: Command = sets(
    "spexpire",
    "key milliseconds [condition(NX|XX|GT|LT)] members(MEMBERS nummembers member ...)",
    "Sets the deadlines of members in milliseconds from now.",
)
.runs(|txn, args| expire(txn, args, Of::Members, Unit::Millis));

const SEXPIREAT: Command = sets(
    "sexpireat",
    "key unix-time-seconds [condition(NX|XX|GT|LT)] members(MEMBERS nummembers member ...)",
    "Sets the deadlines of members in Unix seconds.",
)
.runs(|txn, args| expire(txn, args, Of::Members, Unit::AtSeconds));

const SPEXPIREAT: Command = sets(
    "spexpireat",
    "key unix-time-milliseconds [condition(NX|XX|GT|LT)] members(MEMBERS nummembers member ...)",
    "Sets the deadlines of members in Unix milliseconds.",
)
.runs(|txn, args| expire(txn, args, Of::Members, Unit::AtMillis));

const SPERSIST: Command = sets(
    "spersist",
    "key members(MEMBERS nummembers member ...)",
    "Removes the deadlines of members.",
)
.runs(|txn, args| persist(txn, args, Of::Members));

const STTL: Command = asks("sttl", "Returns the seconds that members have left.")
    .tips(&["nondeterministic_output"])
    .runs(|txn, args| ttl(txn, args, Of::Members, Unit::Seconds));

const SPTTL: Command = asks("spttl", "Returns the milliseconds that members have left.")
    .tips(&["nondeterministic_output"])
    .runs(|txn, args| ttl(txn, args, Of::Members, Unit::Millis));

const SEXPIRETIME: Command = asks(
    "sexpiretime",
    "Returns the deadlines of members in Unix seconds.",
)
.runs(|txn, args| ttl(txn, args, Of::Members, Unit::AtSeconds));

const SPEXPIRETIME: Command = asks(
    "spexpiretime",
    "Returns the deadlines of members in Unix milliseconds.",
)
.runs(|txn, args| ttl(txn, args, Of::Members, Unit::AtMillis));

const SADDEX: Command = command(Topic::Set, "saddex")
    .syntax(
        "key [condition(MNX|MXX)] [expiration(EX seconds|PX milliseconds|EXAT \
        unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL)] \
        members(MEMBERS nummembers member ...)",
    )
    .flags(F::WRITE_ROOM.with(F::FAST))
    .keys(&[K::RW_UPDATE.at(1)])
    .runs(saddex)
    .hints("key=set-key member=member")
    .docs("8.12.0", COST, "Adds members with their deadlines.");

/// `SADDEX key [MNX | MXX] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL] MEMBERS n member [member
/// ...]`: 1 if the members were added, 0 if the condition was not met. Without an option the
/// members have no deadline. A deadline that has passed removes them.
///
/// O(log) for each. Errors: those of `deadline/words.rs`, `WRONG_TYPE`.
fn saddex(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let options = Options::of_put(txn, args, Of::Members, Set::WORDS)?;
    let key = args.bytes(1);
    let mut set = txn.set(key)?;
    set.expect(&options.elements[0], options.elements.len());
    let is_put = deadline::put(txn, &options, &mut set)?;
    if is_put {
        txn.notify(Classes::SET, "sadd", key);
        txn.put_set(key, &mut set)?;
    }
    Ok(Reply::Integer(is_put.into()))
}

impl Put for Set {
    const WORDS: usize = 1;

    fn members(&mut self) -> &mut Members {
        &mut self.0
    }

    fn put(
        &mut self,
        txn: &mut Txn<'_>,
        member: &[Bytes],
        deadline: Option<UnixMillis>,
    ) -> Result<(), EvalError> {
        if !self.add_until(txn, &member[0], deadline)? {
            self.0.set_deadline(txn, &member[0], deadline)?;
        }
        Ok(())
    }
}
