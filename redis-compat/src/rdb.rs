//! Strings as RDB files hold them: plain behind a length, as a small integer, or compressed.
//!
//! ```text
//! 00llllll                     length in 6 bits, then the bytes
//! 01llllll llllllll            length in 14 bits
//! 10000000 + 4 bytes           length, big endian
//! 10000001 + 8 bytes           length, big endian
//! 11000000 | 01 | 10           integer of 1, 2 or 4 bytes, little endian, for its decimal text
//! 11000011                     LZF: compressed length, length, compressed bytes
//! ```
//!
//! Source: Redis `rdb.c`, `rdbSaveRawString` and `rdbGenericLoadStringObject`. Reading takes bytes
//! from strangers: it never panics, and never makes room for more than the caller allows.

mod crc64;
pub(crate) mod functions;
pub(crate) mod listpack;
mod lzf;
pub(crate) mod ziplist;

use bytes::{Buf, BufMut, Bytes};

pub(crate) use crc64::crc64;

use crate::number;

const ENCODED: u8 = 0b1100_0000;
const INT8: u8 = ENCODED;
const INT16: u8 = ENCODED | 1;
const INT32: u8 = ENCODED | 2;
const LZF: u8 = ENCODED | 3;
const LEN_32: u8 = 0x80;
const LEN_64: u8 = 0x81;
/// Shorter values cannot be compressed to anything shorter.
const COMPRESS_FROM: usize = 21;

/// Appends a string in the shortest form.
pub(crate) fn put_string(out: &mut Vec<u8>, value: &[u8]) {
    if let Some(integer) = number::parse_int(value)
        && put_integer(out, integer)
    {
        return;
    }
    if value.len() >= COMPRESS_FROM
        && let Some(compressed) = lzf::compress(value)
    {
        out.put_u8(LZF);
        put_len(out, compressed.len());
        put_len(out, value.len());
        out.put_slice(&compressed);
        return;
    }
    put_len(out, value.len());
    out.put_slice(value);
}

fn put_integer(out: &mut Vec<u8>, value: i64) -> bool {
    if let Ok(value) = i8::try_from(value) {
        out.put_u8(INT8);
        out.put_i8(value);
    } else if let Ok(value) = i16::try_from(value) {
        out.put_u8(INT16);
        out.put_i16_le(value);
    } else if let Ok(value) = i32::try_from(value) {
        out.put_u8(INT32);
        out.put_i32_le(value);
    } else {
        return false;
    }
    true
}

/// Appends a length.
pub(crate) fn put_len(out: &mut Vec<u8>, len: usize) {
    match len {
        0..64 => out.put_u8(len as u8),
        64..16_384 => out.put_u16(0x4000 | len as u16),
        _ => match u32::try_from(len) {
            Ok(len) => {
                out.put_u8(LEN_32);
                out.put_u32(len);
            }
            Err(_) => {
                out.put_u8(LEN_64);
                out.put_u64(len as u64);
            }
        },
    }
}

/// Takes a string of at most `max` bytes off the front of `input`; `None` if it is none.
pub(crate) fn take_string(input: &mut Bytes, max: usize) -> Option<Bytes> {
    let first = *input.first()?;
    if first & ENCODED != ENCODED {
        let len = take_len(input)?;
        return (len <= max && len <= input.len()).then(|| input.split_to(len));
    }
    input.advance(1);
    let integer = match first {
        INT8 => input.try_get_i8().ok()?.into(),
        INT16 => input.try_get_i16_le().ok()?.into(),
        INT32 => input.try_get_i32_le().ok()?.into(),
        LZF => {
            let (compressed, len) = (take_len(input)?, take_len(input)?);
            let fits = len <= max && compressed <= input.len();
            return lzf::decompress(
                &input.split_to(if fits { compressed } else { return None }),
                len,
            );
        }
        _ => return None,
    };
    Some(number::format_int(integer))
}

/// Takes a length off the front of `input`.
pub(crate) fn take_len(input: &mut Bytes) -> Option<usize> {
    let first = input.try_get_u8().ok()?;
    match (first & ENCODED, first) {
        (0x00, _) => Some(first.into()),
        (0x40, _) => Some(usize::from(first & 0x3f) << 8 | usize::from(input.try_get_u8().ok()?)),
        (_, LEN_32) => usize::try_from(input.try_get_u32().ok()?).ok(),
        (_, LEN_64) => usize::try_from(input.try_get_u64().ok()?).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_string(&mut out, value);
        let mut input = Bytes::copy_from_slice(&out);
        assert_eq!(take_string(&mut input, value.len()).as_deref(), Some(value));
        assert!(input.is_empty());
        out
    }

    #[test]
    fn each_form_survives_the_round_trip() {
        assert_eq!(round_trip(b""), b"\x00");
        assert_eq!(round_trip(b"-1"), b"\xc0\xff");
        assert_eq!(round_trip(b"300"), b"\xc1\x2c\x01");
        assert_eq!(round_trip(b"-2147483648"), b"\xc2\x00\x00\x00\x80");
        assert_eq!(round_trip(b"2147483648"), b"\x0a2147483648");
        assert_eq!(round_trip(b"007"), b"\x03007");
        assert!(round_trip(&[b'a'; 5000]).len() < 100);
        let noise: Vec<u8> = (0..70_000u32)
            .map(|i| (i.wrapping_mul(i) >> 7) as u8)
            .collect();
        round_trip(&noise);
        round_trip(&noise[..100]);
    }

    #[test]
    fn strangers_bytes_are_refused() {
        for bad in [
            &b""[..],
            b"\x05abc",
            b"\xc0",
            b"\xc1\x01",
            b"\xc4",
            b"\x82",
            b"\x80\xff\xff\xff\xff",
            b"\xc3\x01\x40",
            b"\xc3\x02\x05\x20\x00",
            b"\x81\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert_eq!(
                take_string(&mut Bytes::copy_from_slice(bad), 1 << 20),
                None,
                "{bad:x?}"
            );
        }
        assert_eq!(
            take_string(&mut Bytes::from_static(b"\x03abc"), 2),
            None,
            "too long"
        );
    }
}
