//! Lists against a real Redis: the same random commands to both, on short lists and on lists that
//! are spread over many records; every reply must have the same bytes.
//!
//! How seeds are chosen: `common/both.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::both::{Both, each_seed};
use common::compare::both_waited;
use common::{Store, words};
use coterie_grammar::{Choice, Grammar, compared_rows};
use coterie_redis_compat::{Resp, Topic};

const COMMANDS_PER_RUN: usize = 400;
const KEYS: [&str; 3] = ["l", "l:1", "{tag}l"];

/// Runs commands as a log entry, and compares their replies.
fn compare(both: &mut Both<'_>, entry: &[Vec<Bytes>]) {
    let replies = both.run_all(entry);
    for (args, [ours, theirs]) in entry.iter().zip(&replies) {
        let agree = ours == theirs || both_waited(args, ours, theirs);
        both.expect(agree, ours, theirs);
    }
}

/// Compares whole lists, and payloads both ways.
fn check(both: &mut Both<'_>) {
    for key in KEYS {
        let all = both.same(&format!("lrange {key} 0 -1"));
        if !all.starts_with(b"-") && both.exchange(key) {
            assert!(both.same("lrange restored 0 -1") == all, "{key}");
            both.same("del restored");
        }
    }
}

/// The rows of lists, and some for keys of any type.
fn rows() -> Choice {
    let others = [
        "copy", "del", "exists", "expire", "persist", "rename", "type",
    ];
    let others = compared_rows().filter(move |row| others.contains(&row.name));
    let of_lists = || compared_rows().filter(|row| row.topic == Topic::List);
    Choice::new(of_lists().chain(of_lists()).chain(others))
}

#[test]
fn short_lists_answer_as_redis_does() {
    let rows = rows();
    each_seed(20, |seed, real| {
        let mut grammar = Grammar::new(seed).without("DB");
        let mut both = Both::new(real, seed);
        while both.log.len() < COMMANDS_PER_RUN {
            let entry: Vec<_> = (0..=grammar.below(4))
                .filter_map(|_| rows.pick(&mut grammar))
                .collect();
            let entry = entry.into_iter().map(|row| grammar.command(row));
            compare(&mut both, &entry.collect::<Vec<_>>());
        }
        check(&mut both);
    });
}

/// A place anywhere in a list of `len` elements, or a little outside, from either end.
fn place(grammar: &mut Grammar, len: usize) -> i64 {
    grammar.below(2 * len + 20) as i64 - len as i64 - 10
}

/// A command in the middle of long lists.
fn long_command(grammar: &mut Grammar, len: usize) -> Vec<Bytes> {
    let key = *grammar.pick(&KEYS);
    let (at, near) = (place(grammar, len), grammar.below(30) as i64);
    let known = grammar.below(len / 4).to_string();
    let element = match grammar.below(12) {
        0 => "long ".repeat(grammar.below(2000)),
        1 => "1".to_owned(),
        _ => known.clone(),
    };
    let few = grammar.below(9) as i64 - 4;
    let end = *grammar.pick(&["left", "right"]);
    let line = match grammar.below(24) {
        0..3 => format!("lindex {key} {at}"),
        3..6 => format!("lrange {key} {at} {}", at + near),
        6..9 => format!("lset {key} {at} {element}"),
        9..12 => format!("linsert {key} before {known} {element}"),
        12..15 => format!("linsert {key} after {known} {element}"),
        15 => format!("lrem {key} {few} {known}"),
        16 => format!("lpos {key} {known} rank {few} count 0 maxlen {}", at.abs()),
        17 => format!("lpush {key} {element} {known}"),
        18 => format!("rpush {key} {element} {known}"),
        19 => format!("lpop {key} {near}"),
        20 => format!("rpop {key} {near}"),
        21 => format!("lmpop 2 none {key} {end} count 3"),
        22 => format!("lmove {key} {} {end} left", grammar.pick(&KEYS)),
        _ if grammar.one_in(9) => format!("ltrim {key} {} -{}", near * 3, near * 5 + 1),
        _ => format!("llen {key}"),
    };
    words(&line)
}

#[test]
fn long_lists_answer_as_redis_does() {
    each_seed(4, |seed, real| {
        let mut grammar = Grammar::new(seed);
        let mut both = Both::new(real, seed);
        let len = 3000 + grammar.below(12_000);
        for key in KEYS {
            let name = *grammar.pick(&["rpush", "lpush"]);
            let elements = (0..len).map(|_| Bytes::from(grammar.below(len / 4).to_string()));
            let push = [words(&format!("{name} {key}")), elements.collect()].concat();
            compare(&mut both, &[push]);
        }
        both.log.clear();
        while both.log.len() < COMMANDS_PER_RUN {
            let entry = (0..=grammar.below(4)).map(|_| long_command(&mut grammar, len));
            compare(&mut both, &entry.collect::<Vec<_>>());
        }
        check(&mut both);
        // To the last element, from both ends.
        for key in KEYS {
            for name in ["lpop", "rpop"].iter().cycle().take(2 * len) {
                let reply = both.same(&format!("{name} {key} 97"));
                if reply.starts_with(b"*-1") || reply.starts_with(b"_") {
                    break;
                }
            }
            both.same(&format!("exists {key}"));
        }
    });
}

/// Redis 7.2 keeps a list in a listpack of 8 KiB at most, and again when half of that is left. The
/// Redis compared with always answers `quicklist`.
#[test]
fn a_list_has_the_encoding_of_redis_7_2() {
    let mut store = Store::default();
    // Head and end of a listpack take 7 bytes, a string of 4000 bytes 4 more.
    let long = "x".repeat(4000);
    let fits = "x".repeat(8192 - 7 - 4004);
    let some = "x".repeat(200);
    for (line, name) in [
        (format!("rpush l {long}"), "listpack"),
        (format!("rpush l {fits}"), "listpack"),
        (format!("lset l 1 {some}"), "quicklist"),
        ("rpop l".to_owned(), "listpack"),
        (format!("linsert l after {long} {fits}x"), "quicklist"),
        (format!("lset l 1 {some}"), "quicklist"),
        (format!("lpush l {some}"), "quicklist"),
        ("ltrim l 0 1".to_owned(), "quicklist"),
        (format!("lrem l 1 {some}"), "listpack"),
        (format!("rpush l {fits}x"), "quicklist"),
        ("copy l other".to_owned(), "quicklist"),
        ("rename other l".to_owned(), "quicklist"),
        ("lmpop 1 l left count 1".to_owned(), "quicklist"),
        (format!("rpush l {some}"), "quicklist"),
        ("lpop l".to_owned(), "listpack"),
    ] {
        store.run(0, &words(&line), Resp::V2);
        let reply = store.run(0, &words("object encoding l"), Resp::V2);
        let name = format!("{name}\r\n");
        assert!(
            reply.ends_with(name.as_bytes()),
            "{reply:?} after {}",
            &line[..10]
        );
    }
}
