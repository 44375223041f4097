//! Words of the sorted set commands.

use bytes::Bytes;

use crate::Grammar;
use crate::keys::{HASH_KEYS, KEYS};

/// Keys that hold sorted sets, mostly.
pub(crate) const ZSET_KEYS: &[&[u8]] = &[b"z", b"z:1", b"z:2", b"{tag}z", b"z\0"];

/// Keys that hold small sorted sets, for the commands about ranges of members: of large sets with
/// several scores nobody knows which members Redis finds.
const LEX_KEYS: &[&[u8]] = &[b"lex", b"{tag}lex"];

/// Members of sorted sets. None is so long that a listpack does not hold it.
const ZSET_MEMBERS: &[&str] = &[
    "a", "b", "c", "d", "aa", "ab", "b\0", "", "m:1", "7", "-1", "0.5", "\u{ff}z", "[a",
];

const SCORES: &[&str] = &[
    "0",
    "0",
    "1",
    "1",
    "1",
    "2",
    "-1",
    "1.5",
    "-0",
    "inf",
    "-inf",
    "+1",
    "nan",
    "9007199254740993",
    "1e17",
    "0.1",
    "5e-324",
    "1e309",
    "123456789012345678",
];

const SCORE_BOUNDS: &[&str] = &[
    "-inf", "+inf", "-inf", "+inf", "(1", "(0", "(-1", "(2", "1.5", "(1.5", "(inf", "(-inf", "",
    "(", " 1", "1\0x", "x", "(x", "nan", "1e999",
];

pub(crate) const LEX_BOUNDS: &[&str] = &[
    "-", "-", "+", "+", "[a", "[b", "[c", "[", "(", "(a", "(b", "(c", "[aa", "(m", "[\u{ff}", "x",
    "", "-a", "+\0a",
];

impl Grammar {
    pub(crate) fn zset_key(&mut self, pool: &str) -> Bytes {
        let from = match (pool, self.below(12)) {
            ("lex-key", 0) => HASH_KEYS,
            ("lex-key", _) | ("zset-key" | "zset-or-set", 1..4) => LEX_KEYS,
            (_, 0) => KEYS,
            _ => ZSET_KEYS,
        };
        Bytes::from_static(from[self.below(from.len())])
    }

    pub(crate) fn zset_member(&mut self) -> String {
        match self.below(3) {
            0 => format!("m{}", self.below(40)),
            _ => self.one_of(ZSET_MEMBERS),
        }
    }

    pub(crate) fn score(&mut self) -> String {
        match self.below(12) {
            0 => self.float(),
            1 => format!("{}.{}", self.below(1000), self.below(100_000)),
            2..6 => (self.below(12) as i64 - 4).to_string(),
            _ => self.one_of(SCORES),
        }
    }

    pub(crate) fn score_bound(&mut self) -> String {
        match self.below(12) {
            0 => self.float(),
            1..6 => (self.below(12) as i64 - 4).to_string(),
            _ => self.one_of(SCORE_BOUNDS),
        }
    }

    /// A bound of ranks, scores or members: an option says which.
    pub(crate) fn range_bound(&mut self) -> String {
        match self.below(6) {
            0 => self.score_bound(),
            1 | 2 => self.one_of(LEX_BOUNDS),
            _ => self.rank(),
        }
    }

    pub(crate) fn rank(&mut self) -> String {
        match self.below(10) {
            0 => self.integer(),
            1 => self.one_of(&["-1", "0", "-9999", "9999"]),
            _ => (self.below(16) as i64 - 8).to_string(),
        }
    }

    /// How many: never so many that a server is busy with them.
    pub(crate) fn few(&mut self) -> String {
        const SPECIAL: &[&str] = &[
            "x",
            "",
            "-9223372036854775808",
            "9223372036854775807",
            "1.5",
        ];
        match self.below(8) {
            0 => self.one_of(SPECIAL),
            1 => self.one_of(&["-200", "300", "0"]),
            _ => (self.below(12) as i64 - 3).to_string(),
        }
    }
}
