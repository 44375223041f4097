//! Decodes a `DUMP` payload of a string or a hash, in Redis' RDB encoding.
//!
//! ```text
//! 0x00 (a string)   the string   version: 2 bytes   checksum: 8 bytes
//! 0x04 (a hash)     how many fields, as a length; fields and values as strings
//! 0x10 (a hash)     a listpack, as a string
//! the string        00xxxxxx bytes                        length in 6 bits
//!                   01xxxxxx xxxxxxxx bytes               length in 14 bits
//!                   10000000 xxxxxxxx*4 bytes             length in 32 bits, big endian
//!                   11000000 / 11000001 / 11000010        an integer of 1, 2 or 4 bytes
//!                   11000011 length length bytes          LZF: compressed and whole length
//! ```

const FOOTER: usize = 10;

/// A value: the type of the payload, and its strings; those of a table in the order of their
/// fields.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Content(u8, Vec<[Vec<u8>; 2]>);

/// The value, or `None` if `payload` is none of a string or a hash.
pub(super) fn content(payload: &[u8]) -> Option<Content> {
    let body = payload.get(..payload.len().checked_sub(FOOTER)?)?;
    let (&of, mut rest) = body.split_first()?;
    let mut strings = Vec::new();
    match of {
        0x00 | 0x10 => strings.push([string(&mut rest)?, Vec::new()]),
        0x04 => {
            for _ in 0..length(&mut rest)? {
                strings.push([string(&mut rest)?, string(&mut rest)?]);
            }
            strings.sort();
        }
        _ => return None,
    }
    rest.is_empty().then_some(Content(of, strings))
}

/// The type of a collection whose payload is not decoded here: `redis-compat/tests/differential.rs`
/// has Redis and Coterie restore each other's.
pub(super) fn collection(payload: &[u8]) -> Option<&'static str> {
    match payload.first()? {
        1 | 10 | 14 | 18 => Some("list"),
        2 | 11 | 20 => Some("set"),
        3 | 5 | 12 | 17 => Some("sorted set"),
        15 | 19 | 21 => Some("stream"),
        _ => None,
    }
}

fn string(rest: &mut &[u8]) -> Option<Vec<u8>> {
    match rest.first()? {
        first @ 0xc0..=0xc2 => {
            let bytes = 1 << (first & 3);
            let (number, after) = rest[1..].split_at_checked(bytes)?;
            *rest = after;
            integer(number)
        }
        0xc3 => {
            *rest = &rest[1..];
            let compressed = length(rest)?;
            let whole = length(rest)?;
            let (bytes, after) = rest.split_at_checked(compressed)?;
            *rest = after;
            lzf(bytes, whole)
        }
        _ => {
            let len = length(rest)?;
            let (bytes, after) = rest.split_at_checked(len)?;
            *rest = after;
            Some(bytes.to_vec())
        }
    }
}

fn integer(bytes: &[u8]) -> Option<Vec<u8>> {
    let number = match *bytes {
        [a] => i32::from(a.cast_signed()),
        [a, b] => i32::from(i16::from_le_bytes([a, b])),
        [a, b, c, d] => i32::from_le_bytes([a, b, c, d]),
        _ => return None,
    };
    Some(number.to_string().into_bytes())
}

fn length(rest: &mut &[u8]) -> Option<usize> {
    let (&first, after) = rest.split_first()?;
    let (len, after) = match first >> 6 {
        0 => (usize::from(first), after),
        1 => {
            let (&low, after) = after.split_first()?;
            (usize::from(first & 0x3f) << 8 | usize::from(low), after)
        }
        2 => {
            let (bytes, after) = after.split_first_chunk::<4>()?;
            (u32::from_be_bytes(*bytes) as usize, after)
        }
        _ => return None,
    };
    *rest = after;
    Some(len)
}

/// LibLZF: a control byte `c` below 32 copies the next `c + 1` bytes. In a larger control byte the
/// upper 3 bits are a length, and the lower 5 bits with the next byte the distance to copy from.
fn lzf(mut input: &[u8], whole: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(whole);
    while let Some((&control, rest)) = input.split_first() {
        let control = usize::from(control);
        if control < 32 {
            let (literal, rest) = rest.split_at_checked(control + 1)?;
            out.extend_from_slice(literal);
            input = rest;
            continue;
        }
        let (mut len, mut rest) = (control >> 5, rest);
        if len == 7 {
            let (&more, after) = rest.split_first()?;
            (len, rest) = (len + usize::from(more), after);
        }
        let (&low, after) = rest.split_first()?;
        let back = (control & 0x1f) << 8 | usize::from(low);
        let start = out.len().checked_sub(back + 1)?;
        // Byte by byte: the source may overlap the bytes that this copy appends.
        for from in start..start + len + 2 {
            out.push(out[from]);
        }
        input = after;
    }
    (out.len() == whole).then_some(out)
}
