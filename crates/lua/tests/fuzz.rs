//! Bytes from clients and commands: whatever they are, they give a value or an error, and the
//! engine is usable afterwards.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::cell::RefCell;

use bytes::Bytes;
use common::{Scripted, call, engine};
use coterie_fuzz::fuzz;
use coterie_lua::{Engine, Resp, Script, ScriptError, Stop};

/// Runs a script that is stopped when it runs for long, and checks the engine.
fn run(engine: &mut Engine, body: &[u8], args: &[Bytes], reply: Option<&[u8]>) {
    let mut host = Scripted {
        stop: Some((20, Stop::Killed)),
        ..Scripted::default()
    };
    host.replies.extend(reply.map(Bytes::copy_from_slice));
    let script = Script::new(Bytes::copy_from_slice(body));
    for resp in [Resp::V2, Resp::V3] {
        let result = engine.run(&script, call(args, resp), &mut host);
        // A panic within the interpreter is such an error.
        let panicked = |error: &ScriptError| error.line().contains("started anew");
        assert!(!result.is_err_and(|error| panicked(&error)));
    }
    let one = Script::new("return #string.rep('x', 10)".into());
    let reply = engine.run(&one, call(&[], Resp::V2), &mut Scripted::default());
    assert_eq!(reply, Ok(Bytes::from_static(b":10\r\n")));
}

#[test]
fn replies_of_commands() {
    let engine = RefCell::new(engine());
    let seeds = [
        "*3\r\n:1\r\n$3\r\nabc\r\n*1\r\n+OK\r\n",
        "%1\r\n$1\r\na\r\n,1.5\r\n",
        "~2\r\n#t\r\n_\r\n",
        "=7\r\ntxt:abc\r\n",
        "|1\r\n+a\r\n:1\r\n(123\r\n",
        "-ERR text\r\n",
    ];
    let seeds = seeds.map(|seed| seed.as_bytes().to_vec());
    fuzz(&seeds, |input| {
        let text = b"redis.setresp(3) return {redis.pcall('x'), pcall(redis.call, 'y')}";
        run(&mut engine.borrow_mut(), text, &[], Some(input));
    });
}

#[test]
fn encoded_values() {
    let engine = RefCell::new(engine());
    let seeds = [
        b"{\"a\":[1,2.5e3,null,\"\\u00e9\\ud83d\\ude00\"],\"b\":{}}".to_vec(),
        b"\x93\x01\xa3abc\x82\xa1a\xc0\xa1b\xcb\x40\x09\x21\xfb\x54\x44\x2d\x18".to_vec(),
        b"\xdd\x00\x00\x00\x02\xd9\x01x\xdf\x00\x00\x00\x01\x01\xd3\xff\xff\xff\xff\xff\xff\xff\xff"
            .to_vec(),
        b">!4i3I8c0s<hHlLTfdxbB".to_vec(),
        b"^(%w+)%s*[^a-z]-%b()%f[%a]()%1$".to_vec(),
    ];
    let text = b"local r = {} local function try(...) r[#r + 1] = select(2, pcall(...)) end \
        local a = ARGV[1] try(cjson.decode, a) try(cmsgpack.unpack, a) \
        try(cmsgpack.unpack_limit, a, 2, 1) try(struct.unpack, a, a) try(struct.unpack, a, a, 3) \
        try(struct.pack, a, 1, 2, 3, a, a, 4, 5) try(struct.size, a) try(string.find, a, a) \
        try(string.gsub, a, a, a) try(string.match, ARGV[2], a) try(string.format, a, 1, 'x', 2) \
        try(function() for x in string.gmatch(ARGV[2], a) do end end) try(loadstring, a) \
        try(cjson.encode, a) try(cmsgpack.pack, a) try(redis.error_reply, a) try(redis.sha1hex, a) \
        return r";
    fuzz(&seeds, |input| {
        let args = [Bytes::copy_from_slice(input), "hello (wor(l)d) 12".into()];
        run(&mut engine.borrow_mut(), text, &args, None);
    });
}

#[test]
fn scripts() {
    let engine = RefCell::new(engine());
    let lines = include_str!("scripts.txt")
        .lines()
        .filter(|line| !line.starts_with("--"));
    let seeds: Vec<_> = lines.map(|line| line.as_bytes().to_vec()).collect();
    fuzz(&seeds, |input| {
        run(
            &mut engine.borrow_mut(),
            input,
            &["one".into(), "2".into()],
            None,
        );
    });
}

#[test]
fn libraries() {
    let engine = RefCell::new(engine());
    let seeds = [
        b"#!lua name=a\nredis.register_function('f', function(keys, args) return keys end)"
            .to_vec(),
        b"#!lua name=a\nredis.register_function{function_name='f', callback=function() end, \
          flags={'no-writes'}, description='text'}"
            .to_vec(),
    ];
    fuzz(&seeds, |input| {
        let mut engine = engine.borrow_mut();
        let Ok(library) = engine.load_library(input) else {
            return;
        };
        for function in &library.functions {
            let mut host = Scripted {
                stop: Some((20, Stop::Killed)),
                ..Scripted::default()
            };
            let call = call(&[], Resp::V3);
            let result = engine.call(&library.name, &function.name, call, &mut host);
            assert_ne!(result, Err(ScriptError::NoFunction));
        }
        assert!(engine.unload_library(&library.name));
    });
}
