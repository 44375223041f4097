//! The cursor of SCAN: a place in key order, in 53 bits, that any proxy understands.
//!
//! Clients read a cursor as a number, and all of them keep 53 bits exactly (decision record
//! `2026-11-30-scan-cursor-and-places`).
//!
//! ```text
//! 0                           the beginning, and the end
//! 1 .. 2^52                   1 + the code of a place
//! 2^52 + number               a place whose key is kept (`places`) under this number of 52 bits:
//!                             the first 16 bits of its code, then 36 bits of chance
//! ```
//!
//! A code alone determines where the scan continues: such a cursor holds no state and names no
//! range, so it stays valid across splits, moves and restarts, for ever. A number needs the kept
//! key; when that key is lost, the scan continues at the first key whose code begins with the same
//! 16 bits. That position is never behind the kept key, so no key is left out.
//!
//! A key's code preserves order: the interval of all numbers is split by the first byte, that piece
//! by the second, and so on. Each byte gets a share as large as it is likely after the byte before
//! (arithmetic coding). When a piece is too small to split, all keys with that prefix share its
//! number. The shares are part of the format: they never change.
//!
//! `code` is monotone: a < b implies code(a) <= code(b). `start_of(c)` is the least key whose code
//! is at least c. So a cursor can say exactly this: every key before `start_of(c)` was returned,
//! and none from there on.

use std::sync::LazyLock;

use bytes::Bytes;

/// All cursors are below this.
const CURSORS: u64 = 1 << 53;
/// All cursors that are a code are below this.
const CODE_CURSORS: u64 = 1 << 52;
/// Bits of a number after those of the code.
const CHANCE_BITS: u32 = 36;

/// The sum of the shares.
const TOTAL: u32 = 1 << 14;
/// The least share of a byte, however unlikely.
const LEAST: u32 = 4;

/// `shares[class of the byte before][b]`: the sum of the shares of all bytes below `b`.
static SHARES: LazyLock<[[u32; 257]; CLASSES]> = LazyLock::new(shares);

const CLASSES: usize = 5;
/// No byte before, or a byte of no other class.
const OTHER: usize = 0;
const LOWER: usize = 1;
const UPPER: usize = 2;
const DIGIT: usize = 3;
const PUNCTUATION: usize = 4;

/// A place in key order, as a cursor names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cursor {
    /// Before every key.
    Start,
    /// The first key whose code is at least this.
    Code(u64),
    /// The key kept under this number.
    Kept(u64),
}

impl Cursor {
    /// The place that a client's cursor names; `None` if the number is no cursor.
    pub(crate) fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Cursor::Start),
            CURSORS.. => None,
            CODE_CURSORS.. => Some(Cursor::Kept(number - CODE_CURSORS)),
            _ => Some(Cursor::Code(number - 1)),
        }
    }

    /// The cursor as the client gets it; 0 only for the start.
    pub(crate) fn number(self) -> u64 {
        match self {
            Cursor::Start => 0,
            Cursor::Code(code) => code + 1,
            Cursor::Kept(number) => CODE_CURSORS + number,
        }
    }
}

/// The number under which a key is kept.
pub(crate) fn number_of(key: &[u8], chance: u64) -> u64 {
    floor(CODER.code(key)) | (chance >> (u64::BITS - CHANCE_BITS))
}

/// The least code of any key that can be kept under this number, or that has this code.
pub(crate) fn floor(number: u64) -> u64 {
    number >> CHANCE_BITS << CHANCE_BITS
}

/// The number of codes that keys are spread over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coder {
    codes: u64,
}

/// The coder of cursors.
pub(crate) const CODER: Coder = Coder {
    codes: CODE_CURSORS - 1,
};

impl Coder {
    /// The code of a key.
    pub(crate) fn code(self, key: &[u8]) -> u64 {
        let mut piece = Piece::all(self.codes);
        for byte in key {
            if piece.is_whole() {
                break;
            }
            piece = piece.part(*byte);
        }
        piece.low
    }

    /// The least key whose code is at least `code`; `None` if there is none.
    pub(crate) fn start_of(self, code: u64) -> Option<Bytes> {
        let mut key = Vec::new();
        let mut piece = Piece::all(self.codes);
        if code == 0 {
            return Some(Bytes::new());
        }
        // Descend into the last part that starts below `code`. If it has no key at or above `code`,
        // the answer is the start of the next part.
        while !piece.is_whole() {
            let (mut below, mut above) = (0u32, 256u32);
            while above - below > 1 {
                let middle = (below + above) / 2;
                if piece.low_of(middle as usize) < code {
                    below = middle;
                } else {
                    above = middle;
                }
            }
            key.push(below as u8);
            piece = piece.part(below as u8);
        }
        // Every key that begins with `key` has a lower code.
        successor(&key)
    }
}

/// The least key after all keys that begin with `prefix`.
fn successor(prefix: &[u8]) -> Option<Bytes> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut next = prefix[..=last].to_vec();
    next[last] += 1;
    Some(Bytes::from(next))
}

/// The numbers `low .. low + width`, of the keys with a common prefix.
#[derive(Debug, Clone, Copy)]
struct Piece {
    low: u64,
    width: u64,
    /// The class of the prefix' last byte.
    class: usize,
}

impl Piece {
    fn all(codes: u64) -> Self {
        Self {
            low: 0,
            width: codes,
            class: OTHER,
        }
    }

    /// Whether the piece cannot be split: all keys with the prefix share its number.
    fn is_whole(self) -> bool {
        self.width <= 1
    }

    fn part(self, byte: u8) -> Self {
        let low = self.low_of(usize::from(byte));
        Self {
            low,
            width: self.low_of(usize::from(byte) + 1) - low,
            class: class(byte),
        }
    }

    /// Where the part of a byte begins; 256 is the end of the last part.
    fn low_of(self, byte: usize) -> u64 {
        let share = u128::from(SHARES[self.class][byte]);
        self.low + (u128::from(self.width) * share / u128::from(TOTAL)) as u64
    }
}

fn class(byte: u8) -> usize {
    match byte {
        b'a'..=b'z' => LOWER,
        b'A'..=b'Z' => UPPER,
        b'0'..=b'9' => DIGIT,
        b'!'..=b'~' => PUNCTUATION,
        _ => OTHER,
    }
}

/// For each class of the byte before, the weight of each class of byte, in thousandths.
const WEIGHTS: [[u32; CLASSES]; CLASSES] = [
    // other, lower, upper, digit, punctuation
    [100, 600, 120, 130, 50],
    [10, 730, 30, 80, 150],
    [10, 250, 560, 80, 100],
    [10, 90, 30, 780, 90],
    [10, 400, 90, 450, 50],
];

/// Weights within a class; its other bytes weigh 1.
fn weight(byte: u8) -> u32 {
    match byte {
        b'e' | b's' | b't' | b'a' | b'r' | b'i' | b'n' | b'o' => 6,
        b'c' | b'd' | b'l' | b'u' | b'm' | b'p' | b'b' | b'f' => 4,
        b':' => 40,
        b'-' | b'_' | b'.' | b'/' => 10,
        b'{' | b'}' | b'|' | b'#' | b'@' => 3,
        b'a'..=b'z' => 2,
        _ => 1,
    }
}

fn shares() -> [[u32; 257]; CLASSES] {
    let mut sums = [0u32; CLASSES];
    for byte in 0..=u8::MAX {
        sums[class(byte)] += weight(byte);
    }
    let mut shares = [[0; 257]; CLASSES];
    for (before, row) in shares.iter_mut().enumerate() {
        let free = TOTAL - 256 * LEAST;
        for byte in 0..=u8::MAX {
            let class = class(byte);
            let share = free * WEIGHTS[before][class] / 1000 * weight(byte) / sums[class];
            row[usize::from(byte) + 1] = row[usize::from(byte)] + LEAST + share;
        }
        // The last byte gets the remainder of the rounding.
        row[256] = TOTAL;
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_format_is_pinned() {
        let keys = [
            "",
            "a",
            "key:000000012345",
            "user:1000",
            "\u{ff}",
            "{tag}:x",
        ];
        assert_eq!(keys.map(|key| CODER.code(key.as_bytes())), PINNED);
        assert_eq!(number_of(b"user:1000", 0), PINNED[3] >> 36 << 36);
        let (number, chance) = (number_of(b"", u64::MAX), (1 << 36) - 1);
        assert_eq!((number, floor(number)), (chance, 0));
    }

    const PINNED: [u64; 6] = [
        0,
        1_424_142_435_876_863,
        2_468_103_622_801_752,
        3_700_683_702_788_819,
        4_249_671_832_698_879,
        3_987_178_528_655_171,
    ];

    #[test]
    fn cursors_are_numbers_and_back() {
        let places = [
            Cursor::Start,
            Cursor::Code(0),
            Cursor::Code(CODER.codes - 1),
            Cursor::Kept(0),
            Cursor::Kept((1 << 52) - 1),
        ];
        for place in places {
            assert_eq!(Cursor::from_number(place.number()), Some(place));
        }
        assert_eq!(Cursor::from_number(CURSORS), None);
        assert_eq!(Cursor::from_number(u64::MAX), None);
    }

    #[test]
    fn keys_of_the_usual_forms_share_a_number_with_few_others() {
        // How many keys that differ only in their last digits share a number.
        let shared = |prefix: &str, digits: usize| {
            let codes: std::collections::BTreeSet<_> = (0..10_000)
                .map(|n| CODER.code(format!("{prefix}{n:0digits$}").as_bytes()))
                .collect();
            10_000 / codes.len()
        };
        assert_eq!(shared("user:", 6), 1);
        assert_eq!(shared("", 10), 1);
        assert!(shared("key:", 9) <= 16);
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..20),
            "[a-z]{0,8}:[0-9]{0,14}".prop_map(String::into_bytes),
            proptest::collection::vec(prop_oneof![Just(0u8), Just(0xff), Just(b'a')], 0..12),
        ]
    }

    fn coder() -> impl Strategy<Value = Coder> {
        prop_oneof![
            Just(CODER),
            Just(Coder { codes: 1 << 40 }),
            Just(Coder { codes: 1000 })
        ]
    }

    proptest! {
        #[test]
        fn order_is_kept(a in key(), b in key(), coder in coder()) {
            let (a, b) = if a <= b { (a, b) } else { (b, a) };
            prop_assert!(coder.code(&a) <= coder.code(&b));
        }

        #[test]
        fn the_start_of_a_code_is_its_least_key(key in key(), other in key(), coder in coder()) {
            let code = coder.code(&key);
            let start = coder.start_of(code).unwrap();
            prop_assert!(start.as_ref() <= key.as_slice());
            prop_assert!(coder.code(&start) >= code);
            if other.as_slice() < start.as_ref() {
                prop_assert!(coder.code(&other) < code);
            }
        }

        #[test]
        fn the_place_that_a_number_falls_back_to_is_not_behind_its_key(
            key in key(), chance in any::<u64>(),
        ) {
            let number = number_of(&key, chance);
            prop_assert!(number < CURSORS - CODE_CURSORS);
            let start = CODER.start_of(floor(number)).unwrap();
            prop_assert!(start.as_ref() <= key.as_slice());
        }

        #[test]
        fn any_number_divides_the_keys(number in 0..CODER.codes + 10, key in key()) {
            let is_behind = CODER.code(&key) >= number;
            match CODER.start_of(number) {
                Some(start) => prop_assert_eq!(key.as_slice() >= start.as_ref(), is_behind),
                None => prop_assert!(!is_behind),
            }
        }
    }
}
