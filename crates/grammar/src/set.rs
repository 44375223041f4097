//! Words of the set commands.

use crate::Grammar;

/// Keys that hold sets, mostly.
pub(crate) const SET_KEYS: &[&[u8]] = &[b"s", b"s:1", b"s:2", b"{tag}s", b"s\xff"];

/// Members of sets: integers mostly, so that sets of integers last a while.
const MEMBERS: &[&str] = &[
    "0",
    "7",
    "-1",
    "300",
    "70000",
    "-9223372036854775808",
    "9223372036854775807",
    "9223372036854775808",
    "01",
    "-0",
    "",
    "a",
    "member:1",
    "\0\r\n",
    "a member of sixty-five bytes, which a listpack does not hold.....",
];

impl Grammar {
    /// Words that turn a set of integers into another come seldom.
    pub(crate) fn member(&mut self) -> String {
        match self.below(40) {
            0 => self.one_of(MEMBERS),
            1 => self.integer(),
            2..8 => self.one_of(&MEMBERS[..7]),
            _ => (self.below(40) as i64 - 10).to_string(),
        }
    }

    /// How many random elements: never so many that a server is busy with them.
    pub(crate) fn random_count(&mut self) -> String {
        match self.below(8) {
            0 => self.one_of(&[
                "0",
                "x",
                "-9223372036854775808",
                "9223372036854775807",
                "1.5",
            ]),
            1 => self.one_of(&["-300", "300"]),
            _ => (self.below(20) as i64 - 10).to_string(),
        }
    }
}
