//! Lists against a real Redis: the same random commands to both, on short lists and on lists that
//! are spread over many records; every reply must have the same bytes.
//!
//! A run is a seed: `DIFFERENTIAL_SEED=n` repeats a run, `DIFFERENTIAL_RUNS=n` makes n other runs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::disallowed_methods,
    reason = "the real server reads the real clock"
)]

mod common;

use std::time::UNIX_EPOCH;

use bytes::Bytes;
use common::compare::both_waited;
use common::real::{Connection, Server};
use common::{Store, words};
use coterie_grammar::{Choice, Grammar, compared_rows};
use coterie_redis_compat::{Resp, Topic};

const COMMANDS_PER_RUN: usize = 400;
const KEYS: [&str; 3] = ["l", "l:1", "{tag}l"];

/// The seeds of this call: `runs` of them unless the environment says otherwise.
fn seeds(runs: u64) -> std::ops::Range<u64> {
    let setting = |name: &str| std::env::var(name).ok().map(|value| value.parse().unwrap());
    match setting("DIFFERENTIAL_SEED") {
        Some(seed) => seed..seed + 1,
        None => match setting("DIFFERENTIAL_RUNS") {
            Some(runs) => {
                let first = UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
                first..first + runs
            }
            None => 0..runs,
        },
    }
}

/// Both servers, and what was sent to them.
struct Both<'a> {
    real: &'a mut Connection,
    ours: Store,
    resp: Resp,
    seed: u64,
    log: Vec<String>,
}

impl<'a> Both<'a> {
    fn new(real: &'a mut Connection, seed: u64) -> Self {
        let (resp, hello) = match seed % 2 {
            0 => (Resp::V2, "hello 2"),
            _ => (Resp::V3, "hello 3"),
        };
        real.run(&words(hello));
        real.run(&words("flushall"));
        Self {
            real,
            ours: Store::default(),
            resp,
            seed,
            log: Vec::new(),
        }
    }

    fn run(&mut self, args: &[Bytes]) -> Bytes {
        let entry = [(0, args.to_vec())];
        self.run_all(&entry).remove(0)
    }

    /// Runs commands as a log entry.
    fn run_all(&mut self, entry: &[(u32, Vec<Bytes>)]) -> Vec<Bytes> {
        self.ours.now = UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
        let ours = self.ours.run_all(entry, self.resp);
        for ((_, args), ours) in entry.iter().zip(&ours) {
            let theirs = self.real.run(args);
            let shown = shown(args);
            assert!(
                *ours == theirs || both_waited(args, ours, &theirs),
                "DIFFERENTIAL_SEED={}: {shown}\n  ours: {}\ntheirs: {}\nafter\n{}",
                self.seed,
                start_of(ours),
                start_of(&theirs),
                self.log[self.log.len().saturating_sub(30)..].join("\n")
            );
            self.log.push(shown);
        }
        ours
    }

    /// Compares whole lists, and payloads both ways.
    fn check(&mut self) {
        for key in KEYS {
            let all = self.run(&words(&format!("lrange {key} 0 -1")));
            if all.starts_with(b"*0") || all.starts_with(b"-") {
                continue;
            }
            let dump = words(&format!("dump {key}"));
            let ours = bulk(&self.ours.run(0, &dump, Resp::V2));
            let theirs = bulk(&self.real.run(&dump));
            let restore = |payload| [words("restore copied 0"), vec![payload]].concat();
            assert_eq!(self.real.run(&restore(ours)), "+OK\r\n");
            let reply = self.ours.run(0, &restore(theirs), self.resp);
            assert_eq!(reply, "+OK\r\n", "{}", self.seed);
            assert!(self.run(&words("lrange copied 0 -1")) == all, "{key}");
            self.run(&words("del copied"));
        }
    }
}

fn bulk(reply: &Bytes) -> Bytes {
    let start = reply.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    reply.slice(start..reply.len() - 2)
}

fn shown(args: &[Bytes]) -> String {
    let words = args.iter().take(8).map(|arg| start_of(arg));
    words.collect::<Vec<_>>().join(" ")
}

fn start_of(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(200)];
    format!("\"{}\"", start.escape_ascii())
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
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut real = server.connect();
    let rows = rows();
    for seed in seeds(20) {
        let mut grammar = Grammar::new(seed).without("DB");
        let mut both = Both::new(&mut real, seed);
        while both.log.len() < COMMANDS_PER_RUN {
            let entry: Vec<_> = (0..=grammar.below(4))
                .filter_map(|_| rows.pick(&mut grammar))
                .collect();
            let entry = entry.into_iter().map(|row| (0, grammar.command(row)));
            let entry: Vec<_> = entry.collect();
            both.run_all(&entry);
        }
        both.check();
    }
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
    line.split(' ')
        .map(|word| Bytes::copy_from_slice(word.as_bytes()))
        .collect()
}

#[test]
fn long_lists_answer_as_redis_does() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut real = server.connect();
    for seed in seeds(4) {
        let mut grammar = Grammar::new(seed);
        let mut both = Both::new(&mut real, seed);
        let len = 3000 + grammar.below(12_000);
        for key in KEYS {
            let name = *grammar.pick(&["rpush", "lpush"]);
            let elements = (0..len).map(|_| Bytes::from(grammar.below(len / 4).to_string()));
            let push = [words(&format!("{name} {key}")), elements.collect()].concat();
            both.run(&push);
        }
        both.log.clear();
        while both.log.len() < COMMANDS_PER_RUN {
            let entry = (0..=grammar.below(4)).map(|_| (0, long_command(&mut grammar, len)));
            let entry: Vec<_> = entry.collect();
            both.run_all(&entry);
        }
        both.check();
        // To the last element, from both ends.
        for key in KEYS {
            for name in ["lpop", "rpop"].iter().cycle().take(2 * len) {
                let reply = both.run(&words(&format!("{name} {key} 97")));
                if reply.starts_with(b"*-1") || reply.starts_with(b"_") {
                    break;
                }
            }
            both.run(&words(&format!("exists {key}")));
        }
    }
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
