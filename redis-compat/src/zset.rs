//! The sorted set commands: members in the order of their scores.

mod add;
mod blocking;
mod combine;
mod get;
mod listing;
mod order;
mod packed;
mod payload;
mod pop;
mod random;
mod range;
mod remove;
mod scan;
mod score;
mod span;
mod spread;
mod value;

use bytes::Bytes;

pub(crate) use order::Item;
pub(crate) use payload::{is_payload, put_payload, take_payload};
pub(crate) use value::SortedSet;

use crate::command::Part;
use crate::{EvalError, Fault, Reply, Txn};

pub(crate) const PARTS: &[Part] = &[
    add::PART,
    blocking::PART,
    combine::PART,
    get::PART,
    pop::PART,
    random::PART,
    range::PART,
    remove::PART,
    scan::PART,
    span::PART,
    value::PART,
];

/// How commands that store a result differ from Redis'.
const STORE_MAX: &str = "A result of more than some 16 MiB of elements, each counted twice with its \
    key, is refused.";

/// Stores items under a key, whatever it held before; no items remove the key. Replies how many
/// there are. Errors: `UNDECLARED_KEY`, `COLLECTION_TOO_LARGE`.
pub(crate) fn store(txn: &mut Txn<'_>, key: &Bytes, items: Vec<Item>) -> Result<Reply, EvalError> {
    let count = items.len();
    if count == 0 {
        if txn.exists(key)? {
            txn.remove(key.clone())?;
        }
        return Ok(Reply::Integer(0));
    }
    let set = SortedSet::of_items(items);
    let set = set.ok_or_else(|| Fault::corrupt("a member is twice in a sorted set"))?;
    txn.put_zset(key.clone(), set)?;
    Ok(Reply::Integer(count as i64))
}
