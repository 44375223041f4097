//! `COMMAND DOCS` against a real Redis: the arguments and the past of every command that it knows.
//!
//! Summaries and costs are our own. `display_text` (new in Redis 7.2) is left out of the
//! comparison.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::{Buf, Bytes, BytesMut};
use common::real::Server;
use common::words;
use coterie_redis_compat::{ROWS, Resp, introspect};

/// Redis 7.0 does not have them, or documents them without arguments, or in less detail.
const NEWER_THAN_7_0: &[&str] = &[
    "bitop",
    "client|no-touch",
    "client|setinfo",
    "command|getkeys",
    "command|getkeysandflags",
    "coterie",
    "debug",
    "geohash",
    "geopos",
    "geosearch",
    "geosearchstore",
    // Coterie's own option.
    "monitor",
    "zinter",
    "zinterstore",
    "zrank",
    "zrevrank",
    "zunion",
    "zunionstore",
    "hscan",
    "set",
];

/// Fields that are not compared.
const LEFT_OUT: &[&str] = &["display_text"];

/// A reply without the types that do not matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Text(String),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

fn parse(raw: &mut Bytes) -> Value {
    let end = raw.iter().position(|byte| *byte == b'\r').unwrap();
    let line = raw.split_to(end);
    raw.advance(2);
    let text = String::from_utf8(line[1..].to_vec()).unwrap();
    let count = || text.parse::<usize>().unwrap();
    match line[0] {
        b'$' => {
            let bytes = raw.split_to(count());
            raw.advance(2);
            Value::Text(String::from_utf8(bytes.to_vec()).unwrap())
        }
        b'*' | b'~' => Value::List((0..count()).map(|_| parse(raw)).collect()),
        b'%' => {
            let pairs = (0..count()).map(|_| {
                let Value::Text(key) = parse(raw) else {
                    panic!("a key that is no text");
                };
                (key, parse(raw))
            });
            let compared = pairs.filter(|(key, _)| !LEFT_OUT.contains(&key.as_str()));
            Value::Map(compared.collect())
        }
        _ => Value::Text(text),
    }
}

/// The fields in a reply to `COMMAND DOCS` of a command.
fn fields(mut reply: Bytes) -> Vec<(String, Value)> {
    let Value::Map(commands) = parse(&mut reply) else {
        panic!("no map of commands");
    };
    match commands.into_iter().next() {
        None => Vec::new(),
        Some((_, Value::Map(fields))) => fields,
        Some(other) => panic!("no map of documentation: {other:?}"),
    }
}

fn arguments(reply: Bytes) -> Option<Value> {
    let mut fields = fields(reply).into_iter();
    let found = fields.find(|(key, _)| key == "arguments");
    found.map(|(_, value)| value)
}

/// All fields but those that are compared elsewhere, and our own words.
fn about(reply: Bytes) -> Vec<(String, Value)> {
    let elsewhere = ["summary", "complexity", "arguments", "subcommands"];
    let mut fields = fields(reply);
    fields.retain(|(key, _)| !elsewhere.contains(&key.as_str()));
    fields
}

fn our_reply(name: &str) -> Bytes {
    let mut out = BytesMut::new();
    let args = words(&format!("command docs {name}"));
    let reply = introspect::command(&args).unwrap();
    reply.encode(Resp::V3, &mut out);
    out.freeze()
}

fn ours(name: &str) -> Option<Value> {
    arguments(our_reply(name))
}

#[test]
fn versions_are_told_as_redis_tells_them() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut real = server.connect();
    real.run(&words("hello 3"));
    let mut with_history = 0;
    for row in ROWS.iter().filter(|row| !row.is_internal()) {
        let theirs = about(real.run(&words(&format!("command docs {}", row.name))));
        if theirs.is_empty() {
            continue;
        }
        assert_eq!(about(our_reply(row.name)), theirs, "{}", row.name);
        with_history += usize::from(theirs.iter().any(|(key, _)| key == "history"));
    }
    assert!(
        with_history > 50,
        "only {with_history} commands have a history"
    );
}

#[test]
fn arguments_are_documented_as_redis_documents_them() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut real = server.connect();
    real.run(&words("hello 3"));
    let mut compared = 0;
    for row in ROWS.iter().filter(|row| !row.is_internal()) {
        let reply = real.run(&words(&format!("command docs {}", row.name)));
        let is_known = !reply.starts_with(b"%0");
        let theirs = arguments(reply);
        let agrees = ours(row.name) == theirs;
        if NEWER_THAN_7_0.contains(&row.name) {
            assert!(!agrees, "{} agrees: take it off the list", row.name);
        } else if is_known {
            assert_eq!(ours(row.name), theirs, "{}: {}", row.name, row.syntax);
            compared += usize::from(theirs.is_some());
        }
    }
    assert!(compared > 80, "only {compared} commands have arguments");
}

#[test]
fn every_argument_names_its_key_spec() {
    let text = |text: &str| Value::Text(text.to_owned());
    let Some(Value::List(found)) = ours("copy") else {
        panic!("COPY has arguments");
    };
    let specs: Vec<_> = found
        .iter()
        .filter_map(|argument| match argument {
            Value::Map(fields) => fields.iter().find(|(key, _)| key == "key_spec_index"),
            _ => None,
        })
        .map(|(_, index)| index.clone())
        .collect();
    assert_eq!(specs, [text("0"), text("1")]);
}
