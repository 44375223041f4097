//! Ziplists: lists of strings and integers in a single piece of memory, as Redis before 7.0 kept
//! small collections and wrote them to RDB files. They are only read.
//!
//! ```text
//! 4 bytes      length of all, little endian
//! 4 bytes      where the last element begins, little endian
//! 2 bytes      how many elements, little endian; 0xffff = count them
//! elements     length of the element before (1 byte, or 0xfe and 4 bytes, little endian),
//!              encoding, bytes
//! 1 byte       0xff
//!
//! 00llllll     string of up to 63 bytes          0xc0         integer of 2 bytes, little endian
//! 01llllll     string of up to 16383, 1 byte     0xd0, 0xe0   integer of 4 bytes, 8 bytes
//!              more                              0xf0, 0xfe   integer of 3 bytes, 1 byte
//! 0x80         string, length in 4 bytes, big    0xf1 to 0xfd the integers 0 to 12
//!              endian
//! ```
//!
//! Source: Redis `ziplist.c`. Reading takes bytes from strangers: it never panics, and makes no
//! more strings than there are bytes.

use bytes::{Buf, Bytes};

use crate::number;

const UNCOUNTED: u16 = u16::MAX;
const HEAD_BYTES: usize = 10;
const END: u8 = 0xff;
const LONG_BEFORE: u8 = 0xfe;
const STRING_32: u8 = 0x80;

/// The strings of a ziplist; `None` if it is none.
pub(crate) fn unpack(mut input: Bytes) -> Option<Vec<Bytes>> {
    let whole = input.len();
    let len = usize::try_from(input.try_get_u32_le().ok()?).ok()?;
    let last = usize::try_from(input.try_get_u32_le().ok()?).ok()?;
    let count = input.try_get_u16_le().ok()?;
    if len != whole {
        return None;
    }
    let (mut strings, mut before, mut last_found) = (Vec::new(), 0, HEAD_BYTES);
    while *input.first()? != END {
        let start = whole - input.len();
        if take_before(&mut input)? != before {
            return None;
        }
        strings.push(take(&mut input)?);
        (before, last_found) = (whole - input.len() - start, start);
    }
    let counted = count == UNCOUNTED || usize::from(count) == strings.len();
    (input.len() == 1 && counted && last == last_found).then_some(strings)
}

/// The length of the element before.
fn take_before(input: &mut Bytes) -> Option<usize> {
    match input.try_get_u8().ok()? {
        LONG_BEFORE => usize::try_from(input.try_get_u32_le().ok()?).ok(),
        short => Some(short.into()),
    }
}

fn take(input: &mut Bytes) -> Option<Bytes> {
    let first = input.try_get_u8().ok()?;
    let len = match first {
        0x00..0x40 => usize::from(first),
        0x40..0x80 => usize::from(first & 0x3f) << 8 | usize::from(input.try_get_u8().ok()?),
        STRING_32 => usize::try_from(input.try_get_u32().ok()?).ok()?,
        0xc0 => return take_integer(input, 2),
        0xd0 => return take_integer(input, 4),
        0xe0 => return take_integer(input, 8),
        0xf0 => return take_integer(input, 3),
        0xfe => return take_integer(input, 1),
        0xf1..=0xfd => return Some(number::format_int(i64::from(first & 0x0f) - 1)),
        _ => return None,
    };
    (len <= input.len()).then(|| input.split_to(len))
}

fn take_integer(input: &mut Bytes, bytes: usize) -> Option<Bytes> {
    Some(number::format_int(input.try_get_int_le(bytes).ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A ziplist of these encoded elements.
    fn packed(elements: &[&[u8]]) -> Vec<u8> {
        let (mut body, mut before, mut last) = (Vec::new(), 0u32, HEAD_BYTES);
        for element in elements {
            let start = body.len();
            last = HEAD_BYTES + start;
            match u8::try_from(before) {
                Ok(before) if before < LONG_BEFORE => body.push(before),
                _ => {
                    body.push(LONG_BEFORE);
                    body.extend(before.to_le_bytes());
                }
            }
            body.extend_from_slice(element);
            before = (body.len() - start) as u32;
        }
        let mut out = Vec::new();
        out.extend((body.len() as u32 + 11).to_le_bytes());
        out.extend((last as u32).to_le_bytes());
        out.extend((elements.len() as u16).to_le_bytes());
        out.extend(body);
        out.push(END);
        out
    }

    #[test]
    fn each_encoding_is_read() {
        let long = [&b"\x80\0\0\x01\x2c"[..], &[b'x'; 300]].concat();
        let elements: [&[u8]; 12] = [
            b"\x02ab",
            b"\x00",
            b"\x40\x03abc",
            &long,
            b"\xc0\x00\x80",
            b"\xd0\xff\xff\xff\x7f",
            b"\xe0\x00\x00\x00\x00\x01\x00\x00\x00",
            b"\xf0\xff\xff\x7f",
            b"\xfe\xff",
            b"\xf1",
            b"\xfd",
            b"\x01z",
        ];
        let strings = unpack(Bytes::from(packed(&elements))).unwrap();
        let long = "x".repeat(300);
        let expected = [
            "ab",
            "",
            "abc",
            &long,
            "-32768",
            "2147483647",
            "4294967296",
            "8388607",
            "-1",
            "0",
            "12",
            "z",
        ];
        assert_eq!(strings, expected);
        assert_eq!(unpack(Bytes::from(packed(&[]))), Some(Vec::new()));
    }

    #[test]
    fn strangers_bytes_are_refused() {
        let good = packed(&[b"\x01f", b"\x05value", b"\xc0\x01\x02"]);
        assert!(unpack(Bytes::from(good.clone())).is_some());
        for at in 0..good.len() {
            assert!(unpack(Bytes::copy_from_slice(&good[..at])).is_none());
        }
        for (at, bit) in [
            (0, 1),
            (4, 1),
            (8, 1),
            (10, 1),
            (13, 1),
            (good.len() - 1, 1),
        ] {
            let mut bad = good.clone();
            bad[at] ^= bit;
            assert!(unpack(Bytes::from(bad)).is_none(), "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(raw in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut input = raw;
            let len = input.len() as u32;
            if len >= 10 {
                input[..4].copy_from_slice(&len.to_le_bytes());
                input[8..10].copy_from_slice(&UNCOUNTED.to_le_bytes());
            }
            let _ = unpack(Bytes::from(input));
        }
    }
}
