//! Streams and their groups against a real Redis: small streams, and streams whose elements are
//! records.
//!
//! How seeds are chosen: `common/both.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::both::{Both, bulk, each_seed};
use common::compare::encodings_agree;
use common::{streams, words};
use coterie_grammar::{Choice, Grammar, compared_rows};
use coterie_redis_compat::{Command, Topic};

const COMMANDS_PER_RUN: usize = 400;

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

/// Runs a command on both; returns the reply of the real server.
fn compare(both: &mut Both<'_>, args: &[Bytes]) -> Bytes {
    let theirs = both.real.run(args);
    for args in streams::followers(args, &theirs) {
        both.real.run(&args);
    }
    let args = streams::our_form(args, &theirs);
    let ours = both.run_ours(std::slice::from_ref(&args)).remove(0);
    let replies = [ours, theirs];
    let is_dump = args[0].eq_ignore_ascii_case(b"dump");
    if is_dump && bulk(&replies[0]).is_some() && bulk(&replies[1]).is_some() {
        exchange(both, &replies);
    } else {
        let [ours, theirs] = &replies;
        let agree = streams::agree(ours, theirs) || encodings_agree(ours, theirs);
        both.expect(agree, ours, theirs);
    }
    let [_, theirs] = replies;
    theirs
}

/// Each side reads the other's payload.
fn exchange(both: &mut Both<'_>, dumps: &[Bytes; 2]) {
    both.exchange_replies(dumps);
    for line in [
        "type restored",
        "xrange restored - +",
        "xinfo groups restored",
        "xinfo stream restored full count 0",
        "get restored",
        "del restored",
    ] {
        let [ours, theirs] = both.run(&words(line));
        both.expect(streams::agree(&ours, &theirs), &ours, &theirs);
    }
}

fn payload(args: &[Bytes], reply: &Bytes) -> Option<Bytes> {
    let is_dump = args[0].eq_ignore_ascii_case(b"dump");
    is_dump.then(|| bulk(reply))?
}

#[test]
fn streams_are_those_of_redis() {
    let rows = Choice::new(rows());
    each_seed(40, |seed, real| {
        let (mut grammar, mut both) = (Grammar::new(seed), Both::new(real, seed));
        for _ in 0..COMMANDS_PER_RUN {
            let args = grammar.command(rows.pick(&mut grammar.clone()).unwrap());
            let reply = compare(&mut both, &args);
            if let Some(payload) = payload(&args, &reply) {
                grammar.remember_payload(payload);
            }
        }
    });
}

/// The entries that a long stream has at first.
const LONG: u64 = 3000;

/// Streams of some thousand entries, far beyond the record of a key, and trimmed by their nodes.
#[test]
fn long_streams_are_those_of_redis() {
    let rows = Choice::new(rows().filter(|row| row.topic == Topic::Stream || row.name == "dump"));
    each_seed(4, |seed, real| {
        let (mut grammar, mut both) = (Grammar::new(seed), Both::new(real, seed));
        fill(&mut grammar, &mut both, 0);
        grammar.begin_ids(LONG);
        for _ in 0..1000 {
            let row = rows.pick(&mut grammar).unwrap();
            let args = lengthen(grammar.command(row), LONG);
            compare(&mut both, &args);
        }
        for line in ["xrange s - +", "xinfo stream s full count 0", "dump s"] {
            compare(&mut both, &words(line));
        }
    });
}

/// Adds entries, of which some have other fields, and reads most of them.
fn fill(grammar: &mut Grammar, both: &mut Both<'_>, first: u64) {
    for ms in first + 1..=first + LONG {
        let mut line = format!("xadd s {ms}-1 field {ms}");
        match grammar.below(20) {
            0 => line += " other value",
            1 => line = format!("xadd s {ms}-1 other {}", "x".repeat(grammar.below(300))),
            _ => {}
        }
        compare(both, &words(&line));
    }
    for line in [
        "xgroup create s g 0",
        "xgroup create s h 700",
        "xreadgroup group g c count 2000 streams s >",
        "xreadgroup group g d count 700 streams s >",
        "xreadgroup group h c count 900 streams s >",
    ] {
        compare(both, &words(line));
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
