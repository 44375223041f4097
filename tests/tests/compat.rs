//! Sends the same commands to Coterie and to a real redis-server, and compares replies byte by byte
//! over both protocols. `COTERIE_COMPAT_SEQUENCES` is the number of random sequences.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use coterie_grammar::ReplyKind;
use coterie_tests::cluster::{Builder, Cluster};
use coterie_tests::compat::grammar::{self, Spread};
use coterie_tests::compat::{Pair, Protocol};
use coterie_tests::connection::Connection;
use coterie_tests::liar::{Liar, Lie};
use coterie_tests::redis_server::{self, RedisServer};
use coterie_tests::resp::Reply;
use coterie_tests::rng::{self, Rng};

const WITHIN: Duration = Duration::from_secs(30);

const DIFFERENCES_MAX: usize = 8;

const SEQUENCE_LEN: usize = 60;

fn sequences() -> usize {
    let given = std::env::var("COTERIE_COMPAT_SEQUENCES").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(40)
}

/// Starts a redis-server; prints SKIPPED and returns `None` if this machine has none.
fn redis(dir: &tempfile::TempDir, name: &str) -> Option<RedisServer> {
    if !redis_server::is_installed() {
        eprintln!("SKIPPED: no redis-server on this machine");
        return None;
    }
    Some(RedisServer::start(dir.path(), name, &[]).expect("redis-server starts"))
}

/// Runs random sequences. Panics in the end with the differences, one per command, at most
/// `DIFFERENCES_MAX`.
fn compare(redis: &RedisServer, judged: &str, spread: Spread, sequences: usize) {
    let mut rng = Rng::new(rng::seed());
    let mut differences = BTreeMap::new();
    for round in 0..sequences {
        let protocol = [Protocol::Resp2, Protocol::Resp3][round % 2];
        let pair = Pair {
            right: redis.addr(),
            judged: judged.to_owned(),
            protocol,
            pipeline_max: [1, 16][round / 2 % 2],
        };
        let sequence = grammar::sequence(&mut rng, SEQUENCE_LEN, spread);
        if let Some(difference) = pair.compare(&sequence).expect("both answer") {
            let command = difference.command().to_owned();
            differences.entry(command).or_insert(difference.to_string());
        }
        if differences.len() >= DIFFERENCES_MAX {
            break;
        }
    }
    let all: Vec<String> = differences.into_values().collect();
    assert!(all.is_empty(), "{}", all.join("\n"));
}

fn compare_cluster(builder: Builder, spread: Spread) {
    let dir = tempfile::tempdir().expect("a folder");
    let Some(redis) = redis(&dir, "redis") else {
        return;
    };
    let cluster = builder.start().expect("starts");
    compare(&redis, &cluster.proxy(), spread, sequences());
    scan_finds_every_key_once(&cluster.proxy());
    dumps_are_exchanged(&redis.addr(), &cluster.proxy());
}

#[test]
fn random_commands_in_one_group_answer_as_redis_does() {
    compare_cluster(Cluster::builder(), Spread::OneGroup);
}

#[test]
fn random_commands_over_several_groups_answer_as_redis_does() {
    compare_cluster(
        Cluster::builder().split_at(&["b", "d", "f"]),
        Spread::ManyGroups,
    );
}

/// SCAN finds keys in several ranges, each exactly once, with pages of any size.
fn scan_finds_every_key_once(addr: &str) {
    let mut connection = Connection::open(addr, WITHIN).expect("connects");
    connection.call(&["FLUSHALL"]).expect("answers");
    let keys: BTreeSet<String> = (0..500).map(|n| format!("{:02x}:{n}", n % 256)).collect();
    for key in &keys {
        connection.call(&["SET", key, "x"]).expect("answers");
    }
    for count in ["1", "7", "100", "10000"] {
        let mut found = Vec::new();
        let mut cursor = "0".to_owned();
        loop {
            let page = connection
                .call(&["SCAN", &cursor, "COUNT", count])
                .expect("answers");
            let [next, names] = page.elements() else {
                panic!("SCAN answered {page:?}")
            };
            found.extend(names.elements().iter().filter_map(Reply::text));
            cursor = next.text().expect("a cursor");
            assert!(found.len() <= keys.len(), "a key is found twice");
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(found.len(), keys.len(), "pages of {count}");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), keys);
    }
}

/// Each server restores the dumps of the other.
fn dumps_are_exchanged(one: &str, other: &str) {
    let values = [
        "",
        "12",
        "-70000",
        "hello",
        &"a".repeat(300),
        &"text, again. ".repeat(2_000),
    ];
    for (from, to) in [(one, other), (other, one)] {
        let mut from = Connection::open(from, WITHIN).expect("connects");
        let mut to = Connection::open(to, WITHIN).expect("connects");
        for value in values {
            from.call(&["SET", "dumped", value]).expect("answers");
            let Reply::Bulk(payload) = from.call(&["DUMP", "dumped"]).expect("answers") else {
                panic!("no payload of {value:.20}");
            };
            let command: [&[u8]; 5] = [b"RESTORE", b"restored", b"0", &payload, b"REPLACE"];
            assert_eq!(
                to.call(&command).expect("answers"),
                Reply::Simple("OK".to_owned())
            );
            let found = to.call(&["GET", "restored"]).expect("answers");
            assert_eq!(found, Reply::Bulk(value.as_bytes().to_vec()));
        }
    }
}

/// Two redis-servers must agree; otherwise the grammar makes commands with random replies.
#[test]
fn two_redis_servers_answer_alike() {
    let dir = tempfile::tempdir().expect("a folder");
    let (Some(one), Some(other)) = (redis(&dir, "one"), redis(&dir, "other")) else {
        return;
    };
    compare(&one, &other.addr(), Spread::OneGroup, 200);
}

#[test]
fn one_wrong_digit_is_found() {
    let dir = tempfile::tempdir().expect("a folder");
    let (Some(one), Some(other)) = (redis(&dir, "one"), redis(&dir, "other")) else {
        return;
    };
    let liar = Liar::start(Lie::WrongReply, &other.addr()).expect("starts");
    let addr = liar.addr();
    let outcome = std::panic::catch_unwind(|| compare(&one, &addr, Spread::OneGroup, 20));
    assert!(outcome.is_err(), "the liar was believed");
}

/// A command without a form would never be compared.
#[test]
fn every_command_on_keys_has_a_form() {
    // Names with a leading underscore are internal to proxy and group. The replies of the exempt
    // commands depend on chance, on the server's memory, or on another table.
    const EXEMPT: &[&str] = &[
        "randomkey",
        "memory",
        "move",
        "copy",
        "sort",
        "wait",
        "waitaof",
    ];
    let made: BTreeSet<_> = grammar::commands()
        .map(|row| row.name.split('|').next().unwrap_or_default())
        .collect();
    let known = coterie_redis_compat::COMMANDS.iter();
    let is_compared_elsewhere = |row: &&coterie_redis_compat::Command| {
        let reply = coterie_grammar::Hints::of(row).reply;
        row.topic == coterie_redis_compat::Topic::Stream
            || matches!(reply, ReplyKind::Random | ReplyKind::Scan)
    };
    let known = known.filter(|row| !is_compared_elsewhere(row));
    for command in known.filter(|row| coterie_grammar::is_known(row)) {
        let on_keys = matches!(command.run, coterie_redis_compat::Run::Group(_));
        let covered = made.contains(command.name);
        assert!(
            !on_keys || covered || command.name.starts_with('_') || EXEMPT.contains(&command.name),
            "no form for {}",
            command.name
        );
    }
}
