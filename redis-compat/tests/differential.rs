//! The same random commands to `execute` and to a real Redis; every reply must have the same bytes.
//!
//! How seeds are chosen: `common/both.rs`. The commands come from the syntax of the command table
//! (`coterie-grammar`). How two replies are compared stands in the hints of the row.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};
use common::both::{bulk, each_seed, now, setting, shown};
use common::compare::{both_waited, encodings_agree, same_page, same_scores};
use common::real::{Connection, Server};
use common::{Store, streams, words};
use coterie_grammar::{Choice, Grammar, Hints, ReplyKind, compared_rows};
use coterie_redis_compat::{CommandError, Reply, Resp, lookup, resolve};

const COMMANDS_PER_RUN: usize = 400;

/// The next command: of the table mostly, or internal, or unknown.
fn command(grammar: &mut Grammar, rows: &Choice) -> Vec<Bytes> {
    let interval = |name: &'static str| vec![Bytes::from(name), Bytes::new(), Bytes::new()];
    // Half of the commands of the table fill the keys that the others look at.
    match grammar.below(rows.weight() + 4) {
        0 => [interval("_keys"), vec![grammar.word("pattern")]].concat(),
        1 => interval("_random"),
        2 => interval("_flush"),
        3 => grammar.form("NOSUCHCOMMAND key value"),
        _ => rows
            .pick(grammar)
            .map_or_else(|| words("ping"), |row| grammar.command(row)),
    }
}

#[test]
fn replies_are_those_of_redis() {
    each_seed(40, run);
}

/// Redis keeps the order of small hashes, and so do we; of large ones it keeps none.
#[test]
fn small_hashes_keep_their_order_and_all_keep_their_encoding() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut real = server.connect();
    let mut ours = Store::default();
    let names = ["hset", "hset", "hsetnx", "hdel", "hincrby", "del"];
    let rows: Vec<_> = names
        .iter()
        .filter_map(|name| lookup(name.as_bytes()))
        .collect();
    let mut grammar = Grammar::new(setting("DIFFERENTIAL_SEED").unwrap_or(11));
    let (mut ordered, mut tables) = (0, 0);
    for step in 0..4000 {
        let row = *grammar.pick(&rows);
        let mut args = grammar.command(row);
        if args.len() > 1 {
            args[1] = Bytes::from("h");
        }
        assert_eq!(
            ours.run(0, &args, Resp::V2),
            real.run(&args),
            "{}",
            shown(&args)
        );
        let encoding = words("object encoding h");
        let kept = real.run(&encoding);
        assert_eq!(
            ours.run(0, &encoding, Resp::V2),
            kept,
            "{step}: {}",
            shown(&args)
        );
        tables += usize::from(kept.ends_with(b"hashtable\r\n"));
        if kept.ends_with(b"listpack\r\n") {
            ordered += 1;
            for line in ["hgetall h", "hkeys h", "hvals h"] {
                let args = words(line);
                assert_eq!(
                    ours.run(0, &args, Resp::V2),
                    real.run(&args),
                    "{step}: {line}"
                );
            }
        }
    }
    assert!(ordered > 500 && tables > 50, "{ordered} and {tables}");
}

/// Redis' limits of a packed hash: 512 fields, 64 bytes.
#[test]
fn a_hash_becomes_a_table_where_redis_makes_it_one() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut real = server.connect();
    let mut ours = Store::default();
    let mut both = |args: &[Bytes]| {
        let (a, b) = (ours.run(0, args, Resp::V2), real.run(args));
        assert_eq!(a, b, "{}", shown(&args[..args.len().min(4)]));
        a
    };
    let pairs = |count: usize| {
        let pairs = (0..count).flat_map(|n| [Bytes::from(format!("f{n}")), Bytes::from("v")]);
        [words("hset h"), pairs.collect()].concat()
    };
    let (encoding, delete) = (words("object encoding h"), words("del h"));
    for (count, name) in [(512, "listpack"), (513, "hashtable")] {
        both(&pairs(count));
        assert!(both(&encoding).ends_with(format!("{name}\r\n").as_bytes()));
        both(&delete);
    }
    both(&pairs(512));
    both(&words("hset h one more"));
    both(&encoding);
    both(&words("hdel h f1 f2 f3 one"));
    both(&encoding);
    both(&words("hlen h"));
    both(&delete);
    for len in [64, 65] {
        let long = "x".repeat(len);
        for line in [
            format!("hset h f {long}"),
            format!("hset h {long} v"),
            format!("hincrby h {long} 1"),
        ] {
            both(&words(&line));
            both(&encoding);
            both(&delete);
        }
    }
}

/// The proxy refuses wrong words of a command before it says where its keys are; it must refuse
/// them as the group would.
#[test]
fn what_is_wrong_with_the_words_is_what_running_says() {
    let mut grammar = Grammar::new(setting("DIFFERENTIAL_SEED").unwrap_or(7));
    let rows = Choice::new(compared_rows());
    let of_keys = [
        "ERR no such key",
        "ERR source and destination objects are the same",
    ];
    let of_keys = of_keys.map(|text| line(CommandError::Fixed(text)));
    let mut refused = BTreeSet::new();
    for _ in 0..20_000 {
        let args = command(&mut grammar, &rows);
        let Ok(row) = resolve(&args) else {
            continue;
        };
        if row.keys.is_empty() || row.has_one_key() {
            continue;
        }
        // Nothing is there whose type or value could be wrong.
        let reply = Store::default().run(0, &args, Resp::V2);
        let of_key = of_keys.contains(&reply) || reply.starts_with(b"-NOGROUP ");
        let wrong = reply.starts_with(b"-") && !of_key;
        let validated = row.validate(&args).err().map(line);
        assert_eq!(validated, wrong.then_some(reply), "{}", shown(&args));
        refused.extend(validated.map(|_| row.name));
    }
    let expected = BTreeSet::from([
        "bitop",
        "copy",
        "lcs",
        "lmove",
        "lmpop",
        "zmpop",
        "zunion",
        "zrangestore",
    ]);
    assert!(refused.is_superset(&expected), "{refused:?}");
}

/// Commands that only ever fail, or find nothing, would compare nothing.
#[test]
fn every_command_does_something() {
    let rows = Choice::new(compared_rows());
    let mut calls: BTreeMap<&str, (usize, BTreeSet<Bytes>)> = BTreeMap::new();
    for seed in 0..600 {
        let mut grammar = Grammar::new(seed);
        let mut store = Store {
            now: 1_700_000_000_000,
            ..Store::default()
        };
        for _ in 0..COMMANDS_PER_RUN {
            let args = command(&mut grammar, &rows);
            let reply = store.run(0, &args, Resp::V2);
            let Ok(row) = resolve(&args) else {
                continue;
            };
            if let Some(payload) = payload(&args, &reply) {
                grammar.remember_payload(payload);
            }
            let (count, replies) = calls.entry(row.name).or_default();
            *count += usize::from(!reply.starts_with(b"-"));
            replies.insert(reply);
        }
    }
    for row in compared_rows() {
        let (fine, replies) = &calls[row.name];
        assert!(*fine > 50, "{}: only {fine} calls do something", row.name);
        assert!(replies.len() > 1, "{}: only {replies:?}", row.name);
    }
}

fn line(error: CommandError) -> Bytes {
    let mut out = BytesMut::new();
    Reply::from(error).encode(Resp::V2, &mut out);
    out.freeze()
}

fn run(seed: u64, real: &mut Connection) {
    let mut grammar = Grammar::new(seed);
    let rows = Choice::new(compared_rows());
    let resp = if seed.is_multiple_of(2) {
        Resp::V2
    } else {
        Resp::V3
    };
    real.run(&words(if resp == Resp::V2 {
        "hello 2"
    } else {
        "hello 3"
    }));
    real.run(&words("flushall"));
    let mut ours = Store::default();
    let mut table = 0;
    let mut log = Vec::new();
    while log.len() < COMMANDS_PER_RUN {
        if grammar.one_in(20) {
            table = grammar.below(2) as u32;
        }
        real.run(&[Bytes::from("select"), Bytes::from(table.to_string())]);
        // Several commands in a log entry see the changes of those before them.
        let mut entry: Vec<_> = (0..=grammar.below(4))
            .map(|_| (table, command(&mut grammar, &rows)))
            .collect();
        // What is behind it would meet other members.
        if let Some(at) = entry.iter().position(|(_, args)| is_pop(args)) {
            entry.truncate(at + 1);
        }
        let theirs: Vec<_> = entry.iter().map(|(_, args)| run_real(real, args)).collect();
        let entry: Vec<_> = entry
            .iter()
            .zip(&theirs)
            .map(|((table, args), reply)| (*table, streams::our_form(args, reply)))
            .collect();
        ours.now = now();
        let replies = ours.run_all(&entry, resp);
        log.extend(
            entry
                .iter()
                .map(|(_, args)| format!("[{table}] {}", shown(args))),
        );
        for (((_, args), our_reply), their_reply) in entry.iter().zip(&replies).zip(&theirs) {
            if let Err(why) = agree(args, our_reply, their_reply, table, real, &mut ours) {
                let history = log[log.len().saturating_sub(30)..].join("\n");
                panic!(
                    "DIFFERENTIAL_SEED={seed}: {why}: {}\n  ours: {}\ntheirs: {}\nafter\n{history}",
                    shown(args),
                    our_reply.escape_ascii(),
                    their_reply.escape_ascii()
                );
            }
            if let Some(payload) = payload(args, their_reply) {
                grammar.remember_payload(payload);
            }
            if is_pop(args) && args.len() > 1 {
                let delete = [Bytes::from("del"), args[1].clone()];
                real.run(&delete);
                ours.run(table, &delete, resp);
            }
        }
    }
}

/// Whether the command removes random elements: the servers' keys then differ.
fn is_pop(args: &[Bytes]) -> bool {
    args[0].eq_ignore_ascii_case(b"spop")
}

fn run_real(real: &mut Connection, args: &[Bytes]) -> Bytes {
    if args[0].to_ascii_lowercase().starts_with(b"sort") {
        // SORT takes an `errno` that an earlier command left for its own, and SCAN clears it.
        real.run(&words("scan cursor"));
    }
    let reply = real.run(&real_form(args));
    for args in streams::followers(args, &reply) {
        real.run(&args);
    }
    reply
}

/// The client's form of an internal command.
fn real_form(args: &[Bytes]) -> Vec<Bytes> {
    match args[0].as_ref() {
        b"_keys" => vec![Bytes::from("keys"), args[3].clone()],
        b"_flush" => words("flushdb"),
        b"_random" => words("randomkey"),
        _ => args.to_vec(),
    }
}

/// Whether both replies say the same, by the measure that fits the command.
fn agree(
    args: &[Bytes],
    ours: &Bytes,
    theirs: &Bytes,
    table: u32,
    real: &mut Connection,
    store: &mut Store,
) -> Result<(), &'static str> {
    if ours == theirs {
        return Ok(());
    }
    if both_waited(args, ours, theirs) {
        return Ok(());
    }
    let integers = || Some((integer(ours)?, integer(theirs)?));
    let kind = resolve(args).map(|row| Hints::of(row).reply);
    let fine = match (args[0].as_ref(), kind.unwrap_or_default()) {
        (b"_keys", _) => sorted(ours) == sorted(theirs),
        (b"_random", _) => theirs.starts_with(b"$") && ours.starts_with(b"$"),
        // The clock goes on between the two.
        (name, ReplyKind::Time) => {
            let millis = name.to_ascii_lowercase().starts_with(b"p");
            let slack = if millis { 200 } else { 1 };
            integers().is_some_and(|(a, b)| (a - b).abs() <= slack && a >= 0)
        }
        // See docs/COMPAT.md. Redis measures also a key that is expired and not yet removed.
        (_, ReplyKind::Ours) => {
            integers().is_some() || (is_null(ours) && integer(theirs).is_some())
        }
        (_, ReplyKind::Moments) => streams::agree(ours, theirs),
        (name, ReplyKind::Same) if name.starts_with(b"x") || name.starts_with(b"X") => {
            streams::agree(ours, theirs)
        }
        (_, ReplyKind::AnyOrder) => sorted(ours) == sorted(theirs),
        (_, ReplyKind::Encoding) => encodings_agree(ours, theirs),
        (_, ReplyKind::Random) => shape(ours) == shape(theirs),
        (_, ReplyKind::Scan) => pages_agree(args, ours, theirs) || same_page(ours, theirs),
        (_, ReplyKind::Scores) => same_scores(ours, theirs),
        (_, ReplyKind::Payload) => return dumps_agree(ours, theirs, table, real, store),
        // A Redis that does not know a keyword may refuse the number of words.
        (_, ReplyKind::Same) => {
            let has_newer = resolve(args).is_ok_and(|row| !Hints::of(row).newer.is_empty());
            has_newer && ours.starts_with(b"-") && theirs.starts_with(b"-ERR wrong number")
        }
    };
    if fine {
        Ok(())
    } else {
        Err("the replies differ")
    }
}

/// The heads of all elements but for the lengths of strings.
fn shape(reply: &[u8]) -> Vec<&[u8]> {
    let lines = reply.split(|byte| *byte == b'\n');
    let heads = lines.filter(|line| line.starts_with(b"*") || line.starts_with(b"~"));
    let first = &reply[..1];
    heads
        .chain([first, if is_null(reply) { b"null" } else { b"" }])
        .collect()
}

/// Whether two pages of elements have the same, if they are the first and the last. Else nobody
/// knows which belong on them.
fn pages_agree(args: &[Bytes], ours: &[u8], theirs: &[u8]) -> bool {
    let whole = b"*2\r\n$1\r\n0\r\n";
    let is_first = args
        .get(2)
        .is_some_and(|cursor| cursor == "0" || cursor.is_empty());
    match (ours.strip_prefix(whole), theirs.strip_prefix(whole)) {
        (Some(ours), Some(theirs)) if is_first => sorted(ours) == sorted(theirs),
        _ => ours.starts_with(b"*2") && theirs.starts_with(b"*2"),
    }
}

fn is_null(reply: &[u8]) -> bool {
    reply == b"$-1\r\n" || reply == b"_\r\n"
}

fn integer(reply: &[u8]) -> Option<i64> {
    std::str::from_utf8(reply.strip_prefix(b":")?)
        .ok()?
        .trim()
        .parse()
        .ok()
}

fn sorted(reply: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<_> = reply.split(|byte| *byte == b'\n').collect();
    lines.sort_unstable();
    lines
}

/// The compressed forms may differ: each side must read the other's.
fn dumps_agree(
    ours: &Bytes,
    theirs: &Bytes,
    table: u32,
    real: &mut Connection,
    store: &mut Store,
) -> Result<(), &'static str> {
    let (Some(ours), Some(theirs)) = (bulk(ours), bulk(theirs)) else {
        return Err("only one has a payload");
    };
    let key = Bytes::from("restored");
    let restore = |payload| {
        [
            Bytes::from("restore"),
            key.clone(),
            Bytes::from("0"),
            payload,
            Bytes::from("replace"),
        ]
    };
    let delete = [Bytes::from("del"), key.clone()];
    real.run(&restore(ours));
    store.run(table, &restore(theirs), Resp::V2);
    let mut both = |line: &str| {
        let args = words(line);
        (real.run(&args), store.run(table, &args, Resp::V2))
    };
    let (theirs, ours) = both("object encoding restored");
    let encoding = encodings_agree(&ours, &theirs);
    let (theirs, ours) = both("lrange restored 0 -1");
    let list = (!theirs.starts_with(b"-")).then(|| elements(&theirs) == elements(&ours));
    let mut same = |line: &str| {
        let (a, b) = both(line);
        let is_same = || sorted(elements(&a)) == sorted(elements(&b)) || same_page(&a, &b);
        (!a.starts_with(b"-")).then(is_same)
    };
    let kind = same("type restored");
    // Only one of them is the command for the type.
    let values = [
        list,
        same("get restored"),
        same("hgetall restored"),
        same("smembers restored"),
        same("zscan restored 0 count 99999"),
        same("xrange restored - +"),
    ];
    let agrees = values.into_iter().flatten().eq([true]);
    let groups = same("xinfo groups restored");
    real.run(&delete);
    store.run(table, &delete, Resp::V2);
    if agrees && groups != Some(false) && kind == Some(true) && encoding {
        Ok(())
    } else {
        Err("the payloads are not exchangeable")
    }
}

/// A reply without the head of an array, a map or a set, which depends on the version of the
/// protocol.
fn elements(reply: &[u8]) -> &[u8] {
    match (reply.first(), reply.iter().position(|byte| *byte == b'\n')) {
        (Some(b'*' | b'%' | b'~'), Some(end)) => &reply[end + 1..],
        _ => reply,
    }
}

/// The payload in a reply to `DUMP`.
fn payload(args: &[Bytes], reply: &Bytes) -> Option<Bytes> {
    let row = resolve(args).ok()?;
    (Hints::of(row).reply == ReplyKind::Payload).then(|| bulk(reply))?
}
