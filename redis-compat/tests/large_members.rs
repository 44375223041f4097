//! Sets and hashes that are spread over records of their own, against those of a real Redis: the
//! same random commands to both.
//!
//! How seeds are chosen: `common/both.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;

use bytes::Bytes;
use common::both::{Both, each_seed};
use common::words;
use coterie_grammar::Rng;

const FILLED: usize = 3000;
const COMMANDS_PER_RUN: usize = 1500;

fn same(both: &mut Both<'_>, line: &str) {
    both.same(line);
}

fn same_elements(both: &mut Both<'_>, line: &str) {
    both.agree(line, |ours, theirs| elements(ours) == elements(theirs));
}

/// As many elements on both sides.
fn same_shape(both: &mut Both<'_>, line: &str) -> [Vec<String>; 2] {
    let [ours, theirs] = both.run(&words(line));
    let lists = [list(&ours), list(&theirs)];
    both.expect(lists[0].len() == lists[1].len(), &ours, &theirs);
    lists
}

/// Fills a key on both sides.
fn fill(both: &mut Both<'_>, name: &str, elements: impl Iterator<Item = String>) {
    let elements: Vec<_> = elements.map(Bytes::from).collect();
    for part in elements.chunks(500) {
        both.same_words(&[words(name), part.to_vec()].concat());
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

fn step_of_sets(both: &mut Both<'_>, rng: &mut Rng) {
    let (key, other) = (*rng.pick(&SETS), *rng.pick(&SETS));
    match rng.below(40) {
        0..10 => same(both, &format!("sadd {key} {}", members(rng))),
        10..18 => same(both, &format!("srem {key} {}", members(rng))),
        18..22 => same(both, &format!("smismember {key} {}", members(rng))),
        22 => same(both, &format!("scard {key}")),
        23..26 => same(both, &format!("smove {key} {other} {}", member(rng))),
        26 => same(
            both,
            &format!("sintercard 2 {key} {other} limit {}", rng.below(3000)),
        ),
        27 => same_elements(both, &format!("smembers {key}")),
        28 => same_elements(both, &format!("sinter {}", keys(rng))),
        29 => same_elements(both, &format!("sunion {}", keys(rng))),
        30 => same_elements(both, &format!("sdiff {}", keys(rng))),
        31 => same(both, &format!("sinterstore result {}", keys(rng))),
        32 => same(both, &format!("sunionstore result {}", keys(rng))),
        33 => same(both, &format!("sdiffstore result {}", keys(rng))),
        34 => same_elements(both, "smembers result"),
        35 => drop(same_shape(
            both,
            &format!("srandmember {key} {}", rng.below(5000)),
        )),
        36 => drop(same_shape(
            both,
            &format!("srandmember {key} -{}", rng.below(5000)),
        )),
        37 | 38 => {
            let count = *rng.pick(&[1, 2, 3, 50]);
            let [ours, theirs] = same_shape(both, &format!("spop {key} {count}"));
            // Members lost on either side are lost on both.
            if !ours.is_empty() {
                both.real
                    .run(&words(&format!("srem {key} {}", ours.join(" "))));
                let line = format!("srem {key} {}", theirs.join(" "));
                both.run_ours(&[words(&line)]);
            }
        }
        _ => whole_scan(both, rng, "sscan", key, 1),
    }
}

fn step_of_hashes(both: &mut Both<'_>, rng: &mut Rng) {
    let key = *rng.pick(&HASHES);
    match rng.below(30) {
        0..8 => same(
            both,
            &format!("hset {key} {} {}", member(rng), rng.below(1000)),
        ),
        8..12 => same(both, &format!("hdel {key} {}", members(rng))),
        12..16 => same(both, &format!("hmget {key} {}", members(rng))),
        16 => same(both, &format!("hlen {key}")),
        17..20 => same(
            both,
            &format!("hincrby {key} {} {}", member(rng), rng.below(9)),
        ),
        20 => same(both, &format!("hincrbyfloat {key} {} 0.1", member(rng))),
        21 => same(both, &format!("hsetnx {key} {} new", member(rng))),
        22 => same(both, &format!("hstrlen {key} {}", member(rng))),
        23 => same_elements(both, &format!("hgetall {key}")),
        24 => same_elements(both, &format!("hkeys {key}")),
        25 => same_elements(both, &format!("hvals {key}")),
        26 => {
            let count = rng.below(8000) as i64 - 4000;
            same_shape(both, &format!("hrandfield {key} {count} withvalues"));
        }
        27 => same(both, &format!("object encoding {key}")),
        28 => same(both, &format!("hexists {key} {}", member(rng))),
        _ => whole_scan(both, rng, "hscan", key, 2),
    }
}

/// Pages of a scan have each element once.
fn whole_scan(both: &mut Both<'_>, rng: &mut Rng, name: &str, key: &str, words_each: usize) {
    let count = *rng.pick(&[7, 100, 999, 5000]);
    let mut cursor = "0".to_owned();
    let mut ours = Vec::new();
    loop {
        let line = format!("{name} {key} {cursor} count {count}");
        let mut page = list(&both.run_ours(&[words(&line)])[0]);
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
fn exchange_dumps(both: &mut Both<'_>, key: &str, read: &str) {
    if both.exchange(key) {
        same_elements(both, &format!("{read} restored"));
        same_elements(both, &format!("{read} {key}"));
        both.same("del restored");
    }
}

#[test]
fn large_sets_and_hashes_answer_as_those_of_redis() {
    each_seed(2, |seed, real| {
        let both = &mut Both::new(real, seed);
        fill(both, "sadd ints", (0..FILLED).map(|n| n.to_string()));
        fill(both, "sadd words", (0..FILLED).map(|n| format!("m{n}")));
        let mixed = (0..FILLED).map(|n| match n % 2 {
            0 => n.to_string(),
            _ => format!("m{n}"),
        });
        fill(both, "sadd mixed", mixed);
        fill(both, "sadd other", (0..700).map(|n| n.to_string()));
        let pairs = |n: usize| [n.to_string(), (n % 77).to_string()];
        fill(both, "hset table", (0..FILLED).flat_map(pairs));
        let pairs = |n: usize| [format!("m{n}"), format!("{n:0100}")];
        fill(both, "hset long", (0..400).flat_map(pairs));
        let mut rng = Rng::new(seed);
        for _ in 0..COMMANDS_PER_RUN {
            if rng.percent(60) {
                step_of_sets(both, &mut rng);
            } else {
                step_of_hashes(both, &mut rng);
            }
        }
        check(both);
    });
}

fn check(both: &mut Both<'_>) {
    for key in SETS {
        both.same(&format!("scard {key}"));
        exchange_dumps(both, key, "smembers");
    }
    for key in HASHES {
        both.same(&format!("hlen {key}"));
        exchange_dumps(both, key, "hgetall");
    }
    both.same("rename ints renamed");
    both.same("copy renamed copied");
    both.same("sadd copied x");
    same_elements(both, "smembers renamed");
    same_elements(both, "smembers copied");
    both.same("del renamed");
    both.same("sadd renamed 1");
    same_elements(both, "smembers renamed");
}
