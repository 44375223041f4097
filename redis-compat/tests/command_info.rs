//! The rows against `COMMAND INFO` of a real Redis: arity, flags, categories, tips, key positions.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::{Bytes, BytesMut};
use common::real::Server;
use common::words;
use coterie_redis_compat::{Command, ROWS, Resp, Topic, introspect};

/// Newer than the server compared with, or ours alone.
fn is_unknown_to_redis_7_0(row: &Command) -> bool {
    let mut version = row
        .since
        .split('.')
        .map(|part| part.parse::<u32>().unwrap());
    let version = (version.next(), version.next());
    version > (Some(7), Some(0)) || row.topic == Topic::Coterie
}

/// Commands that take more words since Redis 7.2, or here.
const LONGER_SINCE_7_0: &[&str] = &["monitor", "zrank", "zrevrank"];

fn encoded(row: &Command) -> Bytes {
    let mut out = BytesMut::new();
    // Subcommands are compared separately: Redis lists them in the order of a hash table.
    introspect::info_alone(row).encode(Resp::V3, &mut out);
    out.freeze()
}

#[test]
fn rows_say_what_redis_says() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut real = server.connect();
    real.run(&words("hello 3"));
    for row in ROWS.iter().filter(|row| !row.is_internal()) {
        let theirs = real.run(&words(&format!("command info {}", row.name)));
        let theirs = theirs.slice(b"*1\r\n".len()..);
        if is_unknown_to_redis_7_0(row) {
            assert_eq!(theirs, "_\r\n", "{} is known to Redis 7.0", row.name);
            continue;
        }
        let ours = encoded(row);
        if LONGER_SINCE_7_0.contains(&row.name) {
            let arity = format!(":{}\r\n", row.arity);
            let before = format!(":{}\r\n", -row.arity);
            let ours = String::from_utf8(ours.to_vec()).unwrap();
            assert_eq!(theirs, ours.replacen(&arity, &before, 1), "{}", row.name);
            continue;
        }
        let (ours, theirs) = if row.is_container() {
            let ours = ours.slice(..ours.len() - b"~0\r\n".len());
            let theirs = theirs.slice(..ours.len().min(theirs.len()));
            (ours, theirs)
        } else {
            (ours, theirs)
        };
        assert_eq!(ours, theirs, "{}", row.name);
    }
}

#[test]
fn keys_are_found_as_redis_finds_them() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut real = server.connect();
    real.run(&words("hello 3"));
    for line in [
        "getkeys get k",
        "getkeys mset a 1 b 2",
        "getkeys mset a 1 b",
        "getkeys bitop or a b c",
        "getkeys object encoding k",
        "getkeys object nothing k",
        "getkeys nothing k",
        "getkeys ping x",
        "getkeys get a b",
        "getkeys copy a b db 1",
        "getkeysandflags set k v",
        "getkeysandflags set k v GET",
        "getkeysandflags bitop or a b c",
        "getkeysandflags bitfield k get u8 0",
        "getkeysandflags bitfield k get u8 0 set u8 0 1",
        "getkeysandflags rename a b",
        "getkeysandflags ping x",
        "list filterby",
        "list filterby bogus x",
        "list filterby module x",
        "list filterby pattern get",
        "list filterby pattern GET",
        "list filterby pattern BitCo[ut]nt",
        "list filterby aclcat nothing",
        "list filterby aclcat @string",
        "info nothing",
        "docs nothing",
    ] {
        let args = words(&format!("command {line}"));
        let mut ours = BytesMut::new();
        let reply = introspect::command(&args).unwrap_or_else(Into::into);
        reply.encode(Resp::V3, &mut ours);
        assert_eq!(ours.freeze(), real.run(&args), "{line}");
    }
}

#[test]
fn help_is_what_redis_says() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut ours = BytesMut::new();
    introspect::help().encode(Resp::V2, &mut ours);
    let theirs = server.connect().run(&words("command help"));
    // Redis 7.2 prints its help, 7.0 "Prints".
    let theirs = String::from_utf8(theirs.to_vec()).unwrap();
    let theirs = theirs.replace("Prints this help.", "Print this help.");
    assert_eq!(ours, theirs);
}
