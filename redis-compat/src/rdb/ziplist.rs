//! Ziplists: listpacks as Redis before 7.0 wrote them. They are only read.
//!
//! ```text
//! 4 bytes      length of all, little endian
//! 4 bytes      where the last element begins, little endian
//! 2 bytes      how many elements, little endian; 0xffff = count them
//! elements     length of the element before (1 byte, or 0xfe and 4 bytes, little endian),
//!              encoding, bytes
//! 1 byte       0xff
//!
//! 00llllll     string, length in 6 bits           11000000     integer of 2 bytes,
//! 01llllll     string, length in 14 bits,         11010000     of 4 bytes,
//!              1 byte more                        11100000     of 8 bytes,
//! 10000000     string, length in 4 bytes,         11110000     of 3 bytes,
//!              big endian                         11111110     of 1 byte, little endian
//!                                                 1111nnnn     integer: n - 1, of 0 to 12
//! ```
//!
//! Source: Redis `ziplist.c`. Reading takes bytes from strangers: it never panics, and makes no
//! more strings than there are bytes.

use bytes::{Buf, Bytes};

use crate::number;

const UNCOUNTED: u16 = u16::MAX;
const END: u8 = 0xff;
/// The length of the element before takes four bytes more.
const LONG: u8 = 0xfe;

/// The strings of a ziplist; `None` if it is none.
pub(crate) fn unpack(mut input: Bytes) -> Option<Vec<Bytes>> {
    let whole = input.len();
    let len = input.try_get_u32_le().ok()?;
    let last = usize::try_from(input.try_get_u32_le().ok()?).ok()?;
    let count = input.try_get_u16_le().ok()?;
    if usize::try_from(len).ok()? != whole {
        return None;
    }
    let (mut strings, mut before, mut start) = (Vec::new(), 0, whole - input.len());
    while *input.first()? != END {
        start = whole - input.len();
        if take_len_before(&mut input)? != before {
            return None;
        }
        strings.push(take(&mut input)?);
        before = whole - input.len() - start;
    }
    let counted = count == UNCOUNTED || usize::from(count) == strings.len();
    (input.len() == 1 && counted && last == start).then_some(strings)
}

fn take_len_before(input: &mut Bytes) -> Option<usize> {
    match input.try_get_u8().ok()? {
        LONG => usize::try_from(input.try_get_u32_le().ok()?).ok(),
        len => Some(len.into()),
    }
}

fn take(input: &mut Bytes) -> Option<Bytes> {
    let first = input.try_get_u8().ok()?;
    let len = match first {
        0..0x40 => usize::from(first),
        0x40..0x80 => usize::from(first & 0x3f) << 8 | usize::from(input.try_get_u8().ok()?),
        0x80 => usize::try_from(input.try_get_u32().ok()?).ok()?,
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

    /// A ziplist of elements without the lengths of those before.
    fn ziplist(elements: &[&[u8]]) -> Vec<u8> {
        let (mut body, mut before, mut last) = (Vec::new(), 0usize, 10);
        for element in elements {
            last = 10 + body.len();
            let start = body.len();
            match u8::try_from(before) {
                Ok(len) if len < LONG => body.push(len),
                _ => {
                    body.push(LONG);
                    body.extend((before as u32).to_le_bytes());
                }
            }
            body.extend_from_slice(element);
            before = body.len() - start;
        }
        let mut out = ((11 + body.len()) as u32).to_le_bytes().to_vec();
        out.extend((last as u32).to_le_bytes());
        out.extend((elements.len() as u16).to_le_bytes());
        out.extend(body);
        out.push(END);
        out
    }

    #[test]
    fn each_form_of_an_element_is_read() {
        let long = [&b"\x41\x2c"[..], &[b'x'; 300]].concat();
        let elements: [&[u8]; 11] = [
            b"\x02ab",
            &long,
            b"\x80\0\0\0\x01c",
            b"\xc0\x2c\x01",
            b"\xd0\x90\xee\xfe\xff",
            b"\xe0\xff\xff\xff\xff\xff\xff\xff\x7f",
            b"\xf0\0\0\x80",
            b"\xfe\x80",
            b"\xf1",
            b"\xfd",
            b"\0",
        ];
        let read = unpack(Bytes::from(ziplist(&elements))).unwrap();
        let long = "x".repeat(300);
        let expected = [
            "ab",
            &long,
            "c",
            "300",
            "-70000",
            "9223372036854775807",
            "-8388608",
            "-128",
            "0",
            "12",
            "",
        ];
        assert_eq!(read, expected);
        assert_eq!(unpack(Bytes::from(ziplist(&[]))), Some(Vec::new()));
    }

    #[test]
    fn strangers_bytes_are_refused() {
        let whole = ziplist(&[b"\x02ab", b"\xf2"]);
        for len in 0..whole.len() {
            assert_eq!(unpack(Bytes::copy_from_slice(&whole[..len])), None, "{len}");
        }
        for at in [0, 4, 8, 10, 14] {
            let mut bad = whole.clone();
            bad[at] ^= 1;
            assert_eq!(unpack(Bytes::from(bad)), None, "byte {at}");
        }
        assert_eq!(unpack(Bytes::from(ziplist(&[b"\xff"]))), None);
        assert_eq!(unpack(Bytes::from(ziplist(&[b"\x81"]))), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut raw = ziplist(&[]);
            raw.splice(10..10, body);
            let len = (raw.len() as u32).to_le_bytes();
            raw[..4].copy_from_slice(&len);
            let _ = unpack(Bytes::from(raw));
        }
    }
}
