//! The argument words of the command grammar: keys, values, times. The pools are small, so that
//! commands meet on the same keys, and hold the values at which implementations differ.
//!
//! No argument makes a reply depend on the moment: times are long past or far ahead. No offset
//! makes a server allocate half a gigabyte.

use crate::rng::Rng;

const KEYS: &[&[u8]] = &[
    b"a",
    b"b",
    b"c",
    b"d",
    b"e",
    b"f",
    b"",
    b"k k",
    b"\0\xff\r\n\x80",
];

const VALUES: &[&[u8]] = &[
    b"",
    b"0",
    b"1",
    b"-1",
    b"10",
    b"3.5",
    b"-0",
    b"1e3",
    b" 12",
    b"00012",
    b"+5",
    b"abc",
    b"ohmytext",
    b"mynewtext",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"9223372036854775808",
    b"3.0e3",
    b"inf",
    b"a text of forty-four bytes, the longest embstr",
    b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    b"\0\x01\xfe\xff",
];

const INTEGERS: &[&[u8]] = &[
    b"0",
    b"1",
    b"-1",
    b"2",
    b"7",
    b"100",
    b"-100",
    b"9223372036854775807",
    b"-9223372036854775808",
];

const FLOATS: &[&[u8]] = &[
    b"0",
    b"0.1",
    b"-0.5",
    b"3",
    b"1e2",
    b"2.5e-3",
    b"1234567.891",
    b"1e17",
    b"-1e-10",
    b"0.30000000000000004",
];

const INDEXES: &[&[u8]] = &[
    b"0", b"1", b"2", b"5", b"30", b"-1", b"-2", b"-5", b"-100", b"100",
];

const OFFSETS: &[&[u8]] = &[b"0", b"1", b"3", b"9", b"50", b"300", b"-1"];

const BIT_OFFSETS: &[&[u8]] = &[b"0", b"1", b"7", b"8", b"63", b"500", b"-1", b"4294967296"];

const BIT_TYPES: &[&[u8]] = &[
    b"u1", b"i5", b"u8", b"i16", b"u63", b"i64", b"u64", b"i65", b"x8",
];

const BIT_FIELD_OFFSETS: &[&[u8]] = &[b"0", b"3", b"#0", b"#2", b"100", b"-1", b"#x"];

const PATTERNS: &[&[u8]] = &[
    b"*", b"a", b"?", b"[a-c]", b"[^a]", b"k*", b"\\a", b"**", b"", b"[b",
];

/// Expiry in seconds: at once or far ahead, so that no key expires in the course of a test.
const SECONDS: &[&[u8]] = &[
    b"1000", b"5000", b"100000", b"9999999", b"0", b"-1", b"-1000",
];

/// Disjoint from [`SECONDS`]: of two equal times, the millisecond decides which is later.
const OTHER_SECONDS: &[&[u8]] = &[b"2000", b"70000", b"88888888", b"-7"];

const MILLISECONDS: &[&[u8]] = &[b"1000000", b"90000000", b"123456789", b"0", b"-1", b"-5000"];

/// Points in time, in seconds since 1970: far ahead, or past.
const MOMENTS: &[&[u8]] = &[
    b"4000000000",
    b"4100000001",
    b"33177117420",
    b"1000",
    b"0",
    b"-1",
];

const MOMENTS_MS: &[&[u8]] = &[
    b"4000000000000",
    b"4100000000123",
    b"33177117420000",
    b"1000",
    b"0",
    b"-1",
];

/// Arguments for a wrong place. No small positive number: as a time it would expire during the
/// test.
const JUNK: &[&[u8]] = &[
    b"",
    b"junk",
    b"1.5",
    b"0",
    b"-1",
    b"NX",
    b"XX",
    b"GET",
    b"EX",
    b"KEEPTTL",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775809",
    b"nan",
    b"\xff\xfe",
];

/// A random argument for a word of a template; `None` for a literal.
pub(super) fn argument(word: &str, rng: &mut Rng) -> Option<Vec<u8>> {
    let pool = match word {
        "key" => KEYS,
        "value" if rng.percent(20) => {
            let len = rng.below(70);
            return Some(rng.bytes(len));
        }
        "value" => VALUES,
        "int" => INTEGERS,
        "float" => FLOATS,
        "index" => INDEXES,
        "offset" => OFFSETS,
        "bit" => return Some(vec![b'0' + rng.below(3) as u8]),
        "bitoffset" => BIT_OFFSETS,
        "bittype" => BIT_TYPES,
        "fieldoffset" => BIT_FIELD_OFFSETS,
        "pattern" => PATTERNS,
        "seconds" => SECONDS,
        "otherseconds" => OTHER_SECONDS,
        "ms" => MILLISECONDS,
        "moment" => MOMENTS,
        "momentms" => MOMENTS_MS,
        "junk" => JUNK,
        "payload" => return Some(payload(rng)),
        _ => return None,
    };
    Some(rng.pick(pool).to_vec())
}

/// A payload from `DUMP` of redis 7.0 for "hello", 12, 40 times "a" or -70000, or a damaged
/// payload.
fn payload(rng: &mut Rng) -> Vec<u8> {
    const PAYLOADS: &[&[u8]] = &[
        b"\x00\x05hello\x0a\x00\x63\x72\xdf\x76\x65\x34\x20\x0a",
        b"\x00\xc0\x0c\x0a\x00\x3c\x2a\xf8\x51\x5c\x04\xbc\xd5",
        b"\x00\xc3\x09\x28\x01aa\xe0\x1b\x00\x01aa\x0a\x00\xcf\x09\x2f\xaa\xae\x25\x83\x1d",
        b"\x00\xc2\x90\xee\xfe\xff\x0a\x00\x28\x75\xde\x7b\x13\xeb\x28\x00",
        b"\x00\x05hellu\x0a\x00\x63\x72\xdf\x76\x65\x34\x20\x0a",
        b"\x00\x05",
        b"",
    ];
    rng.pick(PAYLOADS).to_vec()
}
