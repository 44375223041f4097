//! The cursor of SCAN: a place in key order, in 53 bits, that any proxy understands at any time.
//!
//! A cursor holds no state and names no range, so it is good on every proxy, across splits, moves
//! and restarts, for ever. Clients read it as a number; 53 bits are what all of them keep whole
//! (decision record `2026-11-23-scan-cursor`).
//!
//! A key is mapped to a number in an order-preserving way: the interval of all numbers is cut by
//! the first byte, that piece by the second, and so on, each byte getting a share as large as it is
//! likely after the one before (arithmetic coding). When a piece is too small to cut, all keys that
//! begin so share its number. The shares are part of the format: they never change.
//!
//! `code` is monotone: a < b implies code(a) <= code(b). `start_of(c)` is the least key whose code
//! is at least c. So "everything before `start_of(c)` was returned, nothing from there on" is what
//! a cursor can say.

use std::sync::LazyLock;

use bytes::Bytes;

/// Codes are below this.
const CODES: u64 = (1 << 53) - 2;
/// The sum of the shares.
const TOTAL: u32 = 1 << 14;
/// What every byte gets, however unlikely.
const LEAST: u32 = 4;

/// `shares[class of the byte before][b]`: the sum of the shares of all bytes below `b`.
static SHARES: LazyLock<[[u32; 257]; CLASSES]> = LazyLock::new(shares);

const CLASSES: usize = 5;
/// No byte before, or one of no other class.
const OTHER: usize = 0;
const LOWER: usize = 1;
const UPPER: usize = 2;
const DIGIT: usize = 3;
const PUNCTUATION: usize = 4;

/// The cursor for a place from which on nothing was returned; never 0.
pub(crate) fn cursor(code: u64) -> u64 {
    code + 1
}

/// The code in a cursor that is not 0.
pub(crate) fn code_in(cursor: u64) -> u64 {
    cursor - 1
}

/// The number of a key.
pub(crate) fn code(key: &[u8]) -> u64 {
    let mut piece = Piece::all();
    for byte in key {
        if piece.is_whole() {
            break;
        }
        piece = piece.part(*byte);
    }
    piece.low
}

/// The least key whose code is at least `code`; `None` if there is none.
pub(crate) fn start_of(code: u64) -> Option<Bytes> {
    let mut key = Vec::new();
    let mut piece = Piece::all();
    if code == 0 {
        return Some(Bytes::new());
    }
    // Down the last part that begins below: what it has at or above `code` is deeper, and what it
    // has not is in the part after it.
    while !piece.is_whole() {
        let (mut below, mut above) = (0u32, 256u32);
        while above - below > 1 {
            let middle = (below + above) / 2;
            match piece.low_of(middle as usize) < code {
                true => below = middle,
                false => above = middle,
            }
        }
        key.push(below as u8);
        piece = piece.part(below as u8);
    }
    // Everything that begins with `key` has a code below.
    while key.last() == Some(&u8::MAX) {
        key.pop();
    }
    *key.last_mut()? += 1;
    Some(Bytes::from(key))
}

/// The numbers `low .. low + width`, of the keys with one prefix.
#[derive(Debug, Clone, Copy)]
struct Piece {
    low: u64,
    width: u64,
    /// Of the prefix' last byte.
    class: usize,
}

impl Piece {
    fn all() -> Self {
        Self {
            low: 0,
            width: CODES,
            class: OTHER,
        }
    }

    /// Whether it cannot be cut: all keys with the prefix share its number.
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

    /// Where the part of a byte begins; 256 is the end of the last one.
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

/// Weights within a class; other bytes of it weigh 1.
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
        // What rounding left over goes to the last byte.
        row[256] = TOTAL;
    }
    shares
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_format_is_pinned() {
        let codes = [
            "",
            "a",
            "key:000000012345",
            "user:1000",
            "\u{ff}",
            "{tag}:x",
        ];
        let codes = codes.map(|key| code(key.as_bytes()));
        assert_eq!(codes, PINNED);
    }

    const PINNED: [u64; 6] = [
        0,
        2_848_284_871_753_727,
        4_936_207_245_603_509,
        7_401_367_405_577_641,
        8_499_343_665_397_758,
        7_974_357_057_310_345,
    ];

    #[test]
    fn keys_of_the_usual_forms_share_a_number_with_few_others() {
        // How many keys that differ in their last digits only share a number.
        let shared = |prefix: &str, digits: usize| {
            let codes: std::collections::BTreeSet<_> = (0..10_000)
                .map(|n| code(format!("{prefix}{n:0digits$}").as_bytes()))
                .collect();
            10_000 / codes.len()
        };
        assert_eq!(shared("user:", 6), 1);
        assert!(shared("memtier-", 7) <= 5000);
        assert!(shared("key:", 12) <= 1000, "{}", shared("key:", 12));
        assert_eq!(shared("", 10), 1);
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..20),
            "[a-z]{0,8}:[0-9]{0,14}".prop_map(String::into_bytes),
            proptest::collection::vec(prop_oneof![Just(0u8), Just(0xff), Just(b'a')], 0..12),
        ]
    }

    proptest! {
        #[test]
        fn order_is_kept(a in key(), b in key()) {
            let (a, b) = if a <= b { (a, b) } else { (b, a) };
            prop_assert!(code(&a) <= code(&b));
        }

        #[test]
        fn the_start_of_a_code_is_its_least_key(key in key(), other in key()) {
            let code_of_key = code(&key);
            let start = start_of(code_of_key).unwrap();
            prop_assert!(start.as_ref() <= key.as_slice());
            prop_assert!(code(&start) >= code_of_key);
            if other.as_slice() < start.as_ref() {
                prop_assert!(code(&other) < code_of_key);
            }
        }

        #[test]
        fn any_number_divides_the_keys(number in 0..CODES + 10, key in key()) {
            match start_of(number) {
                Some(start) => prop_assert_eq!(key.as_slice() >= start.as_ref(), code(&key) >= number),
                None => prop_assert!(code(&key) < number),
            }
        }
    }
}
