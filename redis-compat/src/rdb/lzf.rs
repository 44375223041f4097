//! LZF, the compression of long strings in RDB files.
//!
//! ```text
//! 000lllll                     l+1 bytes as they are
//! lllooooo oooooooo            l+2 bytes again, from o+1 bytes back; l is 1 to 6
//! 111ooooo llllllll oooooooo   l+9 bytes again
//! ```
//!
//! Any encoder that keeps to the format will do, so the bytes differ from Redis' own now and then.

use bytes::{Bytes, BytesMut};

const LITERAL_MAX: usize = 32;
const OFFSET_MAX: usize = 1 << 13;
const MATCH_MIN: usize = 3;
const MATCH_MAX: usize = 264;
const HASH_BITS: u32 = 14;

/// The compressed bytes, or `None` if they are not at least four shorter, as Redis wants.
pub(crate) fn compress(input: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(input.len());
    // The last place each hash of three bytes was seen at, plus 1.
    let mut seen = vec![0u32; 1 << HASH_BITS];
    let (mut at, mut literal) = (0, 0);
    while at + MATCH_MIN <= input.len() {
        let slot = &mut seen[hash(&input[at..])];
        let before = std::mem::replace(slot, at as u32 + 1) as usize;
        let len = match before.checked_sub(1) {
            Some(before) if at - before <= OFFSET_MAX => common(&input[before..], &input[at..]),
            _ => 0,
        };
        if len < MATCH_MIN {
            at += 1;
            continue;
        }
        put_literals(&mut out, &input[literal..at]);
        put_match(&mut out, at - before, len - 2);
        at += len;
        literal = at;
    }
    put_literals(&mut out, &input[literal..]);
    (out.len() + 4 <= input.len()).then_some(out)
}

fn hash(bytes: &[u8]) -> usize {
    let three = u32::from(bytes[0]) << 16 | u32::from(bytes[1]) << 8 | u32::from(bytes[2]);
    (three.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize
}

fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter()
        .zip(b)
        .take(MATCH_MAX)
        .take_while(|(a, b)| a == b)
        .count()
}

fn put_literals(out: &mut Vec<u8>, bytes: &[u8]) {
    for run in bytes.chunks(LITERAL_MAX) {
        out.push(run.len() as u8 - 1);
        out.extend_from_slice(run);
    }
}

/// A match `offset + 1` bytes back, of `len + 2` bytes.
fn put_match(out: &mut Vec<u8>, offset: usize, len: usize) {
    let high = (offset >> 8) as u8;
    if len < 7 {
        out.push((len as u8) << 5 | high);
    } else {
        out.push(7 << 5 | high);
        out.push((len - 7) as u8);
    }
    out.push(offset as u8);
}

/// The `len` bytes that `input` stands for, or `None` if it stands for anything else.
pub(crate) fn decompress(input: &[u8], len: usize) -> Option<Bytes> {
    // A match makes at most 264 bytes of 3: no room for lengths that cannot be reached.
    if len > input.len().checked_mul(MATCH_MAX)? {
        return None;
    }
    let mut out = BytesMut::with_capacity(len);
    let mut input = input.iter().copied();
    while let Some(control) = input.next() {
        if control < 32 {
            let run = usize::from(control) + 1;
            if run > input.len() || out.len() + run > len {
                return None;
            }
            out.extend(input.by_ref().take(run));
            continue;
        }
        let run = match control >> 5 {
            7 => usize::from(input.next()?) + 9,
            short => usize::from(short) + 2,
        };
        let offset = usize::from(control & 0x1f) << 8 | usize::from(input.next()?);
        let from = out.len().checked_sub(offset + 1)?;
        if out.len() + run > len {
            return None;
        }
        // Byte by byte: a match may reach into its own output.
        for at in from..from + run {
            let byte = out[at];
            out.extend_from_slice(&[byte]);
        }
    }
    (out.len() == len).then(|| out.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_comes_back() {
        let mut text = b"the quick brown fox ".repeat(700);
        text.extend((0..40_000u32).map(|i| ((i * i) >> 9) as u8));
        text.extend(vec![b'x'; 20_000]);
        for end in [21, 64, 1000, 13_000, text.len()] {
            let input = &text[..end];
            if let Some(compressed) = compress(input) {
                assert!(compressed.len() < input.len());
                assert_eq!(decompress(&compressed, input.len()).unwrap(), input);
            }
        }
        assert!(compress(&text).is_some());
    }

    #[test]
    fn streams_that_reach_outside_are_refused() {
        assert_eq!(decompress(b"\x02ab", 3), None, "cut literal");
        assert_eq!(decompress(b"\x00a\x20\x05", 4), None, "before the start");
        assert_eq!(decompress(b"\x00a\x20\x00", 3), None, "longer than said");
        assert_eq!(decompress(b"\x00a", 2), None, "shorter than said");
        assert_eq!(decompress(b"\x00a\x20\x00", 4).unwrap(), "aaaa");
    }
}
