//! Zipmaps: small hashes as Redis before 2.6 wrote them. They are only read.
//!
//! ```text
//! 1 byte      how many fields; 0xfe = count them
//! fields      length of the name (1 byte, or 0xfe and 4 bytes, little endian), name,
//!             length of the value in the same form, bytes that are free (1 byte), value, free
//! 1 byte      0xff
//! ```
//!
//! Source: Redis `zipmap.c`. Reading takes bytes from strangers: it never panics, and makes no
//! more strings than there are bytes.

use bytes::{Buf, Bytes};

const UNCOUNTED: u8 = 0xfe;
const END: u8 = 0xff;
/// The length takes four bytes more.
const LONG: u8 = 0xfe;

/// The fields and values of a zipmap, in turn; `None` if it is none.
pub(crate) fn unpack(mut input: Bytes) -> Option<Vec<Bytes>> {
    let count = input.try_get_u8().ok()?;
    let mut strings = Vec::new();
    while *input.first()? != END {
        let len = take_len(&mut input)?;
        strings.push(take(&mut input, len)?);
        let len = take_len(&mut input)?;
        let free = input.try_get_u8().ok()?;
        strings.push(take(&mut input, len)?);
        take(&mut input, free.into())?;
    }
    let counted = count == UNCOUNTED || usize::from(count) == strings.len() / 2;
    (input.len() == 1 && counted).then_some(strings)
}

fn take_len(input: &mut Bytes) -> Option<usize> {
    match input.try_get_u8().ok()? {
        END => None,
        LONG => usize::try_from(input.try_get_u32_le().ok()?).ok(),
        len => Some(len.into()),
    }
}

fn take(input: &mut Bytes, len: usize) -> Option<Bytes> {
    (len <= input.len()).then(|| input.split_to(len))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unpacked(bytes: &[u8]) -> Option<Vec<Bytes>> {
        unpack(Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn fields_and_values_are_read() {
        let two = b"\x02\x01f\x01\x00v\x03key\x00\x02..\xff";
        let expected = ["f", "v", "key", ""].map(Bytes::from);
        assert_eq!(unpacked(two).as_deref(), Some(&expected[..]));
        let uncounted = [b"\xfe", &two[1..]].concat();
        assert_eq!(unpacked(&uncounted).as_deref(), Some(&expected[..]));
        let long = [b"\x01\xfe\x2c\x01\0\0", &[b'x'; 300][..], b"\x01\x00v\xff"].concat();
        assert_eq!(unpacked(&long).unwrap()[0].len(), 300);
    }

    #[test]
    fn damaged_zipmaps_are_refused() {
        let whole = b"\x01\x01f\x01\x00v\xff";
        assert!(unpacked(whole).is_some());
        for len in 0..whole.len() {
            assert_eq!(unpacked(&whole[..len]), None, "{len}");
        }
        for bad in [
            &b"\x02\x01f\x01\x00v\xff"[..],
            b"\x01\x01f\x01\x00v\xff\xff",
            b"\x01\x01f\xff\x00v\xff",
            b"\x01\x01f\x01\x09v\xff",
            b"\x01\xfe\xff\xff\xff\xfff\x01\x00v\xff",
        ] {
            assert_eq!(unpacked(bad), None, "{bad:x?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let strings = unpacked(&bytes).unwrap_or_default();
            prop_assert!(strings.len() <= bytes.len());
        }
    }
}
