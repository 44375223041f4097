//! Hashes as RDB files hold them: packed while they are small, else field by field.
//!
//! Source: Redis `rdb.c`, `rdbSaveObject` and `rdbLoadObject`.

use bytes::Bytes;

use super::Hash;
use crate::Fault;
use crate::rdb::{self, listpack};

/// The number of fields, then fields and values as strings.
const TYPE_HASH: u8 = 4;
/// A string that is a listpack of fields and values.
const TYPE_HASH_LISTPACK: u8 = 16;

/// Whether a value of this RDB type is a hash.
pub(crate) fn is_payload(of: u8) -> bool {
    matches!(of, TYPE_HASH | TYPE_HASH_LISTPACK)
}

/// Appends the type and the value of a hash.
pub(crate) fn put_payload(out: &mut Vec<u8>, hash: &Hash) -> Result<(), Fault> {
    let pairs = hash.all()?;
    let strings = || pairs.iter().flat_map(|(field, value)| [field, value]);
    if !hash.is_hashtable()
        && let Some(packed) = listpack::pack(strings())
    {
        out.push(TYPE_HASH_LISTPACK);
        rdb::put_string(out, &packed);
        return Ok(());
    }
    out.push(TYPE_HASH);
    rdb::put_len(out, pairs.len());
    strings().for_each(|string| rdb::put_string(out, string));
    Ok(())
}

/// Takes a hash of this type off the front of `input`; `None` if it is none. Its fields and values
/// come to at most `max` bytes.
pub(crate) fn take_payload(of: u8, input: &mut Bytes, max: usize) -> Option<Hash> {
    let hash = match of {
        TYPE_HASH => take_table(input, max),
        TYPE_HASH_LISTPACK => take_listpack(input, max),
        _ => None,
    };
    // Redis knows no empty hash.
    hash.filter(|hash| hash.len() > 0)
}

fn take_table(input: &mut Bytes, max: usize) -> Option<Hash> {
    let mut hash = Hash::default();
    let count = rdb::take_len(input)?;
    hash.expect_fields(count);
    let mut room = max;
    for _ in 0..count {
        let field = rdb::take_string(input, room)?;
        room -= field.len();
        let value = rdb::take_string(input, room)?;
        room -= value.len();
        let is_new = hash.set(&field, &value).ok()?;
        if !is_new {
            return None;
        }
    }
    Some(hash)
}

fn take_listpack(input: &mut Bytes, max: usize) -> Option<Hash> {
    let mut hash = Hash::default();
    // An element takes up to six bytes more than its string, of which a record needs one.
    let packed = rdb::take_string(input, max.saturating_mul(2).saturating_add(64))?;
    let strings = listpack::unpack(packed)?;
    let pairs = strings.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    for pair in pairs {
        let is_new = hash.set_packed(&pair[0], &pair[1]).ok()?;
        if !is_new {
            return None;
        }
    }
    Some(hash)
}
