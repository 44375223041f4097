//! Values in the format of `DUMP`, for `RESTORE`.

use bytes::Bytes;

/// A payload that is none, payloads from `DUMP` of Redis 7.0 for "hello", 12, 40 times "a" and
/// -70000, and damaged payloads.
pub(crate) fn payloads() -> Vec<Bytes> {
    let payloads: [&'static [u8]; 8] = [
        b"garbage that is long enough",
        b"\x00\x05hello\x0a\x00\x63\x72\xdf\x76\x65\x34\x20\x0a",
        b"\x00\xc0\x0c\x0a\x00\x3c\x2a\xf8\x51\x5c\x04\xbc\xd5",
        b"\x00\xc3\x09\x28\x01aa\xe0\x1b\x00\x01aa\x0a\x00\xcf\x09\x2f\xaa\xae\x25\x83\x1d",
        b"\x00\xc2\x90\xee\xfe\xff\x0a\x00\x28\x75\xde\x7b\x13\xeb\x28\x00",
        b"\x00\x05hellu\x0a\x00\x63\x72\xdf\x76\x65\x34\x20\x0a",
        b"\x00\x05",
        b"",
    ];
    payloads.map(Bytes::from_static).to_vec()
}
