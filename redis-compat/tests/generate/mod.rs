//! Random commands over a few keys, valid ones mostly.

use bytes::Bytes;

/// SplitMix64, and the payloads seen so far.
pub(crate) struct Random {
    state: u64,
    payloads: Vec<Bytes>,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            state: seed,
            payloads: vec![Bytes::from("garbage that is long enough")],
        }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// Keeps what `DUMP` answered, for `RESTORE`.
    pub(crate) fn remember_payload(&mut self, args: &[Bytes], reply: &Bytes) {
        if args[0].eq_ignore_ascii_case(b"dump")
            && let Some(start) = reply.iter().position(|byte| *byte == b'\n')
            && reply.len() > start + 3
        {
            self.payloads.push(reply.slice(start + 1..reply.len() - 2));
        }
    }

    fn payload(&mut self) -> Bytes {
        let at = self.below(self.payloads.len());
        let mut payload = self.payloads[at].to_vec();
        if self.one_in(8) {
            let at = self.below(payload.len());
            payload[at] ^= 1 << self.below(8);
        }
        Bytes::from(payload)
    }

    fn key(&mut self) -> Bytes {
        Bytes::from(
            self.pick(&[
                "a",
                "b",
                "c",
                "key:1",
                "key:2",
                "{tag}x",
                "",
                "\u{e9}\0\r\n",
            ])
            .to_owned(),
        )
    }

    fn integer(&mut self) -> String {
        match self.below(6) {
            0 => (self.below(20) as i64 - 10).to_string(),
            1 => (self.next() as i64).to_string(),
            2 => (self.next() as i32).to_string(),
            3 => (self.next() as i16).to_string(),
            4 => self
                .pick(&[
                    "9223372036854775807",
                    "-9223372036854775808",
                    "9223372036854775808",
                    "0",
                ])
                .to_owned(),
            _ => self
                .pick(&["", "+1", "01", "-0", "1.0", "abc", " 1", "0x1", "1e3"])
                .to_owned(),
        }
    }

    fn float(&mut self) -> String {
        match self.below(6) {
            0 => self.integer(),
            1 => format!("{}.{}", self.below(1000), self.below(100_000)),
            2 => format!(
                "-{}.{}e{}",
                self.below(10),
                self.next(),
                self.below(60) as i64 - 30
            ),
            3 => format!("{}e{}", self.next(), self.below(5200) as i64 - 2600),
            4 => format!(
                "0x{:x}.{:x}p{}",
                self.below(300),
                self.next(),
                self.below(90) as i64 - 45
            ),
            _ => self
                .pick(&["inf", "-inf", "nan", "1e", ".5", "5.", "-.5e-3", "1e4932"])
                .to_owned(),
        }
    }

    fn value(&mut self) -> Bytes {
        match self.below(7) {
            0 | 1 => Bytes::from(self.integer()),
            2 => Bytes::from(self.float()),
            3 => {
                let len = self.below(80);
                (0..len).map(|_| self.next() as u8).collect()
            }
            4 => {
                let (word, times) = (
                    self.pick(&["ab", "xyz", "\0", "0", "ohmytext "]),
                    self.below(60),
                );
                Bytes::from(word.repeat(times))
            }
            _ => Bytes::from(
                self.pick(&["", "foobar", "ohmytext", "mynewtext", "1"])
                    .to_owned(),
            ),
        }
    }

    fn index(&mut self) -> String {
        match self.below(8) {
            0 => self.integer(),
            1 => self
                .pick(&["-1", "0", "-9999", "9999", "-9223372036854775808"])
                .to_owned(),
            _ => (self.below(60) as i64 - 30).to_string(),
        }
    }

    fn bit_offset(&mut self) -> String {
        match self.below(12) {
            0 => self
                .pick(&["-1", "4294967296", "9223372036854775807", "#1", "x", ""])
                .to_owned(),
            _ => self.below(700).to_string(),
        }
    }

    /// Long, or over; never about to be.
    fn seconds(&mut self) -> String {
        match self.below(8) {
            0 => self
                .pick(&[
                    "0",
                    "-1",
                    "9223372036854775807",
                    "9223372036854775",
                    "x",
                    "",
                ])
                .to_owned(),
            _ => (1000 * (1 + self.below(5))).to_string(),
        }
    }

    fn millis(&mut self) -> String {
        match self.below(8) {
            0 => self
                .pick(&[
                    "0",
                    "-1",
                    "9223372036854775807",
                    "x",
                    "-9223372036854775808",
                ])
                .to_owned(),
            _ => (1_000_000 * (1 + self.below(5))).to_string(),
        }
    }

    fn unix_seconds(&mut self) -> String {
        match self.below(6) {
            0 => self
                .pick(&["0", "-5", "1", "9223372036854775807", "9223372036854775"])
                .to_owned(),
            _ => (33_000_000_000u64 + 1000 * self.below(5) as u64).to_string(),
        }
    }

    fn unix_millis(&mut self) -> String {
        match self.below(6) {
            0 => self
                .pick(&["0", "-5", "1", "9223372036854775807"])
                .to_owned(),
            _ => (33_000_000_000_499u64 + 500 * self.below(5) as u64).to_string(),
        }
    }

    fn lifetime(&mut self, args: &mut Args) {
        match self.below(5) {
            0 => args.word("EX").word(&self.seconds()),
            1 => args.word("px").word(&self.millis()),
            2 => args.word("EXAT").word(&self.unix_seconds()),
            3 => args.word("pxat").word(&self.unix_millis()),
            _ => args.word(self.pick(&["KEEPTTL", "persist", "ex", "bogus"])),
        };
    }

    fn bitfield_operation(&mut self, args: &mut Args, read_only: bool) {
        let field = self
            .pick(&["u8", "i8", "u1", "i5", "u63", "i64", "i32", "u16"])
            .to_owned();
        let field = if self.one_in(15) {
            self.pick(&["u64", "i65", "i0", "x8", "u"]).to_owned()
        } else {
            field
        };
        let offset = if self.one_in(4) {
            format!("#{}", self.below(9))
        } else {
            self.bit_offset()
        };
        if !read_only && self.one_in(4) {
            args.word("overflow")
                .word(self.pick(&["wrap", "SAT", "fail", "fail", "bogus"]));
        }
        match self.below(if read_only { 2 } else { 5 }) {
            0 | 1 => args.word("GET").word(&field).word(&offset),
            2 => args
                .word("set")
                .word(&field)
                .word(&offset)
                .word(&self.integer()),
            3 => args
                .word("INCRBY")
                .word(&field)
                .word(&offset)
                .word(&self.integer()),
            _ => args.word(self.pick(&["get", "set", "bogus"])),
        };
    }
}

/// The words of a command under way.
struct Args(Vec<Bytes>);

impl Args {
    fn new(name: &str) -> Self {
        Self(vec![Bytes::from(name.to_owned())])
    }

    fn word(&mut self, word: &str) -> &mut Self {
        self.bytes(Bytes::from(word.to_owned()))
    }

    fn bytes(&mut self, word: Bytes) -> &mut Self {
        self.0.push(word);
        self
    }
}

const NAMES: &[&str] = &[
    "append",
    "bitcount",
    "bitfield",
    "bitfield_ro",
    "bitop",
    "bitpos",
    "copy",
    "decr",
    "decrby",
    "del",
    "dump",
    "exists",
    "expire",
    "expireat",
    "expiretime",
    "get",
    "getbit",
    "getdel",
    "getex",
    "getrange",
    "getset",
    "incr",
    "incrby",
    "incrbyfloat",
    "lcs",
    "mget",
    "move",
    "mset",
    "msetnx",
    "object",
    "persist",
    "pexpire",
    "pexpireat",
    "pexpiretime",
    "psetex",
    "pttl",
    "rename",
    "renamenx",
    "restore",
    "set",
    "setbit",
    "setex",
    "setnx",
    "setrange",
    "strlen",
    "substr",
    "touch",
    "ttl",
    "type",
    "unlink",
    "memory",
    "nosuchcommand",
    "_keys",
    "_random",
];

/// The next command.
pub(crate) fn command(r: &mut Random) -> Vec<Bytes> {
    // Half of all commands fill the keys that the others look at.
    let name = match r.below(40) {
        0..8 => "set",
        8..10 => "append",
        10..12 => "setbit",
        12..14 => "setrange",
        14 if r.one_in(3) => "_flush",
        _ => r.pick(NAMES),
    };
    let mut args = Args::new(&if r.one_in(10) {
        name.to_uppercase()
    } else {
        name.to_owned()
    });
    if name.starts_with('_') {
        args = Args::new(name);
    }
    fill(r, name, &mut args);
    // Now and then a word too few or too many.
    if !name.starts_with('_') && r.one_in(60) {
        if r.one_in(2) {
            drop(args.0.pop().filter(|_| args.0.len() > 1))
        } else {
            {
                args.word("extra");
            }
        }
        if args.0.is_empty() {
            args = Args::new(name);
        }
    }
    args.0
}

fn fill(r: &mut Random, name: &str, args: &mut Args) {
    match name {
        "get" | "getdel" | "incr" | "decr" | "strlen" | "dump" | "type" | "persist" | "ttl"
        | "pttl" | "expiretime" | "pexpiretime" => {
            args.bytes(r.key());
        }
        "set" => {
            args.bytes(r.key()).bytes(r.value());
            for _ in 0..[0, 0, 0, 1, 1, 2, 3][r.below(7)] {
                match r.below(4) {
                    0 => {
                        args.word(r.pick(&["NX", "xx", "XX"]));
                    }
                    1 => {
                        args.word("get");
                    }
                    _ => r.lifetime(args),
                }
            }
        }
        "getex" => {
            args.bytes(r.key());
            for _ in 0..[0, 1, 1, 1, 2][r.below(5)] {
                r.lifetime(args);
            }
        }
        "append" | "getset" | "setnx" => {
            args.bytes(r.key()).bytes(r.value());
        }
        "incrby" | "decrby" => {
            args.bytes(r.key()).word(&r.integer());
        }
        "incrbyfloat" => {
            args.bytes(r.key()).word(&r.float());
        }
        "setex" => {
            args.bytes(r.key()).word(&r.seconds()).bytes(r.value());
        }
        "psetex" => {
            args.bytes(r.key()).word(&r.millis()).bytes(r.value());
        }
        "getrange" | "substr" => {
            args.bytes(r.key()).word(&r.index()).word(&r.index());
        }
        "setrange" => {
            let offset = match r.below(10) {
                0 => r
                    .pick(&["-1", "536870912", "9223372036854775807", "x"])
                    .to_owned(),
                _ => r.below(60).to_string(),
            };
            args.bytes(r.key()).word(&offset).bytes(r.value());
        }
        "mget" | "del" | "unlink" | "exists" | "touch" => {
            (0..=r.below(3)).for_each(|_| {
                args.bytes(r.key());
            });
        }
        "mset" | "msetnx" => (0..=r.below(3)).for_each(|_| {
            args.bytes(r.key()).bytes(r.value());
        }),
        "rename" | "renamenx" => {
            args.bytes(r.key()).bytes(r.key());
        }
        _ => fill_more(r, name, args),
    }
}

fn fill_more(r: &mut Random, name: &str, args: &mut Args) {
    match name {
        "getbit" => {
            args.bytes(r.key()).word(&r.bit_offset());
        }
        "setbit" => {
            let bit = r.pick(&["0", "1", "1", "2", "x"]);
            args.bytes(r.key()).word(&r.bit_offset()).word(bit);
        }
        "bitcount" | "bitpos" => {
            args.bytes(r.key());
            if name == "bitpos" {
                args.word(r.pick(&["0", "1", "0", "1", "2", "x"]));
            }
            for _ in 0..r.below(3) {
                args.word(&r.index());
            }
            if r.one_in(2) {
                args.word(r.pick(&["BYTE", "bit", "bogus"]));
            }
        }
        "bitop" => {
            args.word(r.pick(&["AND", "or", "xor", "not", "bogus"]))
                .bytes(r.key());
            (0..=r.below(3)).for_each(|_| {
                args.bytes(r.key());
            });
        }
        "bitfield" | "bitfield_ro" => {
            let read_only = name == "bitfield_ro" && !r.one_in(10);
            args.bytes(r.key());
            (0..r.below(4)).for_each(|_| r.bitfield_operation(args, read_only));
        }
        "lcs" => {
            args.bytes(r.key()).bytes(r.key());
            for _ in 0..r.below(4) {
                match r.pick(&["LEN", "IDX", "idx", "minmatchlen", "WITHMATCHLEN", "bogus"]) {
                    "minmatchlen" => {
                        args.word("MINMATCHLEN").word(&r.index());
                    }
                    word => {
                        args.word(word);
                    }
                }
            }
        }
        "copy" => {
            args.bytes(r.key()).bytes(r.key());
            for _ in 0..r.below(3) {
                match r.below(4) {
                    0 | 1 => {
                        args.word("replace");
                    }
                    2 => drop(
                        args.word("DB")
                            .word(r.pick(&["0", "1", "1", "16", "x", "-1"])),
                    ),
                    _ => {
                        args.word("bogus");
                    }
                }
            }
        }
        "move" => {
            let db = r.pick(&["0", "1", "1", "16", "x", "-1", "99999999999"]);
            args.bytes(r.key()).word(db);
        }
        _ => fill_rest(r, name, args),
    }
}

fn fill_rest(r: &mut Random, name: &str, args: &mut Args) {
    match name {
        "expire" | "pexpire" => {
            let time = if name == "expire" {
                r.seconds()
            } else {
                r.millis()
            };
            args.bytes(r.key()).word(&time);
            // GT and LT of times that depend on the clock could go either way.
            for _ in 0..[0, 0, 1, 2][r.below(4)] {
                args.word(r.pick(&["NX", "xx", "bogus"]));
            }
        }
        "expireat" | "pexpireat" => {
            let time = if name == "expireat" {
                r.unix_seconds()
            } else {
                r.unix_millis()
            };
            args.bytes(r.key()).word(&time);
            for _ in 0..[0, 0, 1, 1, 2][r.below(5)] {
                args.word(r.pick(&["NX", "xx", "GT", "lt", "bogus"]));
            }
        }
        "object" => {
            let word = r.pick(&["encoding", "REFCOUNT", "idletime", "freq", "bogus"]);
            args.word(word).bytes(r.key());
        }
        "memory" => {
            args.word("usage").bytes(r.key());
            if r.one_in(3) {
                args.word(r.pick(&["samples", "bogus"])).word(&r.index());
            }
        }
        "restore" => {
            let ttl = r.millis().replace("9223372036854775807", "9000000000");
            args.bytes(r.key()).word(&ttl).bytes(r.payload());
            for _ in 0..r.below(3) {
                match r.below(6) {
                    0..=2 => {
                        args.word("REPLACE");
                    }
                    3 => {
                        args.word("absttl");
                    }
                    4 => {
                        args.word("idletime").word(&r.index());
                    }
                    _ => {
                        args.word("FREQ").word(&r.index());
                    }
                }
            }
        }
        "_keys" => {
            let pattern = r.pick(&[
                "**", "*", "key:*", "?", "[a-b]", "{tag}*", "[^a]", "*\\**", "nothing",
            ]);
            args.bytes(Bytes::new()).bytes(Bytes::new()).word(pattern);
        }
        "_flush" | "_random" => {
            args.bytes(Bytes::new()).bytes(Bytes::new());
        }
        _ => {
            args.bytes(r.key()).bytes(r.value());
        }
    }
}
