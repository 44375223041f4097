//! Putting elements with a deadline.

use bytes::Bytes;

use super::words::{Deadline, Options};
use crate::txn::members::Members;
use crate::{EvalError, Fault, Txn};

/// Puts the elements of `HSETEX` or `SADDEX`, of `words_each` words each, by `put_one`; returns
/// whether the condition was met. Elements whose deadline has passed are removed.
pub(crate) fn put<T>(
    txn: &mut Txn<'_>,
    options: &Options<'_>,
    words_each: usize,
    collection: &mut T,
    members: fn(&mut T) -> &mut Members,
    put_one: fn(
        &mut T,
        &mut Txn<'_>,
        &[Bytes],
        Option<coterie_types::UnixMillis>,
    ) -> Result<(), EvalError>,
) -> Result<bool, EvalError> {
    let elements = || options.elements.chunks_exact(words_each);
    if options.all_exist || options.none_exists {
        for element in elements() {
            let exists = members(collection).get(txn, &element[0])?.is_some();
            if exists != options.all_exist {
                return Ok(false);
            }
        }
    }
    for element in elements() {
        let deadline = match options.deadline {
            Deadline::At(at) if at <= txn.now() => {
                members(collection).remove(txn, &element[0])?;
                continue;
            }
            Deadline::At(at) => Some(at),
            Deadline::Keep => kept(members(collection), txn, &element[0])?,
            Deadline::Unsaid | Deadline::Drop => None,
        };
        put_one(collection, txn, element, deadline)?;
    }
    Ok(true)
}

fn kept(
    members: &mut Members,
    txn: &mut Txn<'_>,
    name: &[u8],
) -> Result<Option<coterie_types::UnixMillis>, Fault> {
    Ok(members.get(txn, name)?.and_then(|cell| cell.deadline))
}
