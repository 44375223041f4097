//! Events of keys: those that a real Redis tells for the same commands, and none when nobody asked.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::disallowed_methods,
    reason = "the real server reads the real clock"
)]

mod common;

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use common::real::{Connection, Server};
use common::{Store, streams, words};
use coterie_grammar::{Choice, Grammar, compared_rows};
use coterie_redis_compat::{Classes, Resp};

const SEEDS: u64 = 24;
const COMMANDS_PER_RUN: usize = 400;
/// All classes of changes, by both kinds of channels.
const ALL: &[u8] = b"KEAn";

/// Commands that create a consumer on their way.
const CREATES_CONSUMERS: [&[u8]; 3] = [b"xreadgroup", b"xclaim", b"xautoclaim"];

/// The names of events by table and key, in order.
type Told = BTreeMap<(String, Bytes), Vec<String>>;

/// A subscriber of a real Redis.
struct Listener {
    connection: Connection,
    count: u64,
}

impl Listener {
    fn new(mut connection: Connection) -> Self {
        connection.run(&words("psubscribe __keyspace@* sync"));
        connection.reply();
        Self {
            connection,
            count: 0,
        }
    }

    /// The events since the last call, up to the marker that `real` publishes now.
    fn take(&mut self, real: &mut Connection) -> Told {
        self.count += 1;
        let marker = Bytes::from(self.count.to_string());
        real.run(&[Bytes::from("publish"), Bytes::from("sync"), marker.clone()]);
        let mut told = Told::new();
        loop {
            let message = self.connection.reply();
            let words = strings(&message);
            let [_, _, channel, payload] = &words[..] else {
                panic!("{}", message.escape_ascii());
            };
            if &channel[..] == b"sync" {
                assert_eq!(*payload, marker);
                return told;
            }
            let at = channel.windows(3).position(|part| part == b"__:").unwrap();
            let table = String::from_utf8_lossy(&channel[b"__keyspace@".len()..at]).into_owned();
            let name = String::from_utf8_lossy(payload).into_owned();
            add(&mut told, table, channel.slice(at + 3..), name);
        }
    }
}

fn add(told: &mut Told, table: String, key: Bytes, name: String) {
    // Redis meets expired keys at other moments.
    if name != "expired" {
        told.entry((table, key)).or_default().push(name);
    }
}

/// The bulk strings of an array.
fn strings(reply: &Bytes) -> Vec<Bytes> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(end) = reply[at..].windows(2).position(|pair| pair == b"\r\n") {
        let line = &reply[at..at + end];
        at += end + 2;
        if line.first() == Some(&b'$') {
            let len: usize = std::str::from_utf8(&line[1..]).unwrap().parse().unwrap();
            found.push(reply.slice(at..at + len));
            at += len + 2;
        }
    }
    found
}

fn ours(store: &mut Store) -> Told {
    let mut told = Told::new();
    for event in std::mem::take(&mut store.events) {
        let table = event.table.to_string();
        add(&mut told, table, event.key, event.name.into_owned());
    }
    told
}

#[test]
fn random_commands_tell_the_events_that_redis_tells() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut real = server.connect();
    let config = words("config set notify-keyspace-events");
    real.run(&[config, vec![Bytes::from_static(ALL)]].concat());
    let mut listener = Listener::new(server.connect());
    let mut compared = BTreeMap::<String, usize>::new();
    let mut differences = Vec::new();
    for seed in 0..SEEDS {
        let found = (&mut compared, &mut differences);
        run(seed, &mut real, &mut listener, found);
    }
    let first = &differences[..differences.len().min(40)];
    assert!(first.is_empty(), "ours, then Redis':\n{}", first.join("\n"));
    // A comparison of nothing would say nothing.
    for name in [
        "set",
        "del",
        "expire",
        "rename_to",
        "copy_to",
        "move_to",
        "restore",
        "lpush",
        "lpop",
        "sadd",
        "spop",
        "zadd",
        "zincr",
        "zpopmin",
        "hset",
        "hdel",
        "xadd",
        "xgroup-create",
        "xgroup-createconsumer",
        "setbit",
        "pfadd",
        "incrby",
        "append",
        "new",
    ] {
        let times = compared.get(name).copied().unwrap_or(0);
        assert!(times > 0, "{name} was never told: {compared:?}");
    }
}

fn run(
    seed: u64,
    real: &mut Connection,
    listener: &mut Listener,
    (compared, differences): (&mut BTreeMap<String, usize>, &mut Vec<String>),
) {
    let mut grammar = Grammar::new(seed);
    let rows = Choice::new(compared_rows());
    real.run(&words("flushall"));
    let mut store = Store {
        collects: Classes::parse(ALL).unwrap(),
        ..Store::default()
    };
    let mut table = 0;
    for _ in 0..COMMANDS_PER_RUN {
        if grammar.one_in(20) {
            table = grammar.below(2) as u32;
        }
        real.run(&[Bytes::from("select"), Bytes::from(table.to_string())]);
        let Some(row) = rows.pick(&mut grammar) else {
            continue;
        };
        let args = grammar.command(row);
        listener.take(real);
        let reply = real.run(&args);
        let mut theirs = listener.take(real);
        for args in streams::followers(&args, &reply) {
            real.run(&args);
        }
        store.now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis() as u64;
        store.events.clear();
        store.run(table, &streams::our_form(&args, &reply), Resp::V2);
        let mut ours = ours(&mut store);
        if CREATES_CONSUMERS
            .iter()
            .any(|name| args[0].eq_ignore_ascii_case(name))
        {
            // Redis 7.2 creates a consumer that reads nothing, too; 7.0 does not.
            for told in [&mut ours, &mut theirs] {
                told.retain(|_, names| {
                    names.retain(|name| name != "xgroup-createconsumer");
                    !names.is_empty()
                });
            }
        }
        let line = args.join(&b' ');
        if ours != theirs {
            let line = line.escape_ascii();
            differences.push(format!("{seed} [{table}] {line}\n  {ours:?}\n  {theirs:?}"));
        }
        for name in ours.into_values().flatten() {
            *compared.entry(name).or_default() += 1;
        }
        if args[0].eq_ignore_ascii_case(b"spop") && args.len() > 1 {
            // Other members may be left.
            let delete = [Bytes::from("del"), args[1].clone()];
            real.run(&delete);
            store.run(table, &delete, Resp::V2);
        }
    }
}

/// A replica that collects events must come to the same state as one that does not.
#[test]
fn events_are_no_part_of_the_state() {
    let rows = Choice::new(compared_rows());
    for seed in 0..40 {
        let mut grammar = Grammar::new(seed);
        let (mut collecting, mut other) = (Store::default(), Store::default());
        collecting.collects = Classes::parse(b"KEAnm").unwrap();
        let mut told = 0;
        for step in 0..300 {
            let Some(row) = rows.pick(&mut grammar) else {
                continue;
            };
            let args = grammar.command(row);
            collecting.now = 1_700_000_000_000 + step * 1000;
            other.now = collecting.now;
            let replies = [&mut collecting, &mut other].map(|store| store.run(0, &args, Resp::V2));
            assert_eq!(replies[0], replies[1]);
            assert_eq!(collecting.changes, other.changes, "{seed} {step}");
            told += collecting.events.len();
            assert!(other.events.is_empty());
        }
        assert!(told > 50, "{told}");
    }
}

#[test]
fn a_command_that_is_taken_back_tells_nothing() {
    let mut store = Store {
        collects: Classes::parse(b"KEA").unwrap(),
        ..Store::default()
    };
    store.now = 1_700_000_000_000;
    store.run(0, &words("set a x"), Resp::V2);
    store.run(0, &words("lpush l 1"), Resp::V2);
    store.events.clear();
    for line in ["incr a", "lpush a 1", "set b x ex 0", "lmove l a left left"] {
        let reply = store.run(0, &words(line), Resp::V2);
        assert!(reply.starts_with(b"-"), "{line}: {}", reply.escape_ascii());
    }
    assert_eq!(store.events, []);
    store.run(0, &words("get absent"), Resp::V2);
    assert_eq!(store.events, [], "m was not asked for");
    store.collects = Classes::parse(b"Em").unwrap();
    store.run(0, &words("get absent"), Resp::V2);
    assert_eq!(store.events[0].name, "keymiss");
}
