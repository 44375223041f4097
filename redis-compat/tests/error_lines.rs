//! Error lines against those a real Redis gives: the words of `CommandError` are Redis' own.
//!
//! Errors that random commands provoke are compared by `differential.rs`; here stand all that a
//! server without further set-up can be made to say, those of the proxy among them.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use bytes::{Bytes, BytesMut};
use common::real::Server;
use common::words;
use coterie_redis_compat::{CommandError as E, Reply, Resp};

fn line(error: E) -> Bytes {
    let mut out = BytesMut::new();
    Reply::from(error).encode(Resp::V2, &mut out);
    out.freeze()
}

fn b(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[test]
fn the_words_are_those_of_redis() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut real = server.connect();
    real.run(&words("rpush list a"));
    real.run(&words("set text abc"));
    let cases: Vec<(&str, E)> = vec![
        ("get list", E::WrongType),
        ("incr text", E::NotAnInteger),
        ("incrbyfloat text 1", E::NotAFloat),
        ("set k v nothing", E::Syntax),
        ("rename none k", E::NoSuchKey),
        ("setrange text -1 x", E::OffsetOutOfRange),
        ("setrange text 536870912 x", E::StringTooLong),
        ("set k v ex 0", E::InvalidExpire("set")),
        ("get", E::WrongArity("get")),
        ("object encoding", E::WrongArity("object|encoding")),
        (
            "object nothing",
            E::UnknownSubcommand(b("nothing"), "object"),
        ),
        (
            "client nothing",
            E::UnknownSubcommand(b("nothing"), "client"),
        ),
        ("nothing a b", E::UnknownCommand(b("nothing"), words("a b"))),
        ("move text 16", E::DbOutOfRange),
        ("select 16", E::DbOutOfRange),
        ("select x", E::NotAnInteger),
        ("select 99999999999", E::IntOutOfRange(i32::MIN, i32::MAX)),
        (
            "move text 99999999999",
            E::IntOutOfRange(i32::MIN, i32::MAX),
        ),
        ("copy text text", E::SameObject),
        ("scan x", E::InvalidCursor),
        ("object freq text", E::NoLfuPolicy),
        ("restore text 0 x", E::BusyKey),
        ("restore k 0 x", E::BadDump),
        ("expire text 1 nothing", E::UnsupportedOption(b("nothing"))),
        ("expire text 1 nx xx", E::ExpireNxAndOthers),
        ("expire text 1 gt lt", E::ExpireGtAndLt),
        ("command getkeys nothing k", E::InvalidCommandSpecified),
        ("command getkeys ping x", E::NoKeyArguments),
        ("command getkeys get a b", E::InvalidArgumentCount),
        ("hello 9", E::NoProto),
        ("hello x", E::ProtoNotANumber),
        ("hello 2 nothing", E::HelloOption(b("nothing"))),
        ("auth wrong", E::NoPasswordSet),
        ("auth nobody wrong", E::WrongPass),
        ("exec", E::ExecWithoutMulti),
        ("discard", E::DiscardWithoutMulti),
        ("client kill 1.2.3.4:5", E::NoSuchClient),
        ("client setname a\u{1}b", E::BadClientName),
        ("config set nothing 1", E::UnknownConfig(b("nothing"))),
        ("client no-evict x", E::Syntax),
        ("wait x 0", E::NotAnInteger),
        ("wait 0 x", E::TimeoutNotAnInteger),
        ("wait 0 -1", E::TimeoutNegative),
    ];
    for (command, error) in cases {
        assert_eq!(line(error), real.run(&words(command)), "{command}");
    }
}

#[test]
fn transactions_are_refused_in_the_words_of_redis() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut real = server.connect();
    real.run(&words("multi"));
    assert_eq!(real.run(&words("multi")), line(E::NestedMulti));
    assert_eq!(real.run(&words("watch k")), line(E::WatchInsideMulti));
    assert_eq!(real.run(&words("get")), line(E::WrongArity("get")));
    assert_eq!(real.run(&words("exec")), line(E::ExecAbort));
}

#[test]
fn strangers_are_refused_in_the_words_of_redis() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut real = server.connect();
    real.run(&words(
        "acl setuser limited on >secret +get +subscribe ~mine resetchannels",
    ));
    real.run(&words("auth limited secret"));
    assert_eq!(
        real.run(&words("set mine 1")),
        line(E::NoPermCommand("set".to_owned()))
    );
    assert_eq!(real.run(&words("get yours")), line(E::NoPermKey));
    assert_eq!(real.run(&words("subscribe yours")), line(E::NoPermChannel));
    let mut admin = server.connect();
    admin.run(&words("config set requirepass secret"));
    let mut stranger = server.connect();
    assert_eq!(stranger.run(&words("get k")), line(E::NoAuth));
    assert_eq!(stranger.run(&words("hello 3")), line(E::NoAuthHello));
    assert_eq!(stranger.run(&words("auth wrong")), line(E::WrongPass));
}

#[test]
fn broken_requests_are_refused_in_the_words_of_redis() {
    let Some(mut server) = Server::start() else {
        return;
    };
    for (request, words) in [
        (&b"*1\r\n:1\r\n"[..], "expected '$', got ':'"),
        (b"*x\r\n", "invalid multibulk length"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"get \"k\r\n", "unbalanced quotes in request"),
    ] {
        let mut real = server.connect();
        real.send(request);
        assert_eq!(real.reply(), line(E::Protocol(words.to_owned())), "{words}");
    }
}
