//! `COMMAND DOCS` against a real Redis: the arguments of every command it knows.
//!
//! Summaries are our own. Versions of arguments and `display_text` (new in Redis 7.2) are left out
//! of the comparison.

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
    "hscan",
];

/// Fields that are not compared.
const LEFT_OUT: &[&str] = &["since", "deprecated_since", "display_text"];

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

/// The arguments in a reply to `COMMAND DOCS` of a command.
fn arguments(mut reply: Bytes) -> Option<Value> {
    let Value::Map(commands) = parse(&mut reply) else {
        panic!("no map of commands");
    };
    let (_, Value::Map(docs)) = commands.into_iter().next()? else {
        panic!("no map of documentation");
    };
    let mut fields = docs.into_iter();
    fields
        .find(|(key, _)| key == "arguments")
        .map(|(_, value)| value)
}

fn ours(name: &str) -> Option<Value> {
    let mut out = BytesMut::new();
    let args = words(&format!("command docs {name}"));
    let reply = introspect::command(&args).unwrap();
    reply.encode(Resp::V3, &mut out);
    arguments(out.freeze())
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
