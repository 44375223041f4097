//! Strings that are kept in pieces: against a real Redis, and the pieces that a change writes.
//!
//! How seeds are chosen: `common/both.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::{Bytes, BytesMut};
use common::both::{bulk, each_seed, setting};
use common::real::Connection;
use common::{Store, words};
use coterie_grammar::Rng;
use coterie_redis_compat::{Context, MemView, Resolved, Resp, Txn, execute};
use coterie_types::{GroupId, TableId, UnixMillis};

/// Lengths and offsets about which something changes: a piece, the longest string in a single
/// record that was edited, the longest that was set.
const EDGES: [usize; 6] = [0, 1 << 12, 1 << 16, (1 << 16) + (1 << 12), 1 << 17, 1 << 20];
const KEYS: [&str; 3] = ["a", "b", "c"];

fn near(rng: &mut Rng, edges: &[usize]) -> usize {
    let edge = *rng.pick(edges);
    match rng.below(4) {
        0 => rng.below(1 << 17),
        _ => (edge + rng.below(20)).saturating_sub(10),
    }
}

/// An offset, past a million only now and then: a reply of the whole string would be as long.
fn offset(rng: &mut Rng) -> usize {
    let edges = if rng.below(200) == 0 {
        &EDGES[..]
    } else {
        &EDGES[..5]
    };
    near(rng, edges)
}

fn bytes(rng: &mut Rng) -> Bytes {
    let len = match rng.below(10) {
        0 => rng.below(20_000),
        _ => rng.below(12),
    };
    Bytes::from(rng.bytes(len))
}

fn whole(rng: &mut Rng) -> Bytes {
    let len = match rng.below(6) {
        0 => near(rng, &EDGES),
        1..4 => near(rng, &EDGES[..5]),
        _ => rng.below(50),
    };
    let byte = rng.next() as u8;
    let mut value = vec![byte; len];
    value
        .iter_mut()
        .step_by(997)
        .for_each(|byte| *byte = byte.wrapping_add(1));
    Bytes::from(value)
}

fn with(line: String, last: Bytes) -> Vec<Bytes> {
    [words(&line), vec![last]].concat()
}

fn field(rng: &mut Rng) -> String {
    let kind = rng.pick(&["u8", "i64", "u1", "u63", "i5", "u16"]);
    format!("{kind} {}", offset(rng) * 8 + rng.below(8))
}

fn command(rng: &mut Rng) -> Vec<Bytes> {
    let (key, other) = (*rng.pick(&KEYS), *rng.pick(&KEYS));
    let at = offset(rng);
    match rng.below(40) {
        0..8 => words(&format!(
            "setbit {key} {} {}",
            at * 8 + rng.below(8),
            rng.below(2)
        )),
        8..12 => words(&format!("getbit {key} {}", at * 8 + rng.below(8))),
        12..16 => with(format!("setrange {key} {at}"), bytes(rng)),
        16..19 => with(format!("append {key}"), bytes(rng)),
        19..23 => {
            let end = at + rng.below(9000);
            words(&format!("getrange {key} {at} {end}"))
        }
        23 => words(&format!("getrange {key} -{} -1", rng.below(9000))),
        24..28 => {
            let overflow = rng.pick(&["wrap", "sat", "fail"]);
            let (a, b, c) = (field(rng), field(rng), field(rng));
            let (set, by) = (rng.next() as i8, rng.next() as i32);
            let line = format!("set {a} {set} overflow {overflow} incrby {b} {by} get {c}");
            words(&format!("bitfield {key} {line}"))
        }
        28 => words(&format!(
            "bitfield_ro {key} get {} get {}",
            field(rng),
            field(rng)
        )),
        29 => with(format!("set {key}"), whole(rng)),
        30 => words(&format!("copy {key} {other} replace")),
        31 => words(&format!("rename {key} {other}")),
        32 => words(&format!("getex {key} ex 1000")),
        33 => words(&format!("persist {key}")),
        34 => words(&format!("bitcount {key} {at} -1")),
        35 => words(&format!("bitpos {key} 1 {at}")),
        36 if rng.below(6) == 0 => words(&format!("{} {key}", rng.pick(&["del", "getdel"]))),
        37 => words(&format!("bitop xor {key} {key} {other}")),
        38 => words(&format!("mget {key} {other}")),
        _ => words(&format!("object encoding {key}")),
    }
}

fn both(ours: &mut Store, real: &mut Connection, args: &[Bytes], at: &str) -> Bytes {
    let (a, b) = (ours.run(0, args, Resp::V2), real.run(args));
    let cut = |bytes: &[u8]| bytes[..bytes.len().min(120)].escape_ascii().to_string();
    let shown: Vec<_> = args.iter().map(|arg| cut(arg)).collect();
    let differs = a.iter().zip(&b).position(|(a, b)| a != b);
    let (ours, theirs) = (cut(&a), cut(&b));
    assert!(
        a == b,
        "{at}: {} at {differs:?}\n{ours}\n{theirs}",
        shown.join(" ")
    );
    a
}

#[test]
fn parts_of_long_strings_are_those_of_redis() {
    let mut long = 0;
    let compared = each_seed(6, |seed, real| long += edit(seed, real));
    assert!(!compared || long > 500, "only {long} long strings");
}

/// Edits strings on both sides; returns how often one was long.
fn edit(seed: u64, real: &mut Connection) -> usize {
    let mut rng = Rng::new(seed);
    real.run(&words("flushall"));
    let (mut ours, mut long) = (Store::default(), 0);
    for step in 0..400 {
        let at = format!("DIFFERENTIAL_SEED={seed}, step {step}");
        both(&mut ours, real, &command(&mut rng), &at);
        for key in KEYS {
            let len = both(&mut ours, real, &words(&format!("strlen {key}")), &at);
            long += usize::from(len.len() > b":65536\r\n".len());
            let kept = words(&format!("object encoding {key}"));
            both(&mut ours, real, &kept, &at);
        }
        if step % 8 == 0 {
            let get = words(&format!("get {}", rng.pick(&KEYS)));
            both(&mut ours, real, &get, &at);
        }
    }
    for key in KEYS {
        let dump = words(&format!("dump {key}"));
        let Some(payload) = bulk(&ours.run(0, &dump, Resp::V2)) else {
            continue;
        };
        let restore = [
            words("restore copy 0"),
            vec![payload, Bytes::from("replace")],
        ];
        both(&mut ours, real, &restore.concat(), "restore");
        both(&mut ours, real, &words("get copy"), "restored");
    }
    long
}

/// The same without a Redis: against plain bytes.
#[test]
fn parts_of_long_strings_are_those_of_plain_bytes() {
    let mut rng = Rng::new(setting("DIFFERENTIAL_SEED").unwrap_or(5));
    for _ in 0..10 {
        let mut store = Store::default();
        let mut model: Vec<u8> = Vec::new();
        let grow = |model: &mut Vec<u8>, len: usize| model.resize(model.len().max(len), 0);
        for _ in 0..150 {
            let at = near(&mut rng, &EDGES[..5]);
            let part = bytes(&mut rng);
            match rng.below(6) {
                0 => {
                    store.run(0, &with(format!("setrange k {at}"), part.clone()), Resp::V2);
                    if !part.is_empty() {
                        grow(&mut model, at + part.len());
                        model[at..at + part.len()].copy_from_slice(&part);
                    }
                }
                1 => {
                    store.run(0, &with("append k".to_owned(), part.clone()), Resp::V2);
                    model.extend_from_slice(&part);
                }
                2 | 3 => {
                    let (bit, on) = (rng.below(8), rng.below(2));
                    store.run(
                        0,
                        &words(&format!("setbit k {} {on}", at * 8 + bit)),
                        Resp::V2,
                    );
                    grow(&mut model, at + 1);
                    model[at] = model[at] & !(0x80 >> bit) | (on as u8 * 0x80) >> bit;
                }
                4 if rng.below(20) == 0 => {
                    store.run(0, &with("set k".to_owned(), part.clone()), Resp::V2);
                    model = part.to_vec();
                }
                _ => {
                    let end = at + rng.below(9000);
                    let reply = store.run(0, &words(&format!("getrange k {at} {end}")), Resp::V2);
                    let found = &model[at.min(model.len())..model.len().min(end + 1)];
                    let head = format!("${}\r\n", found.len());
                    let expected = [head.as_bytes(), found, b"\r\n"];
                    assert!(reply == expected.concat(), "getrange k {at} {end}");
                }
            }
        }
        let reply = store.run(0, &words("get k"), Resp::V2);
        let start = reply.len() - 2 - model.len();
        assert!(reply[start..reply.len() - 2] == model[..]);
    }
}

/// The bytes that an entry with these commands changes.
fn changed(view: &mut MemView, next_change: &mut u64, commands: &[Vec<Bytes>]) -> usize {
    let ctx = Context {
        group: GroupId(1),
        now: UnixMillis(1),
        read_now: None,
        seed: 1,
        next_change: *next_change,
    };
    let mut txn = Txn::new(view, ctx);
    for args in commands {
        let mut out = BytesMut::new();
        let command = Resolved::new(TableId(0), args.clone());
        execute(&mut txn, &command, Resp::V2, &mut out).unwrap();
        assert!(!out.starts_with(b"-"), "{out:?}");
    }
    let bytes = txn.changed_bytes();
    let changes = txn.finish().unwrap();
    *next_change = changes.next_change;
    view.apply(&changes);
    bytes
}

#[test]
fn a_change_writes_the_pieces_that_it_touches() {
    let (mut view, mut next) = (MemView::new(), 1);
    let mut run = |lines: &[&str]| {
        let commands: Vec<_> = lines.iter().map(|line| words(line)).collect();
        changed(&mut view, &mut next, &commands)
    };
    let megabyte = format!("set k {}", "x".repeat(1 << 20));
    assert!(
        run(&[&megabyte]) < (1 << 20) + 100,
        "in the record of the key"
    );
    assert!(run(&["setbit k 7 1"]) > 1 << 20, "comes into pieces");
    for line in [
        "setbit k 8000000 1",
        "setbit k 7 0",
        "append k tail",
        "setrange k 500000 abc",
        "bitfield k incrby u16 4000000 1 get u8 0 set u8 100 7",
    ] {
        assert!(run(&[line]) < 2 * 4096 + 200, "{line}: {}", run(&[line]));
    }
    assert!(run(&["setbit k 800 1", "setbit k 801 1", "setbit k 802 1"]) < 4096 + 200);
    assert_eq!(
        run(&["getrange k 500000 500002", "strlen k", "getbit k 7"]),
        0
    );
    let expiry = run(&["expire k 100"]);
    assert!(expiry < 100, "{expiry}: the header alone");
    assert!(run(&["getex k persist"]) < 100, "the header alone");
    assert_eq!(run(&["bitcount k 500000 500002", "bitpos k 1 1000 -1"]), 0);
    // Far beyond the end nothing lies between.
    assert!(run(&["setbit far 4000000000 1"]) < 4096 + 200);
    assert!(run(&["setrange far 400000000 x", "bitfield far get u8 0"]) < 4096 + 200);
    assert!(run(&["del k", "del far"]) < 100);
}

#[test]
fn the_memory_of_a_long_string_is_about_its_length() {
    let mut store = Store::default();
    let mut run = |line: &str| store.run(0, &words(line), Resp::V2);
    let megabyte = "x".repeat(1 << 20);
    run(&format!("set k {megabyte}"));
    run("append k x");
    for line in [
        "memory usage k",
        "memory usage k samples 0",
        "memory usage k samples 1000",
    ] {
        let reply = run(line);
        let bytes = std::str::from_utf8(&reply[1..]).unwrap().trim();
        let bytes: usize = bytes.parse().unwrap();
        assert!(
            (1 << 20..(1 << 20) + 20_000).contains(&bytes),
            "{line}: {bytes}"
        );
    }
}

/// Whatever it grows to, a string that is set short is a single record again.
#[test]
fn a_string_that_is_set_has_no_pieces_of_the_old() {
    let mut store = Store::default();
    let mut run = |line: &str| store.run(0, &words(line), Resp::V2);
    run("setrange k 100000 old");
    run("set k new");
    assert_eq!(run("getrange k 0 -1"), "$3\r\nnew\r\n");
    run("setrange k 70000 x");
    assert_eq!(run("getrange k 0 3"), "$4\r\nnew\0\r\n");
    assert_eq!(run("strlen k"), ":70001\r\n");
    assert_eq!(
        run("bitcount k 3 69999"),
        ":0\r\n",
        "nothing of the old string"
    );
    assert_eq!(run("getrange k 99999 100003"), "$0\r\n\r\n");
    run("setrange k 100010 x");
    assert_eq!(run("bitcount k 70001 100009"), ":0\r\n");
    assert_eq!(run("setnx k other"), ":0\r\n");
    assert_eq!(run("set k 5 xx keepttl"), "+OK\r\n");
    assert_eq!(run("incr k"), ":6\r\n");
}
