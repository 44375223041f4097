//! Sets and hashes that are spread over records of their own, against those of a real Redis: the
//! same random commands to both.
//!
//! `DIFFERENTIAL_SEED=n` repeats a run, `DIFFERENTIAL_COMMANDS=n` makes it longer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;

use bytes::Bytes;
use common::real::{Connection, Server};
use common::{Store, words};
use coterie_grammar::Rng;
use coterie_redis_compat::Resp;

const FILLED: usize = 3000;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

/// Both servers.
struct Both {
    real: Connection,
    ours: Store,
    resp: Resp,
}

impl Both {
    fn run(&mut self, args: &[Bytes]) -> (Bytes, Bytes) {
        self.ours.now += 1;
        (self.ours.run(0, args, self.resp), self.real.run(args))
    }

    fn same(&mut self, line: &str) {
        let (ours, theirs) = self.run(&words(line));
        assert_eq!(ours, theirs, "{line}");
    }

    fn same_elements(&mut self, line: &str) {
        let (ours, theirs) = self.run(&words(line));
        assert_eq!(elements(&ours), elements(&theirs), "{line}");
    }

    /// As many elements on both sides.
    fn same_shape(&mut self, line: &str) -> (Vec<String>, Vec<String>) {
        let (ours, theirs) = self.run(&words(line));
        let (ours, theirs) = (list(&ours), list(&theirs));
        assert_eq!(ours.len(), theirs.len(), "{line}");
        (ours, theirs)
    }

    /// Fills a key on both sides.
    fn fill(&mut self, name: &str, words: impl Iterator<Item = String>) {
        let words: Vec<_> = words.map(Bytes::from).collect();
        for part in words.chunks(500) {
            let head = common::words(name);
            let (ours, theirs) = self.run(&[head, part.to_vec()].concat());
            assert_eq!(ours, theirs, "{name}");
        }
    }
}

/// The strings and numbers of a reply, in order.
fn list(reply: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(reply);
    let lines = text.split("\r\n").filter(|line| !line.is_empty());
    let is_head = |line: &&str| !line.starts_with(['*', '~', '%', '$']);
    lines.filter(is_head).map(str::to_owned).collect()
}

fn elements(reply: &[u8]) -> Vec<String> {
    let mut list = list(reply);
    list.sort_unstable();
    list
}

const SETS: [&str; 4] = ["ints", "words", "mixed", "other"];
const HASHES: [&str; 2] = ["table", "long"];

fn member(rng: &mut Rng) -> String {
    let number = rng.below(FILLED * 4 / 3);
    match rng.below(3) {
        0 => format!("m{number}"),
        _ => number.to_string(),
    }
}

fn members(rng: &mut Rng) -> String {
    let count = 1 + rng.below(4);
    let members: Vec<_> = (0..count).map(|_| member(rng)).collect();
    members.join(" ")
}

fn keys(rng: &mut Rng) -> String {
    let count = 1 + rng.below(3);
    let keys: Vec<_> = (0..count).map(|_| *rng.pick(&SETS)).collect();
    keys.join(" ")
}

fn step_of_sets(both: &mut Both, rng: &mut Rng) {
    let (key, other) = (*rng.pick(&SETS), *rng.pick(&SETS));
    match rng.below(40) {
        0..10 => both.same(&format!("sadd {key} {}", members(rng))),
        10..18 => both.same(&format!("srem {key} {}", members(rng))),
        18..22 => both.same(&format!("smismember {key} {}", members(rng))),
        22 => both.same(&format!("scard {key}")),
        23..26 => both.same(&format!("smove {key} {other} {}", member(rng))),
        26 => both.same(&format!(
            "sintercard 2 {key} {other} limit {}",
            rng.below(3000)
        )),
        27 => both.same_elements(&format!("smembers {key}")),
        28 => both.same_elements(&format!("sinter {}", keys(rng))),
        29 => both.same_elements(&format!("sunion {}", keys(rng))),
        30 => both.same_elements(&format!("sdiff {}", keys(rng))),
        31 => both.same(&format!("sinterstore result {}", keys(rng))),
        32 => both.same(&format!("sunionstore result {}", keys(rng))),
        33 => both.same(&format!("sdiffstore result {}", keys(rng))),
        34 => both.same_elements("smembers result"),
        35 => drop(both.same_shape(&format!("srandmember {key} {}", rng.below(5000)))),
        36 => drop(both.same_shape(&format!("srandmember {key} -{}", rng.below(5000)))),
        37 | 38 => {
            let count = *rng.pick(&[1, 2, 3, 50]);
            let (ours, theirs) = both.same_shape(&format!("spop {key} {count}"));
            // Members lost on either side are lost on both.
            if !ours.is_empty() {
                both.real
                    .run(&words(&format!("srem {key} {}", ours.join(" "))));
                let line = format!("srem {key} {}", theirs.join(" "));
                both.ours.run(0, &words(&line), Resp::V2);
            }
        }
        _ => whole_scan(both, rng, "sscan", key, 1),
    }
}

fn step_of_hashes(both: &mut Both, rng: &mut Rng) {
    let key = *rng.pick(&HASHES);
    match rng.below(30) {
        0..8 => both.same(&format!("hset {key} {} {}", member(rng), rng.below(1000))),
        8..12 => both.same(&format!("hdel {key} {}", members(rng))),
        12..16 => both.same(&format!("hmget {key} {}", members(rng))),
        16 => both.same(&format!("hlen {key}")),
        17..20 => both.same(&format!("hincrby {key} {} {}", member(rng), rng.below(9))),
        20 => both.same(&format!("hincrbyfloat {key} {} 0.1", member(rng))),
        21 => both.same(&format!("hsetnx {key} {} new", member(rng))),
        22 => both.same(&format!("hstrlen {key} {}", member(rng))),
        23 => both.same_elements(&format!("hgetall {key}")),
        24 => both.same_elements(&format!("hkeys {key}")),
        25 => both.same_elements(&format!("hvals {key}")),
        26 => {
            let count = rng.below(8000) as i64 - 4000;
            both.same_shape(&format!("hrandfield {key} {count} withvalues"));
        }
        27 => both.same(&format!("object encoding {key}")),
        28 => both.same(&format!("hexists {key} {}", member(rng))),
        _ => whole_scan(both, rng, "hscan", key, 2),
    }
}

/// Pages of a scan have each element once.
fn whole_scan(both: &mut Both, rng: &mut Rng, name: &str, key: &str, words_each: usize) {
    let count = *rng.pick(&[7, 100, 999, 5000]);
    let mut cursor = "0".to_owned();
    let mut ours = Vec::new();
    loop {
        let line = format!("{name} {key} {cursor} count {count}");
        let mut page = list(&both.ours.run(0, &words(&line), both.resp));
        cursor = page.remove(0);
        ours.extend(page);
        if cursor == "0" {
            break;
        }
    }
    let mut theirs = list(
        &both
            .real
            .run(&words(&format!("{name} {key} 0 count 100000"))),
    );
    assert_eq!(theirs.remove(0), "0");
    let names = ours.iter().step_by(words_each);
    let different: BTreeSet<_> = names.clone().collect();
    assert_eq!(different.len(), names.len(), "{name} {key}");
    ours.sort_unstable();
    theirs.sort_unstable();
    assert_eq!(ours, theirs, "{name} {key}");
}

/// Each reads what the other dumps.
fn exchange_dumps(both: &mut Both, key: &str, read: &str) {
    let (ours, theirs) = both.run(&words(&format!("dump {key}")));
    let payload = |reply: &Bytes| {
        let start = reply.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        reply.slice(start..reply.len() - 2)
    };
    let restore = |payload| {
        let [mut line, end] = ["restore copy 0", "replace"].map(words);
        line.push(payload);
        [line, end].concat()
    };
    let ok = Bytes::from("+OK\r\n");
    assert_eq!(both.real.run(&restore(payload(&ours))), ok, "{key}");
    let reply = both.ours.run(0, &restore(payload(&theirs)), both.resp);
    assert_eq!(reply, ok, "{key}");
    both.same_elements(&format!("{read} copy"));
    both.same_elements(&format!("{read} {key}"));
    both.same("del copy");
}

#[test]
fn large_sets_and_hashes_answer_as_those_of_redis() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let commands = setting("DIFFERENTIAL_COMMANDS").unwrap_or(1500);
    let seed = setting("DIFFERENTIAL_SEED").unwrap_or(5);
    for (resp, hello) in [(Resp::V2, "hello 2"), (Resp::V3, "hello 3")] {
        let mut both = Both {
            real: server.connect(),
            ours: Store::default(),
            resp,
        };
        both.real.run(&words(hello));
        both.real.run(&words("flushall"));
        both.fill("sadd ints", (0..FILLED).map(|n| n.to_string()));
        both.fill("sadd words", (0..FILLED).map(|n| format!("m{n}")));
        let mixed = (0..FILLED).map(|n| {
            if n % 2 == 0 {
                n.to_string()
            } else {
                format!("m{n}")
            }
        });
        both.fill("sadd mixed", mixed);
        both.fill("sadd other", (0..700).map(|n| n.to_string()));
        let pairs = |n: usize| [n.to_string(), (n % 77).to_string()];
        both.fill("hset table", (0..FILLED).flat_map(pairs));
        let pairs = |n: usize| [format!("m{n}"), format!("{n:0100}")];
        both.fill("hset long", (0..400).flat_map(pairs));
        let mut rng = Rng::new(seed);
        for _ in 0..commands {
            if rng.percent(60) {
                step_of_sets(&mut both, &mut rng);
            } else {
                step_of_hashes(&mut both, &mut rng);
            }
        }
        for key in SETS {
            both.same(&format!("scard {key}"));
            exchange_dumps(&mut both, key, "smembers");
        }
        for key in HASHES {
            both.same(&format!("hlen {key}"));
            exchange_dumps(&mut both, key, "hgetall");
        }
        both.same("rename ints renamed");
        both.same("copy renamed copied");
        both.same("sadd copied x");
        both.same_elements("smembers renamed");
        both.same_elements("smembers copied");
        both.same("del renamed");
        both.same("sadd renamed 1");
        both.same_elements("smembers renamed");
    }
}
