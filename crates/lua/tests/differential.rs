//! Scripts and libraries whose replies must be those of a real Redis, byte for byte, in RESP2 and
//! RESP3.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::pair::Pair;
use coterie_lua::{Call, Resp, sha1_hex};

#[test]
fn scripts_of_a_file_are_answered_as_by_redis() {
    let Some(mut pair) = Pair::start() else {
        return;
    };
    let mut differences = String::new();
    for line in include_str!("scripts.txt")
        .lines()
        .filter(|line| !line.starts_with("--"))
    {
        differences += &pair.compare(line.as_bytes(), &["one".into(), "2".into()]);
    }
    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn shebang_lines_are_read_as_by_redis() {
    let Some(mut pair) = Pair::start() else {
        return;
    };
    let mut differences = String::new();
    for head in [
        "#!lua",
        "#!lua flags=no-writes",
        "#!lua flags=no-writes,allow-oom",
        "#!lua flags=",
        "#!lua flags=no-writes,",
        "#!lua flags=x",
        "#!lua x=1",
        "#!lua \"flags=no-writes\"",
        "#!",
        "#!LUA",
        "#!lua flags=allow-stale,no-cluster,allow-cross-slot-keys",
        "#!lua 'x",
        "#! lua",
    ] {
        for rest in ["\nreturn 1", "\nerror('x')", "\nsyntax error", "", "\n"] {
            differences += &pair.compare(format!("{head}{rest}").as_bytes(), &[]);
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

/// Libraries, each loaded alone; then the function `f` is called.
const LIBRARIES: [&str; 44] = [
    "#!lua name=a\nredis.register_function('f', function(keys, args) return {keys, args} end)",
    "#!lua name=a\nredis.register_function('f', function(keys, args) return redis.call('ping') end)",
    "#!lua name=a\nredis.register_function('f', function() return redis.call('nope') end)",
    "#!lua name=a\nredis.register_function('f', function() error('x') end)",
    "#!lua name=a\nredis.register_function('f', function() error({err='E x'}) end)",
    "#!lua name=a\nredis.register_function{function_name='f', callback=function() return 1 end, \
     flags={'no-writes'}, description='text'}",
    "#!lua name=a\nredis.register_function{function_name='f', callback=function() return KEYS end}",
    "#!lua name=a\nredis.register_function{function_name='f', callback=function() x = 1 end}",
    "#!lua name=a\nlocal n = 0 redis.register_function('f', function() n = n + 1 return n end)",
    "#!lua name=a\nredis.register_function('f', function() return redis.register_function end)",
    "#!lua name=a\nlocal r = redis redis.register_function('f', function() r.register_function() end)",
    "#!lua name=a\nredis.register_function('f', function() return math.abs(-1) end)",
    "#!lua name=a\nredis.register_function('f', function() return redis.setresp(3) end)",
    "#!lua name=a\nredis.register_function('f', function() return redis.acl_check_cmd('get') end)",
    "redis.register_function('f', function() end)",
    "#!lua name=a",
    "#!lua name=a\n",
    "#!lua name=a\nreturn 1",
    "#!lua\nreturn 1",
    "#!lua name=a name=b\nreturn 1",
    "#!lua name=bad-name\nreturn 1",
    "#!lua name=\nreturn 1",
    "#!lua nome=a\nreturn 1",
    "#!js name=a\nreturn 1",
    "#!lua name=a\nsyntax error",
    "#!lua name=a\nerror('x')",
    "#!lua name=a\nerror({err='E x'})",
    "#!lua name=a\nredis.call('ping')",
    "#!lua name=a\nmath.random()",
    "#!lua name=a\nx = 1",
    "#!lua name=a\nreturn x",
    "#!lua name=a\nredis.x = 1",
    "#!lua name=a\nredis.register_function()",
    "#!lua name=a\nredis.register_function('f')",
    "#!lua name=a\nredis.register_function('f', 1)",
    "#!lua name=a\nredis.register_function({}, function() end)",
    "#!lua name=a\nredis.register_function('f-g', function() end)",
    "#!lua name=a\nredis.register_function('f', function() end)\n\
     redis.register_function('f', function() end)",
    "#!lua name=a\nredis.register_function{function_name=1}",
    "#!lua name=a\nredis.register_function{function_name='f', callback=1}",
    "#!lua name=a\nredis.register_function{function_name='f', callback=function() end, flags=1}",
    "#!lua name=a\nredis.register_function{function_name='f', callback=function() end, flags={'x'}}",
    "#!lua name=a\nredis.register_function{function_name='f', callback=function() end, other=1}",
    "#!lua name=a\nredis.register_function{callback=function() end}",
];

#[test]
fn libraries_are_loaded_and_called_as_by_redis() {
    let Some(mut pair) = Pair::start() else {
        return;
    };
    let mut differences = String::new();
    for code in LIBRARIES {
        pair.engine.flush_libraries();
        pair.clients[0].run(&["FUNCTION".into(), "FLUSH".into()]);
        let load = ["FUNCTION".into(), "LOAD".into(), Bytes::from(code)];
        let theirs = pair.clients[0].run(&load);
        let ours = match pair.engine.load_library(code.as_bytes()) {
            Ok(library) => format!("${}\r\n{}\r\n", library.name.len(), library.name),
            Err(error) => format!("-{}\r\n", error.line()),
        };
        let mut replies = vec![(String::from_utf8_lossy(&theirs).into_owned(), ours)];
        if theirs.starts_with(b"$") {
            let call = ["FCALL", "f", "1", "key", "one", "two"].map(Bytes::from);
            // Twice, as functions keep their variables.
            for _ in 0..2 {
                let theirs = pair.clients[0].run(&call);
                let args = Call {
                    keys: &call[3..4],
                    args: &call[4..],
                    resp: Resp::V2,
                };
                let ours = match pair.engine.call("a", "f", args, &mut pair.host) {
                    Ok(reply) => String::from_utf8_lossy(&reply).into_owned(),
                    Err(error) => format!("-{}\r\n", error.line()),
                };
                replies.push((String::from_utf8_lossy(&theirs).into_owned(), ours));
            }
        }
        for (theirs, ours) in replies.iter().filter(|(theirs, ours)| theirs != ours) {
            differences += &format!("{code}\n  redis: {theirs:?}\n  ours:  {ours:?}\n");
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn a_sha1_is_that_of_redis() {
    let Some(mut pair) = Pair::start() else {
        return;
    };
    for text in ["return 1", "", "return {1,2,3}"] {
        let loaded = pair.clients[0].run(&["SCRIPT".into(), "LOAD".into(), text.into()]);
        assert_eq!(loaded, format!("$40\r\n{}\r\n", sha1_hex(text.as_bytes())));
    }
}
