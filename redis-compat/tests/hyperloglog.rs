//! HyperLogLogs against a real Redis, byte for byte.
//!
//! `PFCOUNT` of a single key is left out where bytes are compared: Redis notes the count in the
//! value. How seeds are chosen: `common/both.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::both::{Both, each_seed, setting};
use common::real::Server;
use common::{Store, words};
use coterie_grammar::Rng;
use coterie_redis_compat::Resp;

const KEYS: [&str; 4] = ["a", "b", "c", "d"];
const COMMANDS_PER_RUN: usize = 1500;

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
        19 => words(&format!("persist {a}")),
        20 if rng.below(10) == 0 => words(&format!("set {a} {}", rng.pick(&["12", "text", ""]))),
        21 if rng.below(10) == 0 => words(&format!("hset {a} f v")),
        22 => words(&format!("type {a}")),
        _ => words(&format!("get {a}")),
    }
}

#[test]
fn bytes_and_replies_are_those_of_redis() {
    let mut dense = 0;
    let compared = each_seed(8, |seed, real| {
        let mut rng = Rng::new(seed);
        let mut both = Both::new(real, seed);
        while both.log.len() < COMMANDS_PER_RUN {
            both.same_words(&command(&mut rng));
            for key in KEYS {
                both.same(&format!("get {key}"));
                both.same(&format!("object encoding {key}"));
            }
            let form = both.same("pfdebug encoding a");
            dense += usize::from(form.ends_with(b"dense\r\n"));
        }
    });
    assert!(!compared || dense > 20, "only {dense} times dense");
}

/// The estimate, from a single element to half a million, and both forms.
#[test]
fn counts_are_those_of_redis() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut real = server.connect();
    let mut both = Both::new(&mut real, 0);
    let mut added = 0;
    for step in 0..60 {
        let more = 1 + added / 4;
        let elements = (added..added + more).map(|number: usize| Bytes::from(format!("e{number}")));
        let elements: Vec<_> = elements.collect();
        for some in elements.chunks(10_000) {
            both.same_words(&[words("pfadd h"), some.to_vec()].concat());
        }
        added += more;
        both.same("pfcount h");
        both.same("pfcount h nothing");
        if step % 10 == 0 {
            both.same("pfdebug decode h");
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
    let mut real = server.connect();
    let mut both = Both::new(&mut real, 0);
    for count in [1, 30, 3000] {
        let elements = (0..count).map(|n: usize| Bytes::from(n.to_string()));
        both.same_words(&[words("pfadd h"), elements.collect()].concat());
        assert!(both.exchange("h"));
        both.same("get restored");
        both.same("pfcount restored restored");
        both.same("pfadd restored more");
        both.same("get restored");
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
