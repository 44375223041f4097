//! Lists as RDB files hold them.
//!
//! Source: Redis `rdb.c`, `rdbSaveObject` and `rdbLoadObject`.

use bytes::Bytes;

use super::List;
use crate::{EvalError, Txn};

/// The RDB types of a list.
const TYPES: &[u8] = &[1, 10, 14, 18];

/// Whether a value of this RDB type is a list.
pub(crate) fn is_payload(of: u8) -> bool {
    TYPES.contains(&of)
}

/// Appends the type and the value of a list.
pub(crate) fn put_payload(
    out: &mut Vec<u8>,
    _txn: &mut Txn<'_>,
    _value: &List,
) -> Result<(), EvalError> {
    out.extend_from_slice(TYPES);
    Ok(())
}

/// Takes a list of this type off the front of `input`; `None` if it is none. Its elements come to at
/// most `max` bytes.
pub(crate) fn take_payload(_of: u8, _input: &mut Bytes, _max: usize) -> Option<List> {
    None
}
