//! Pools of keys that words of several types draw from.

pub(crate) const KEYS: &[&[u8]] = &[
    b"a",
    b"b",
    b"c",
    b"d",
    b"e",
    b"f",
    b"key:1",
    b"{tag}x",
    b"k k",
    b"",
    b"\0\xff\r\n\x80",
];

/// Keys that hold hashes, mostly.
pub(crate) const HASH_KEYS: &[&[u8]] = &[b"h", b"h:1", b"{tag}h", b"h\0"];
