//! Storing the result of a command.

use bytes::Bytes;

use super::order::Item;
use super::value::SortedSet;
use crate::{Classes, EvalError, Fault, Reply, Txn};

/// How commands that store a result differ from Redis'.
pub(super) const STORE_MAX: &str =
    "A result of more than some 16 MiB of elements, each counted twice with its key, is refused.";

/// Stores items under a key, whatever it held before, which is the event `name`; no items remove
/// the key. Replies how many there are. Errors: `UNDECLARED_KEY`, `COLLECTION_TOO_LARGE`.
pub(crate) fn store(
    txn: &mut Txn<'_>,
    key: &Bytes,
    items: Vec<Item>,
    name: &'static str,
) -> Result<Reply, EvalError> {
    store_set(txn, key, SortedSet::of_items(items), name)
}

/// Stores a set in the same way. `None` is a set that has a member twice.
pub(super) fn store_set(
    txn: &mut Txn<'_>,
    key: &Bytes,
    set: Option<SortedSet>,
    name: &'static str,
) -> Result<Reply, EvalError> {
    let set = set.ok_or_else(|| Fault::corrupt("a member is twice in a sorted set"))?;
    let count = set.len()?;
    if count > 0 {
        txn.put_zset(key.clone(), set)?;
        txn.notify(Classes::SORTED_SET, name, key);
    } else if txn.exists(key)? {
        txn.remove(key.clone())?;
    }
    Ok(Reply::Integer(count as i64))
}
