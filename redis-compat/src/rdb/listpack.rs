//! Listpacks: lists of strings and integers in a single piece of memory, as Redis keeps small
//! collections and writes them to RDB files.
//!
//! ```text
//! 4 bytes      length of all, little endian
//! 2 bytes      how many elements, little endian; 0xffff = count them
//! elements     encoding, bytes, and the length of both backwards, 7 bits a byte
//! 1 byte       0xff
//!
//! 0xxxxxxx     integer of 7 bits                 10llllll     string of up to 63 bytes
//! 110xxxxx     integer of 13 bits, 1 byte more   1110llll     string of up to 4095, 1 byte more
//! 0xf1 to f4   integer of 2, 3, 4, 8 bytes,      0xf0         string, length in 4 bytes,
//!              little endian                                  little endian
//! ```
//!
//! Source: Redis `listpack.c`. Reading takes bytes from strangers: it never panics, and makes no
//! more strings than there are bytes.

use bytes::{Buf, BufMut, Bytes};

use crate::number;

const HEAD_BYTES: usize = 6;
const UNCOUNTED: u16 = u16::MAX;
const END: u8 = 0xff;
const STRING_6: u8 = 0x80;
const INT_13: u8 = 0xc0;
const STRING_12: u8 = 0xe0;
const STRING_32: u8 = 0xf0;
const INT_16: u8 = 0xf1;
const INT_24: u8 = 0xf2;
const INT_32: u8 = 0xf3;
const INT_64: u8 = 0xf4;

/// The listpack of these strings; `None` if it would be too long for its head.
pub(crate) fn pack<'a>(strings: impl Iterator<Item = &'a Bytes>) -> Option<Vec<u8>> {
    let mut out = vec![0; HEAD_BYTES];
    let mut count = 0usize;
    for string in strings {
        put(&mut out, string);
        count += 1;
    }
    out.put_u8(END);
    let len = u32::try_from(out.len()).ok()?;
    let count = u16::try_from(count).unwrap_or(UNCOUNTED);
    out[..4].copy_from_slice(&len.to_le_bytes());
    out[4..HEAD_BYTES].copy_from_slice(&count.to_le_bytes());
    Some(out)
}

/// Bytes of a listpack without elements.
pub(crate) const EMPTY_BYTES: usize = HEAD_BYTES + 1;

/// Bytes that a string takes in a listpack.
pub(crate) fn entry_bytes(string: &[u8]) -> usize {
    let bytes = match number::parse_int(string) {
        Some(0..128) => 1,
        Some(-4096..4096) => 2,
        Some(-0x8000..0x8000) => 3,
        Some(-0x80_0000..0x80_0000) => 4,
        Some(-0x8000_0000..0x8000_0000) => 5,
        Some(_) => 9,
        None => {
            let head = match string.len() {
                0..64 => 1,
                64..4096 => 2,
                _ => 5,
            };
            head + string.len()
        }
    };
    bytes + backwards_len(bytes)
}

fn put(out: &mut Vec<u8>, string: &[u8]) {
    let start = out.len();
    match number::parse_int(string) {
        Some(integer) => put_integer(out, integer),
        None => put_string(out, string),
    }
    put_backwards(out, out.len() - start);
}

fn put_integer(out: &mut Vec<u8>, integer: i64) {
    match integer {
        0..128 => out.put_u8(integer as u8),
        -4096..4096 => out.put_u16(u16::from(INT_13) << 8 | integer as u16 & 0x1fff),
        _ => {
            // The least number of bytes that holds it.
            let (encoding, bytes) = match integer {
                -0x8000..0x8000 => (INT_16, 2),
                -0x80_0000..0x80_0000 => (INT_24, 3),
                -0x8000_0000..0x8000_0000 => (INT_32, 4),
                _ => (INT_64, 8),
            };
            out.put_u8(encoding);
            out.put_int_le(integer, bytes);
        }
    }
}

fn put_string(out: &mut Vec<u8>, string: &[u8]) {
    match string.len() {
        len @ 0..64 => out.put_u8(STRING_6 | len as u8),
        len @ 64..4096 => out.put_u16(u16::from(STRING_12) << 8 | len as u16),
        len => {
            out.put_u8(STRING_32);
            // A string of 4 GiB makes the whole too long, which `pack` refuses.
            out.put_u32_le(len as u32);
        }
    }
    out.put_slice(string);
}

/// How many bytes the length of an element takes.
fn backwards_len(len: usize) -> usize {
    match len {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

fn put_backwards(out: &mut Vec<u8>, len: usize) {
    let groups = backwards_len(len);
    for group in (0..groups).rev() {
        let bits = (len >> (7 * group)) as u8 & 0x7f;
        // The first byte, read last, has no mark.
        let mark = if group + 1 == groups { 0 } else { 0x80 };
        out.put_u8(bits | mark);
    }
}

/// The strings of a listpack; `None` if it is none.
pub(crate) fn unpack(mut input: Bytes) -> Option<Vec<Bytes>> {
    let whole = input.len();
    let len = input.try_get_u32_le().ok()?;
    let count = input.try_get_u16_le().ok()?;
    if usize::try_from(len).ok()? != whole {
        return None;
    }
    let mut strings = Vec::new();
    while *input.first()? != END {
        let before = input.len();
        strings.push(take(&mut input)?);
        let mut backwards = Vec::with_capacity(5);
        put_backwards(&mut backwards, before - input.len());
        if !input.starts_with(&backwards) {
            return None;
        }
        input.advance(backwards.len());
    }
    let counted = count == UNCOUNTED || usize::from(count) == strings.len();
    (input.len() == 1 && counted).then_some(strings)
}

fn take(input: &mut Bytes) -> Option<Bytes> {
    let first = input.try_get_u8().ok()?;
    let len = match first {
        0..STRING_6 => return Some(number::format_int(first.into())),
        STRING_6..INT_13 => usize::from(first & 0x3f),
        INT_13..STRING_12 => {
            let bits = i64::from(first & 0x1f) << 8 | i64::from(input.try_get_u8().ok()?);
            return Some(number::format_int(bits << 51 >> 51));
        }
        STRING_12..STRING_32 => {
            usize::from(first & 0x0f) << 8 | usize::from(input.try_get_u8().ok()?)
        }
        STRING_32 => usize::try_from(input.try_get_u32_le().ok()?).ok()?,
        INT_16 => return take_integer(input, 2),
        INT_24 => return take_integer(input, 3),
        INT_32 => return take_integer(input, 4),
        INT_64 => return take_integer(input, 8),
        _ => return None,
    };
    (len <= input.len()).then(|| input.split_to(len))
}

fn take_integer(input: &mut Bytes, bytes: usize) -> Option<Bytes> {
    Some(number::format_int(input.try_get_int_le(bytes).ok()?))
}

/// Bytes that a string takes.
pub(crate) fn len_of(string: &[u8]) -> usize {
    let own = match number::parse_int(string) {
        Some(integer) => return len_of_integer(integer),
        None => match string.len() {
            len @ 0..64 => 1 + len,
            len @ 64..4096 => 2 + len,
            len => 5 + len,
        },
    };
    own + backwards_len(own)
}

/// Bytes that an integer takes.
pub(crate) fn len_of_integer(integer: i64) -> usize {
    let own = match integer {
        0..128 => 1,
        -4096..4096 => 2,
        -0x8000..0x8000 => 3,
        -0x80_0000..0x80_0000 => 4,
        -0x8000_0000..0x8000_0000 => 5,
        _ => 9,
    };
    own + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(strings: &[&'static str]) -> Vec<u8> {
        let strings: Vec<_> = strings.iter().map(|text| Bytes::from(*text)).collect();
        pack(strings.iter()).unwrap()
    }

    #[test]
    fn the_bytes_are_those_of_redis() {
        assert_eq!(packed(&[]), b"\x07\0\0\0\0\0\xff");
        // As `DUMP` of Redis 7.0 writes HSET h f v n 12.
        assert_eq!(
            packed(&["f", "v", "n", "12"]),
            b"\x12\0\0\0\x04\0\x81f\x02\x81v\x02\x81n\x02\x0c\x01\xff"
        );
        let integers: [(&str, &[u8]); 8] = [
            ("127", b"\x7f\x01"),
            ("128", b"\xc0\x80\x02"),
            ("-1", b"\xdf\xff\x02"),
            ("-4096", b"\xd0\x00\x02"),
            ("4096", b"\xf1\x00\x10\x03"),
            ("-32769", b"\xf2\xff\x7f\xff\x04"),
            ("8388608", b"\xf3\x00\x00\x80\x00\x05"),
            ("2147483648", b"\xf4\x00\x00\x00\x80\x00\x00\x00\x00\x09"),
        ];
        for (text, bytes) in integers {
            let all = packed(&[text]);
            assert_eq!(all[HEAD_BYTES..all.len() - 1], *bytes, "{text}");
        }
    }

    #[test]
    fn lengths_are_written_backwards() {
        let cases: [(usize, &[u8]); 4] = [
            (127, b"\x7f"),
            (128, b"\x01\x80"),
            (16_383, b"\x00\xff\xff"),
            (2_097_151, b"\x00\xff\xff\xff"),
        ];
        for (len, bytes) in cases {
            let mut out = Vec::new();
            put_backwards(&mut out, len);
            assert_eq!(out, bytes, "{len}");
        }
    }

    #[test]
    fn strangers_bytes_are_refused() {
        let good = packed(&["f", "value", "300"]);
        assert!(unpack(Bytes::from(good.clone())).is_some());
        for at in 0..good.len() {
            assert!(unpack(Bytes::copy_from_slice(&good[..at])).is_none());
        }
        for (at, bit) in [(0, 1), (4, 1), (6, 1), (8, 1), (good.len() - 1, 1)] {
            let mut bad = good.clone();
            bad[at] ^= bit;
            assert!(unpack(Bytes::from(bad)).is_none(), "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn strings_survive_the_round_trip(
            words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 0..20),
            numbers in prop::collection::vec(any::<i64>(), 0..20),
            shifts in 0u32..64,
            times in 1usize..300,
        ) {
            let numbers = numbers.into_iter().map(|n| Bytes::from((n >> shifts).to_string()));
            let words = words.into_iter().map(|word| Bytes::from(word.repeat(times)));
            let strings: Vec<_> = words.chain(numbers).collect();
            let packed = pack(strings.iter()).unwrap();
            let bytes = strings.iter().map(|string| entry_bytes(string)).sum::<usize>();
            prop_assert_eq!(packed.len(), EMPTY_BYTES + bytes);
            prop_assert_eq!(unpack(Bytes::from(packed)), Some(strings));
        }

        #[test]
        fn no_bytes_make_it_panic(raw in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut input = raw;
            let len = input.len() as u32;
            if len >= 6 {
                input[..4].copy_from_slice(&len.to_le_bytes());
                input[4..6].copy_from_slice(&UNCOUNTED.to_le_bytes());
            }
            let _ = unpack(Bytes::from(input));
        }
    }
}
