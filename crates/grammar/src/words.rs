//! Pools of words: small, so that commands meet on the same keys, and full of the values at which
//! implementations differ.
//!
//! Offsets never make a server fill half a gigabyte; a number that stands in a wrong place is never
//! a time that passes during a test. Timeouts pass, but briefly.

use bytes::Bytes;
use coterie_redis_compat::syntax::Type;

use crate::Grammar;
use crate::keys::{HASH_KEYS, KEYS};
use crate::list::LIST_KEYS;
use crate::set::SET_KEYS;
use crate::zset::{LEX_BOUNDS, ZSET_KEYS};

/// Keys that hold HyperLogLogs, and nothing else: what notes a count in them is another command in
/// each server.
const HYPERLOGLOG_KEYS: &[&[u8]] = &[b"hll", b"hll:1", b"{tag}hll", b"hll\0"];

/// Keys that hold streams, mostly.
const STREAM_KEYS: &[&[u8]] = &[b"x", b"x:1", b"{tag}x\0"];

const FIELDS: &[&str] = &[
    "f",
    "g",
    "n",
    "n",
    "1",
    "-70000",
    "",
    "field:1",
    "\0\r\n",
    "a field of sixty-five bytes, which a listpack does not hold......",
];

const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "-1",
    "10",
    "3.5",
    "-0",
    "1e3",
    " 12",
    "00012",
    "+5",
    "abc",
    "foobar",
    "ohmytext",
    "mynewtext",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "3.0e3",
    "inf",
    "a text of forty-four bytes, the longest embstr",
    "\0\u{1}\u{7f}",
];

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "7",
    "100",
    "-100",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
];

/// No integers in Redis' strict form.
const NO_NUMBERS: &[&str] = &["", "+1", "01", "-0", "1.0", "abc", " 1", "0x1", "1e3"];

const FLOATS: &[&str] = &[
    "0",
    "0.1",
    "-0.5",
    "3",
    "1e2",
    "2.5e-3",
    "1234567.891",
    "1e17",
    "-1e-10",
    "0.30000000000000004",
    "inf",
    "-inf",
    "nan",
    "1e",
    ".5",
    "5.",
    "-.5e-3",
    "1e4932",
];

const PATTERNS: &[&str] = &[
    "*", "a", "?", "[a-c]", "[^a]", "k*", "\\a", "**", "", "[b", "key:*", "{tag}*", "*\\**",
    "nothing",
];

/// Wrong anywhere, or nearly. No positive number that is a time, and none that is a table.
const JUNK: &[&str] = &[
    "",
    "junk",
    "bogus",
    "1.5",
    "-1",
    "NX",
    "xx",
    "GET",
    "EX",
    "KEEPTTL",
    "9223372036854775808",
    "-9223372036854775809",
    "nan",
    "\u{ff}\u{fe}",
];

/// The pools by name, for hints.
#[cfg(test)]
pub(crate) const POOLS: &[&str] = &[
    "bit",
    "bit-offset",
    "bit-type",
    "brief",
    "cursor",
    "db",
    "element",
    "few",
    "field",
    "field-offset",
    "field-value",
    "float",
    "geo-key",
    "hash-key",
    "hyperloglog",
    "hyperloglog-or-other",
    "index",
    "integer",
    "junk",
    "key",
    "latitude",
    "length",
    "lex-bound",
    "lex-key",
    "limit",
    "list-count",
    "list-element",
    "list-index",
    "list-key",
    "list-rank",
    "longitude",
    "member",
    "milliseconds",
    "numkeys",
    "offset",
    "pattern",
    "payload",
    "pfdebug",
    "place",
    "random-count",
    "range-bound",
    "rank",
    "scan-count",
    "score",
    "score-bound",
    "seconds",
    "set-key",
    "sort-key",
    "stream-block",
    "stream-consumer",
    "stream-count",
    "stream-end",
    "stream-group",
    "stream-id",
    "stream-idle",
    "stream-key",
    "stream-limit",
    "stream-low-id",
    "stream-new-id",
    "stream-read-id",
    "stream-reads",
    "stream-start",
    "stream-threshold",
    "stream-time",
    "stream-top-id",
    "trim-start",
    "trim-stop",
    "ttl",
    "unix-milliseconds",
    "unix-seconds",
    "value",
    "zset-dst",
    "zset-key",
    "zset-member",
    "zset-or-set",
];

/// The pool for an argument without a hint.
pub(crate) fn pool_of(name: &str, of: Type) -> &'static str {
    match (name, of) {
        ("seconds", _) => "seconds",
        ("milliseconds", _) => "milliseconds",
        ("unix-time-seconds", _) => "unix-seconds",
        ("unix-time-milliseconds", _) => "unix-milliseconds",
        ("serialized-value", _) => "payload",
        ("db" | "destination-db", _) => "db",
        ("bit", _) => "bit",
        ("start" | "end" | "stop" | "count" | "len", _) => "index",
        ("offset", _) => "offset",
        (_, Type::Key) => "key",
        (_, Type::Integer) => "integer",
        (_, Type::Double) => "float",
        (_, Type::UnixTime) => "unix-milliseconds",
        (_, Type::Pattern) => "pattern",
        (_, Type::String) => "value",
    }
}

impl Grammar {
    /// A word of a pool; a value if the pool is unknown.
    pub fn word(&mut self, pool: &str) -> Bytes {
        let text = match pool {
            "key" => return self.key(),
            "hash-key" => return self.key_of(HASH_KEYS),
            "set-key" => return self.key_of(SET_KEYS),
            "list-key" => return self.key_of(LIST_KEYS),
            "list-element" => return self.list_element(),
            "geo-key" => return self.geo_key(),
            "latitude" => self.latitude(),
            "length" => self.length(),
            "longitude" => self.longitude(),
            "place" => self.place(),
            "sort-key" => return self.sort_key(),
            "zset-key" | "zset-dst" | "zset-or-set" | "lex-key" => return self.zset_key(pool),
            "zset-member" => self.zset_member(),
            "score" => self.score(),
            "score-bound" => self.score_bound(),
            "lex-bound" => self.one_of(LEX_BOUNDS),
            "range-bound" => self.range_bound(),
            "few" => self.few(),
            "hyperloglog-or-other" if self.one_in(12) => return self.key(),
            "hyperloglog" | "hyperloglog-or-other" => return self.hyperloglog(),
            "stream-key" => return self.key_of(STREAM_KEYS),
            "payload" => return self.payload(),
            "pfdebug" => self.one_of(&["ENCODING", "DECODE", "TODENSE", "GETREG", "bogus"]),
            "element" => self.below(5000).to_string(),
            "integer" => self.integer(),
            "float" => self.float(),
            "index" => self.index(),
            "offset" => self.offset(),
            "field" => self.field(),
            "field-value" => return self.field_value(),
            "brief" => self.one_of(&["0.001", "0.01", "0.002", "x", "-1", "-2.5", ""]),
            "member" => self.member(),
            "numkeys" => self.one_of(&["1", "1", "1", "2", "2", "3", "0", "-1", "x", "99"]),
            "limit" => self.one_of(&["0", "1", "2", "5", "-1", "x"]),
            "cursor" => self.one_of(&["0", "0", "0", "0", "5", "-1", "x", ""]),
            "scan-count" => self.one_of(&["1000", "1000", "1", "3", "0", "-1", "x"]),
            "random-count" => self.random_count(),
            "bit" => self.one_of(&["0", "1", "0", "1", "2", "x"]),
            "bit-offset" => self.bit_offset(),
            "bit-type" => self.bit_type(),
            "field-offset" => self.field_offset(),
            "list-count" => self.list_count(),
            "list-index" => self.list_index(),
            "list-rank" => self.list_rank(),
            "rank" => self.rank(),
            "trim-start" => self.one_of(&["0", "0", "1", "2", "-40", "-3", "50", "x"]),
            "trim-stop" => self.one_of(&["-1", "-1", "-2", "-3", "40", "9999", "0", ""]),
            "db" => self.one_of(&["0", "1", "1", "16", "x", "-1", "99999999999"]),
            "pattern" => self.one_of(PATTERNS),
            "seconds" => self.seconds(),
            "milliseconds" => self.milliseconds(),
            "unix-seconds" => self.unix_seconds(),
            "unix-milliseconds" => self.unix_milliseconds(),
            "ttl" => self.ttl(),
            "junk" => self.one_of(JUNK),
            pool if pool.starts_with("stream-") => self.of_stream(pool),
            _ => return self.value(),
        };
        Bytes::from(text)
    }

    pub(crate) fn one_of(&mut self, from: &[&str]) -> String {
        (*self.pick(from)).to_owned()
    }

    /// A key, now and then of another type than a string.
    pub(crate) fn key(&mut self) -> Bytes {
        let pool = match self.below(20) {
            0 => HASH_KEYS,
            1 => SET_KEYS,
            2 => LIST_KEYS,
            3 => ZSET_KEYS,
            4 => STREAM_KEYS,
            _ => KEYS,
        };
        Bytes::from_static(pool[self.below(pool.len())])
    }

    /// A key of a list, mostly.
    fn sort_key(&mut self) -> Bytes {
        match self.below(4) {
            0 => self.word("geo-key"),
            _ => self.key_of(LIST_KEYS),
        }
    }

    fn hyperloglog(&mut self) -> Bytes {
        let key: &&[u8] = self.pick(HYPERLOGLOG_KEYS);
        Bytes::from_static(key)
    }

    /// A key of this pool, and now and then any other.
    pub(crate) fn key_of(&mut self, pool: &'static [&'static [u8]]) -> Bytes {
        if self.one_in(12) {
            return self.key();
        }
        Bytes::from_static(pool[self.below(pool.len())])
    }

    fn field(&mut self) -> String {
        match self.below(30) {
            0 => FIELDS[FIELDS.len() - 1].to_owned(),
            1 => self.integer(),
            _ => self.one_of(&FIELDS[..FIELDS.len() - 1]),
        }
    }

    /// Short mostly: a long value turns a hash into a table.
    fn field_value(&mut self) -> Bytes {
        match self.below(20) {
            0 => self.value(),
            1..10 => Bytes::from((self.below(300) as i64 - 150).to_string()),
            10..14 => Bytes::from(self.integer()),
            _ => Bytes::from(self.one_of(VALUES)),
        }
    }

    fn payload(&mut self) -> Bytes {
        let at = self.below(self.payloads.len());
        let payload = self.payloads[at].clone();
        if payload.is_empty() || !self.one_in(8) {
            return payload;
        }
        let mut damaged = payload.to_vec();
        let at = self.below(damaged.len());
        damaged[at] ^= 1 << self.below(8);
        Bytes::from(damaged)
    }

    pub(crate) fn value(&mut self) -> Bytes {
        match self.below(8) {
            0 | 1 => Bytes::from(self.integer()),
            2 => Bytes::from(self.float()),
            3 => {
                let len = self.below(80);
                (0..len).map(|_| self.next() as u8).collect()
            }
            4 => {
                let word = self.one_of(&["ab", "xyz", "\0", "0", "ohmytext "]);
                Bytes::from(word.repeat(self.below(60)))
            }
            _ => Bytes::from(self.one_of(VALUES)),
        }
    }

    pub(crate) fn integer(&mut self) -> String {
        match self.below(7) {
            0 => (self.below(20) as i64 - 10).to_string(),
            1 => (self.next() as i64).to_string(),
            2 => (self.next() as i32).to_string(),
            3 => (self.next() as i16).to_string(),
            4 | 5 => self.one_of(NUMBERS),
            _ => self.one_of(NO_NUMBERS),
        }
    }

    pub(crate) fn float(&mut self) -> String {
        match self.below(7) {
            0 => self.integer(),
            1 => format!("{}.{}", self.below(1000), self.below(100_000)),
            2 => {
                let (whole, part) = (self.below(10), self.next());
                format!("-{whole}.{part}e{}", self.below(60) as i64 - 30)
            }
            3 => format!("{}e{}", self.next(), self.below(5200) as i64 - 2600),
            4 => {
                let (whole, part) = (self.below(300), self.next());
                format!("0x{whole:x}.{part:x}p{}", self.below(90) as i64 - 45)
            }
            _ => self.one_of(FLOATS),
        }
    }

    pub(crate) fn index(&mut self) -> String {
        match self.below(8) {
            0 => self.integer(),
            1 => self.one_of(&["-1", "0", "-9999", "9999", "-9223372036854775808"]),
            _ => (self.below(60) as i64 - 30).to_string(),
        }
    }

    fn offset(&mut self) -> String {
        match self.below(10) {
            0 => self.one_of(&["-1", "536870912", "9223372036854775807", "x", "300"]),
            _ => self.below(60).to_string(),
        }
    }

    fn bit_offset(&mut self) -> String {
        match self.below(12) {
            0 => self.one_of(&["-1", "4294967296", "9223372036854775807", "#1", "x", ""]),
            _ => self.below(700).to_string(),
        }
    }

    fn bit_type(&mut self) -> String {
        match self.below(15) {
            0 => self.one_of(&["u64", "i65", "i0", "x8", "u"]),
            _ => self.one_of(&["u8", "i8", "u1", "i5", "u63", "i64", "i32", "u16", "i16"]),
        }
    }

    fn field_offset(&mut self) -> String {
        match self.below(12) {
            0..3 => format!("#{}", self.below(9)),
            3 => self.one_of(&["#x", "#-1", "#"]),
            _ => self.bit_offset(),
        }
    }

    /// A relative time that no other is near to, in seconds.
    fn far_seconds(&mut self) -> u64 {
        self.times += 1;
        let base = [10_000, 20_000, 50_000, 100_000, 9_990_000];
        *self.pick(&base) + 10 * (self.times % 900)
    }

    fn seconds(&mut self) -> String {
        const SPECIAL: &[&str] = &[
            "0",
            "-1",
            "-1000",
            "9223372036854775807",
            "9223372036854775",
            "x",
            "",
        ];
        match self.below(8) {
            0 => self.one_of(SPECIAL),
            _ => self.far_seconds().to_string(),
        }
    }

    fn milliseconds(&mut self) -> String {
        const SPECIAL: &[&str] = &[
            "0",
            "-1",
            "-5000",
            "9223372036854775807",
            "x",
            "-9223372036854775808",
        ];
        match self.below(8) {
            0 => self.one_of(SPECIAL),
            _ => (1000 * self.far_seconds()).to_string(),
        }
    }

    fn unix_seconds(&mut self) -> String {
        match self.below(6) {
            0 => self.one_of(&["0", "-5", "1", "9223372036854775807", "9223372036854775"]),
            1 => self.one_of(&["4000000000", "4100000001", "33177117420"]),
            _ => (33_000_000_000u64 + 1000 * self.below(5) as u64).to_string(),
        }
    }

    fn unix_milliseconds(&mut self) -> String {
        match self.below(6) {
            0 => self.one_of(&["0", "-5", "1", "9223372036854775807"]),
            1 => self.one_of(&["4000000000000", "4100000000123", "33177117420000"]),
            _ => (33_000_000_000_499u64 + 500 * self.below(5) as u64).to_string(),
        }
    }

    /// A time for RESTORE, with ABSTTL or without. None ends after the end of time, where Redis
    /// loses the key.
    fn ttl(&mut self) -> String {
        match self.below(8) {
            0 => self.one_of(&["0", "-1", "x", "-9223372036854775808", "9000000000"]),
            1 => (33_000_000_000_499u64 + 500 * self.below(5) as u64).to_string(),
            2 => "0".to_owned(),
            _ => (1000 * self.far_seconds()).to_string(),
        }
    }
}
