//! One bit.

use bytes::Bytes;

use super::{check_len, parse_offset};
use crate::string::zero_padded;
use crate::{Args, CommandError, EvalError, Reply, Txn};

/// `GETBIT key offset`: the bit, 0 beyond the end. O(1). Errors: `BitOffset`, `WrongType`.
pub(crate) fn getbit(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let offset = parse_offset(args.bytes(2))?;
    let value = txn
        .string(args.bytes(1))?
        .map_or_else(Bytes::new, |record| record.value);
    let byte = value.get((offset >> 3) as usize).copied().unwrap_or(0);
    Ok(Reply::Integer((byte >> (7 - (offset & 7)) & 1).into()))
}

/// `SETBIT key offset bit`: the bit before it. The value grows by zero bytes as needed; the expiry
/// is kept. A bit that is so already is no change.
///
/// O(length): the value is copied. Errors: `BitOffset`, `BitValue`, `WrongType`.
/// Source: Redis `bitops.c`, `setbitCommand`.
pub(crate) fn setbit(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let (key, offset) = (args.bytes(1), parse_offset(args.bytes(2))?);
    let (at, shift) = ((offset >> 3) as usize, 7 - (offset & 7));
    check_len(txn, at + 1)?;
    let on = match args.int(3) {
        Ok(bit @ 0..=1) => bit as u8,
        _ => return Err(CommandError::BitValue.into()),
    };
    let old = txn.string(key)?;
    let expires_at = old.as_ref().and_then(|old| old.expires_at);
    let bytes = old
        .as_ref()
        .map_or_else(Bytes::new, |old| old.value.clone());
    let before = bytes.get(at).map(|byte| byte >> shift & 1);
    if before != Some(on) {
        let mut bytes = zero_padded(&bytes, at + 1);
        bytes[at] = (bytes[at] & !(1 << shift)) | (on << shift);
        txn.put_raw(key.clone(), bytes.freeze(), expires_at);
    } else if let Some(old) = old {
        txn.mark_raw(key, old);
    }
    Ok(Reply::Integer(before.unwrap_or(0).into()))
}
