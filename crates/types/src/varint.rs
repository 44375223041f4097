//! Unsigned LEB128: seven bits per byte, least significant first, the top bit says that more
//! follow.
//!
//! Used by every hand-written format (frames, records, RPC headers). A u64 takes 1 to 10 bytes.

use bytes::{Buf, BufMut, Bytes};

/// Appends `value`.
pub fn put(out: &mut impl BufMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8((value as u8) | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Bytes that `value` takes: 1 to 10.
#[must_use]
pub fn len(value: u64) -> usize {
    let bits = u64::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Takes a number off the front of `input`; `None` if it is cut short or exceeds a u64.
#[must_use]
pub fn take(input: &mut impl Buf) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        if !input.has_remaining() {
            return None;
        }
        let byte = input.get_u8();
        if shift == 63 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Appends `bytes` behind their length.
pub fn put_bytes(out: &mut impl BufMut, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.put_slice(bytes);
}

/// Takes length-prefixed bytes off the front of `input` without copying; `None` if cut short.
#[must_use]
pub fn take_bytes(input: &mut Bytes) -> Option<Bytes> {
    let len = usize::try_from(take(input)?).ok()?;
    (len <= input.len()).then(|| input.split_to(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_the_round_trip() {
        for value in [
            0,
            1,
            127,
            128,
            300,
            u64::from(u32::MAX),
            u64::MAX - 1,
            u64::MAX,
        ] {
            let mut out = Vec::new();
            put(&mut out, value);
            assert_eq!(out.len(), len(value));
            assert_eq!(take(&mut out.as_slice()), Some(value));
        }
    }

    #[test]
    fn cut_and_overlong_numbers_are_refused() {
        assert_eq!(take(&mut [0x80u8].as_slice()), None);
        assert_eq!(take(&mut [0xffu8; 10].as_slice()), None);
        assert_eq!(take_bytes(&mut Bytes::from_static(b"\x05ab")), None);
    }
}
