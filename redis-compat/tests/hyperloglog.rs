//! HyperLogLogs against a real Redis, byte for byte.
//!
//! `PFCOUNT` of a single key is left out where bytes are compared: Redis notes the count in the
//! value. `DIFFERENTIAL_SEED=n` repeats a run, `DIFFERENTIAL_RUNS=n` makes more.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::real::{Connection, Server};
use common::{Store, words};
use coterie_grammar::Rng;
use coterie_redis_compat::Resp;

const KEYS: [&str; 4] = ["a", "b", "c", "d"];
const COMMANDS_PER_RUN: usize = 1500;

struct Both {
    ours: Store,
    real: Connection,
    resp: Resp,
    commands: usize,
}

impl Both {
    fn new(real: Connection, resp: Resp) -> Self {
        let mut both = Self {
            ours: Store::default(),
            real,
            resp,
            commands: 0,
        };
        both.real.run(&words("flushall"));
        let version = if resp == Resp::V2 { "2" } else { "3" };
        both.real.run(&words(&format!("hello {version}")));
        both
    }

    fn run(&mut self, args: &[Bytes]) -> Bytes {
        self.commands += 1;
        let (ours, theirs) = (self.ours.run(0, args, self.resp), self.real.run(args));
        let shown: Vec<_> = args
            .iter()
            .map(|arg| arg.escape_ascii().to_string())
            .collect();
        let shown = shown.join(" ");
        assert!(
            ours == theirs,
            "{}: {}\n  ours: {}\ntheirs: {}",
            self.commands,
            &shown[..shown.len().min(300)],
            ours.escape_ascii(),
            theirs.escape_ascii()
        );
        ours
    }

    fn line(&mut self, line: &str) -> Bytes {
        self.run(&words(line))
    }
}

/// Few elements or many, so that registers are set again and again, and become dense now and then.
fn add(rng: &mut Rng, key: &str) -> Vec<Bytes> {
    let count = match rng.below(40) {
        0 => 400,
        1..4 => 40,
        _ => rng.below(6),
    };
    let bound = *rng.pick(&[10, 3000, 1_000_000]);
    let elements = (0..count).map(|_| match rng.below(8) {
        0 => {
            let len = rng.below(40);
            Bytes::from(rng.bytes(len))
        }
        _ => Bytes::from(rng.below(bound).to_string()),
    });
    let elements: Vec<_> = elements.collect();
    [words(&format!("pfadd {key}")), elements].concat()
}

fn command(rng: &mut Rng) -> Vec<Bytes> {
    let (a, b, c) = (*rng.pick(&KEYS), *rng.pick(&KEYS), *rng.pick(&KEYS));
    match rng.below(24) {
        0..10 => add(rng, a),
        10 => words(&format!("pfmerge {a} {b} {c}")),
        11 => words(&format!("pfmerge {a}")),
        12 => words(&format!("pfcount {a} {b}")),
        13 => words(&format!("pfcount {a} {a} nothing")),
        14 => words(&format!(
            "pfdebug {} {a}",
            rng.pick(&["encoding", "decode", "bogus"])
        )),
        15 if rng.below(8) == 0 => {
            words(&format!("pfdebug {} {a}", rng.pick(&["getreg", "todense"])))
        }
        16 => words(&format!("del {a}")),
        17 => words(&format!("copy {a} {b} replace")),
        18 => words(&format!("expire {a} 1000")),
        19 => words(&format!("ttl {a}")),
        20 if rng.below(10) == 0 => words(&format!("set {a} {}", rng.pick(&["12", "text", ""]))),
        21 if rng.below(10) == 0 => words(&format!("hset {a} f v")),
        22 => words(&format!("type {a}")),
        _ => words(&format!("get {a}")),
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

#[test]
fn bytes_and_replies_are_those_of_redis() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let seeds = match setting("DIFFERENTIAL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..setting("DIFFERENTIAL_RUNS").unwrap_or(8),
    };
    let mut dense = 0;
    for seed in seeds {
        eprintln!("DIFFERENTIAL_SEED={seed}");
        let mut rng = Rng::new(seed);
        let resp = if seed.is_multiple_of(2) {
            Resp::V2
        } else {
            Resp::V3
        };
        let mut both = Both::new(server.connect(), resp);
        while both.commands < COMMANDS_PER_RUN {
            let args = command(&mut rng);
            both.run(&args);
            for key in KEYS {
                both.line(&format!("get {key}"));
                both.line(&format!("object encoding {key}"));
            }
            let form = both.line("pfdebug encoding a");
            dense += usize::from(form.ends_with(b"dense\r\n"));
        }
    }
    assert!(dense > 20, "only {dense} times dense");
}

/// The estimate, from a single element to half a million, and both forms.
#[test]
fn counts_are_those_of_redis() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut both = Both::new(server.connect(), Resp::V2);
    let mut added = 0;
    for step in 0..60 {
        let more = 1 + added / 4;
        let elements = (added..added + more).map(|number: usize| Bytes::from(format!("e{number}")));
        let elements: Vec<_> = elements.collect();
        for some in elements.chunks(10_000) {
            both.run(&[words("pfadd h"), some.to_vec()].concat());
        }
        added += more;
        both.line("pfcount h");
        both.line("pfcount h nothing");
        if step % 10 == 0 {
            both.line("pfdebug decode h");
        }
    }
    assert!(added > 300_000, "{added}");
}

/// Each side reads the payloads of the other.
#[test]
fn dumps_are_exchanged() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut both = Both::new(server.connect(), Resp::V2);
    for count in [1, 30, 3000] {
        let elements: Vec<_> = (0..count)
            .map(|n: usize| Bytes::from(n.to_string()))
            .collect();
        both.run(&[words("pfadd h"), elements].concat());
        let dump = words("dump h");
        let payloads = [both.ours.run(0, &dump, Resp::V2), both.real.run(&dump)];
        for payload in payloads {
            let start = payload.iter().position(|byte| *byte == b'\n').unwrap() + 1;
            let payload = payload.slice(start..payload.len() - 2);
            let restore = [
                words("restore copy 0"),
                vec![payload, Bytes::from("replace")],
            ];
            both.run(&restore.concat());
            both.line("get copy");
            both.line("pfcount copy copy");
            both.line("pfadd copy more");
            both.line("get copy");
        }
    }
}

/// Damaged bytes are an error or a HyperLogLog of other elements, never a panic.
#[test]
fn damaged_bytes_do_no_harm() {
    let mut rng = Rng::new(setting("DIFFERENTIAL_SEED").unwrap_or(3));
    let mut refused = 0;
    for round in 0..600 {
        let mut ours = Store::default();
        let elements: Vec<_> = (0..rng.below(1200))
            .map(|n| Bytes::from(n.to_string()))
            .collect();
        ours.run(0, &[words("pfadd h"), elements].concat(), Resp::V2);
        if round % 4 == 0 {
            ours.run(0, &words("pfdebug todense h"), Resp::V2);
        }
        let len = ours.run(0, &words("strlen h"), Resp::V2);
        let len: usize = std::str::from_utf8(&len[1..])
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        for _ in 0..1 + rng.below(3) {
            let at = Bytes::from(rng.below(len + 2).to_string());
            let byte = Bytes::from(rng.bytes(1));
            ours.run(0, &[words("setrange h"), vec![at, byte]].concat(), Resp::V2);
        }
        for line in [
            "pfcount h h",
            "pfadd h x y z 1 2 3",
            "pfmerge to h",
            "pfmerge h to",
            "pfcount h",
            "pfdebug decode h",
            "pfdebug getreg h",
        ] {
            let reply = ours.run(0, &words(line), Resp::V2);
            let error = reply.starts_with(b"-");
            let known = [
                "-WRONGTYPE",
                "-INVALIDOBJ",
                "-ERR HLL",
                "-ERR The specified",
            ];
            let is_known = known.iter().any(|code| reply.starts_with(code.as_bytes()));
            assert!(!error || is_known, "{line}: {}", reply.escape_ascii());
            refused += usize::from(error);
        }
    }
    assert!(refused > 500, "only {refused}");
}
