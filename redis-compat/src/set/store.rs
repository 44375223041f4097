//! Intersections, unions and differences, stored under a key.

use super::Set;
use super::algebra::Operation;
use crate::command::{Command, Part, Topic, command};
use crate::errors::COLLECTION_TOO_LARGE;
use crate::txn::spread::COPY_BYTES_MAX;
use crate::{Args, Classes, EvalError, Flags as F, KeyFlags as K, KeySpec, Reply, Txn};

pub(super) const PART: Part = Part::new(&[SINTERSTORE, SUNIONSTORE, SDIFFSTORE], &[]);

const SOURCES: KeySpec = K::RO_ACCESS.at(2).every(1);

const SINTERSTORE: Command = command(Topic::Set, "sinterstore")
    .syntax("destination key ...")
    .flags(F::WRITE_ROOM)
    .keys(&[K::RW_UPDATE.at(1), SOURCES])
    .runs(|txn, args| store(txn, args, Operation::Intersection))
    .hints("destination=set-key key=set-key")
    .docs(
        "1.0.0",
        "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of \
        sets",
        "Stores the members that all sets have.",
    )
    .deviation(DEVIATION);

const SUNIONSTORE: Command = command(Topic::Set, "sunionstore")
    .syntax("destination key ...")
    .flags(F::WRITE_ROOM)
    .keys(&[K::OW_UPDATE.at(1), SOURCES])
    .runs(|txn, args| store(txn, args, Operation::Union))
    .hints("destination=set-key key=set-key")
    .docs(
        "1.0.0",
        "O(N) where N is the total number of members of all sets",
        "Stores the members that any set has.",
    )
    .deviation(DEVIATION);

const SDIFFSTORE: Command = command(Topic::Set, "sdiffstore")
    .syntax("destination key ...")
    .flags(F::WRITE_ROOM)
    .keys(&[K::OW_UPDATE.at(1), SOURCES])
    .runs(|txn, args| store(txn, args, Operation::Difference))
    .hints("destination=set-key key=set-key")
    .docs(
        "1.0.0",
        "O(N*M) where N is the cardinality of the first set and M is the number of sets",
        "Stores the members of the first set that no other set has.",
    )
    .deviation(DEVIATION);

const DEVIATION: &str = "All keys must be in the same group; otherwise the reply is CROSSGROUP. \
    The members of the result come to at most 16 MiB.";

/// `SINTERSTORE destination key [key ...]`, `SUNIONSTORE`, `SDIFFSTORE`: how many members the
/// result has. It takes the place of whatever the destination holds; without members it removes it.
///
/// Errors: `WRONG_TYPE`, `COLLECTION_TOO_LARGE`.
fn store(txn: &mut Txn<'_>, args: &Args<'_>, of: Operation) -> Result<Reply, EvalError> {
    let key = args.bytes(1);
    let mut result = Set::default();
    let mut room = COPY_BYTES_MAX;
    of.visit(txn, args.rest(2), &mut |txn, member| {
        let taken = member.len() + key.len();
        room = room.checked_sub(taken).ok_or(COLLECTION_TOO_LARGE)?;
        result.add(txn, &member)?;
        Ok(true)
    })?;
    if of == Operation::Intersection {
        result.make_intset(txn)?;
    }
    let len = result.len(txn)?;
    if len > 0 {
        txn.put_set(key, &mut result)?;
        txn.notify(Classes::SET, args.name(), key);
    } else if txn.exists(key)? {
        txn.remove(key.clone())?;
    }
    Ok(Reply::Integer(len as i64))
}
