//! The sorted set commands: members in the order of their scores.

mod add;
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
#[cfg(test)]
mod tests;
mod value;

use bytes::Bytes;

pub(crate) use payload::{is_payload, put_payload, take_payload};
pub(crate) use score::{parse_score, parse_weight};
pub(crate) use span::{Scores, Selection, Span};
pub(crate) use value::SortedSet;

pub(crate) use order::Item;

use crate::command::Part;
use crate::{EvalError, Fault, Reply, Txn};

pub(crate) const PARTS: &[Part] = &[
    add::PART,
    combine::PART,
    get::PART,
    pop::PART,
    random::PART,
    range::PART,
    remove::PART,
    scan::PART,
    span::PART,
];

/// How commands that store a result differ from Redis'.
const STORE_MAX: &str = "A result of more than some 16 MiB of elements, each counted twice with its \
    key, is refused.";

/// Stores items under a key, whatever it held before; no items remove the key. Replies how many
/// there are. Errors: `UNDECLARED_KEY`, `COLLECTION_TOO_LARGE`.
pub(crate) fn store(txn: &mut Txn<'_>, key: &Bytes, items: Vec<Item>) -> Result<Reply, EvalError> {
    store_set(txn, key, SortedSet::of_items(items))
}

/// Stores a set in the same way. `None` is a set that has a member twice.
fn store_set(txn: &mut Txn<'_>, key: &Bytes, set: Option<SortedSet>) -> Result<Reply, EvalError> {
    let set = set.ok_or_else(|| Fault::corrupt("a member is twice in a sorted set"))?;
    let count = set.len()?;
    if count > 0 {
        txn.put_zset(key.clone(), set)?;
    } else if txn.exists(key)? {
        txn.remove(key.clone())?;
    }
    Ok(Reply::Integer(count as i64))
}
