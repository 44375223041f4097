//! Streams and their groups against a real Redis: small streams, and streams whose elements are
//! records.
//!
//! `DIFFERENTIAL_SEED=n` repeats a run, `DIFFERENTIAL_RUNS=n` makes n other runs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::disallowed_methods,
    reason = "the real server reads the real clock"
)]

mod common;

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use common::compare::encodings_agree;
use common::real::{Connection, Server};
use common::{Store, streams, words};
use coterie_grammar::{Choice, Grammar, compared_rows};
use coterie_redis_compat::{Command, Resp, Topic};

const COMMANDS_PER_RUN: usize = 400;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

fn seeds(runs: u64) -> std::ops::Range<u64> {
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

/// The commands for streams, and a few that move streams whole.
fn rows() -> impl Iterator<Item = &'static Command> {
    let others = [
        "copy",
        "rename",
        "dump",
        "restore",
        "object|encoding",
        "type",
        "persist",
    ];
    compared_rows().filter(move |row| row.topic == Topic::Stream || others.contains(&row.name))
}

struct Pair<'a> {
    real: &'a mut Connection,
    ours: Store,
    resp: Resp,
    log: Vec<String>,
    /// Replies that are no errors, by command.
    fine: BTreeMap<Bytes, usize>,
}

impl<'a> Pair<'a> {
    fn new(real: &'a mut Connection, resp: Resp) -> Self {
        let hello = if resp == Resp::V2 {
            "hello 2"
        } else {
            "hello 3"
        };
        real.run(&words(hello));
        real.run(&words("flushall"));
        Self {
            real,
            ours: Store::default(),
            resp,
            log: Vec::new(),
            fine: BTreeMap::new(),
        }
    }

    /// Runs a command on both; returns the reply of the real server.
    fn run(&mut self, args: &[Bytes]) -> Bytes {
        let theirs = self.real.run(args);
        for args in streams::followers(args, &theirs) {
            self.real.run(&args);
        }
        let args = streams::our_form(args, &theirs);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        self.ours.now = now.as_millis() as u64;
        let ours = self.ours.run(0, &args, self.resp);
        let shown: Vec<_> = args
            .iter()
            .map(|arg| arg.escape_ascii().to_string())
            .collect();
        self.log.push(shown.join(" "));
        let is_dump = args[0].eq_ignore_ascii_case(b"dump") && theirs.starts_with(b"$");
        let is_dump = is_dump && theirs.len() > 20 && ours.starts_with(b"$");
        let agrees = if is_dump {
            self.exchange(&ours, &theirs)
        } else {
            streams::agree(&ours, &theirs) || encodings_agree(&ours, &theirs)
        };
        assert!(
            agrees,
            "  ours: {}\ntheirs: {}\nafter\n{}",
            ours.escape_ascii(),
            theirs.escape_ascii(),
            self.log[self.log.len().saturating_sub(60)..].join("\n"),
        );
        if !theirs.starts_with(b"-") {
            let name = args[0].to_ascii_lowercase();
            *self.fine.entry(Bytes::from(name)).or_default() += 1;
        }
        theirs
    }

    /// Whether each side reads the other's payloads.
    fn exchange(&mut self, ours: &Bytes, theirs: &Bytes) -> bool {
        let payload = |reply: &Bytes| {
            let start = reply.iter().position(|byte| *byte == b'\n').unwrap() + 1;
            reply.slice(start..reply.len() - 2)
        };
        let restore = |payload| [words("restore restored 0"), vec![payload], words("replace")];
        let to_real = self.real.run(&restore(payload(ours)).concat());
        let to_ours = self
            .ours
            .run(0, &restore(payload(theirs)).concat(), self.resp);
        assert_eq!(to_real, to_ours);
        let mut same = true;
        for line in [
            "type restored",
            "xrange restored - +",
            "xinfo groups restored",
            "xinfo stream restored full count 0",
            "get restored",
            "del restored",
        ] {
            let args = words(line);
            let (a, b) = (self.ours.run(0, &args, self.resp), self.real.run(&args));
            let agrees = streams::agree(&a, &b);
            if !agrees {
                eprintln!(
                    "{line}\n  ours: {}\ntheirs: {}",
                    a.escape_ascii(),
                    b.escape_ascii()
                );
            }
            same &= agrees;
        }
        same
    }
}

fn payload(args: &[Bytes], reply: &Bytes) -> Option<Bytes> {
    let start = reply.iter().position(|byte| *byte == b'\n')? + 1;
    let is_dump = args[0].eq_ignore_ascii_case(b"dump") && reply.len() > start + 2;
    is_dump.then(|| reply.slice(start..reply.len() - 2))
}

#[test]
fn streams_are_those_of_redis() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut real = server.connect();
    let rows = Choice::new(rows());
    for seed in seeds(40) {
        eprintln!("DIFFERENTIAL_SEED={seed}");
        let resp = if seed.is_multiple_of(2) {
            Resp::V2
        } else {
            Resp::V3
        };
        let (mut grammar, mut pair) = (Grammar::new(seed), Pair::new(&mut real, resp));
        for _ in 0..COMMANDS_PER_RUN {
            let args = grammar.command(rows.pick(&mut grammar.clone()).unwrap());
            let reply = pair.run(&args);
            if let Some(payload) = payload(&args, &reply) {
                grammar.remember_payload(payload);
            }
        }
    }
}

/// The entries that a long stream has at first.
const LONG: u64 = 3000;

/// Streams of some thousand entries, far beyond the record of a key, and trimmed by their nodes.
#[test]
fn long_streams_are_those_of_redis() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut real = server.connect();
    let rows = Choice::new(rows().filter(|row| row.topic == Topic::Stream || row.name == "dump"));
    for seed in seeds(4) {
        eprintln!("DIFFERENTIAL_SEED={seed}");
        let resp = if seed.is_multiple_of(2) {
            Resp::V2
        } else {
            Resp::V3
        };
        let (mut grammar, mut pair) = (Grammar::new(seed), Pair::new(&mut real, resp));
        fill(&mut grammar, &mut pair, 0);
        grammar.begin_ids(LONG);
        for _ in 0..1000 {
            let row = rows.pick(&mut grammar).unwrap();
            let args = lengthen(grammar.command(row), LONG);
            pair.run(&args);
        }
        for line in ["xrange s - +", "xinfo stream s full count 0", "dump s"] {
            pair.run(&words(line));
        }
    }
}

/// Adds entries, of which some have other fields, and reads most of them.
fn fill(grammar: &mut Grammar, pair: &mut Pair<'_>, first: u64) {
    for ms in first + 1..=first + LONG {
        let mut line = format!("xadd s {ms}-1 field {ms}");
        match grammar.below(20) {
            0 => line += " other value",
            1 => line = format!("xadd s {ms}-1 other {}", "x".repeat(grammar.below(300))),
            _ => {}
        }
        pair.run(&words(&line));
    }
    for line in [
        "xgroup create s g 0",
        "xgroup create s h 700",
        "xreadgroup group g c count 2000 streams s >",
        "xreadgroup group g d count 700 streams s >",
        "xreadgroup group h c count 900 streams s >",
    ] {
        pair.run(&words(line));
    }
}

/// The command with a threshold for trimming that leaves a long stream, and not all of its entries
/// in the reply.
fn lengthen(mut args: Vec<Bytes>, length: u64) -> Vec<Bytes> {
    let is = |word: &Bytes, name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    let number = |word: &Bytes| std::str::from_utf8(word).ok()?.parse::<u64>().ok();
    for at in 1..args.len() {
        let operator = usize::from(args[at] == "~" || args[at] == "=");
        let named = args.get(at.saturating_sub(1 + operator)).cloned();
        let Some((named, threshold)) = named.zip(number(&args[at])) else {
            continue;
        };
        let named = if named == "~" || named == "=" {
            args[at.saturating_sub(2)].clone()
        } else {
            named
        };
        if is(&named, "maxlen") && threshold < 100 {
            args[at] = Bytes::from((length - threshold * 17).to_string());
        } else if is(&named, "minid") && threshold > length {
            args[at] = Bytes::from((threshold - length + 300).to_string());
        }
    }
    args
}
