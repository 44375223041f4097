//! Memory, time and number: no script takes more than it may, and the engine is usable afterwards.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use bytes::Bytes;
use common::{Scripted, call, engine, fails, run, run_with, shows};
use coterie_lua::{Engine, Host, Level, Limits, Resp, Script, ScriptError, Stop, UnknownCommand};

#[test]
fn memory_is_bounded_and_given_back() {
    let mut engine = engine();
    for text in [
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do t = {t, t} end",
        "local t = {} for i = 1, 1e9 do t[i] = string.rep('x', 1000) .. i end",
        "return string.rep('x', 17 * 1024 * 1024)",
        "local t = {} for i = 1, 1e9 do t[i] = function() return i end end",
        "local t = {} for i = 1, 1e9 do t[i] = coroutine.create(function() end) end",
        "local t = {} for i = 1, 3e4 do t[i] = string.rep('x', 100) .. i end \
         return #string.rep(table.concat(t), 10)",
        "return string.gsub(string.rep('x', 1000000), 'x', string.rep('y', 1000))",
        "return string.format(string.rep('%s', 100), unpack((function() local t = {} \
         for i = 1, 100 do t[i] = string.rep('x', 1000000) end return t end)()))",
        "local t = {1} for i = 1, 40 do t = {t, t} end return cjson.encode(t)",
        "local t = {string.rep('x', 100000)} for i = 1, 14 do t = {t, t} end \
         return cmsgpack.pack(t)",
        "local s = string.rep('x', 1000000) return struct.pack(string.rep('s', 100), \
         unpack((function() local t = {} for i = 1, 100 do t[i] = s end return t end)()))",
    ] {
        println!("{text}");
        let line = fails(&mut engine, text);
        assert!(line.contains("not enough memory"), "{text}: {line}");
        assert_eq!(
            shows(&mut engine, "return {1, 'fine'}"),
            "*2|:1|$4|fine",
            "{text}"
        );
        assert!(engine.memory() <= 17 << 20, "{text}: {}", engine.memory());
    }
    // All of it can be used again.
    assert_eq!(
        shows(&mut engine, "return #string.rep('x', 8 * 1024 * 1024)"),
        ":8388608"
    );
}

#[test]
fn a_lack_of_memory_can_be_caught() {
    let mut engine = engine();
    let text = "local ok, e = pcall(function() local s = 'x' while true do s = s .. s end end) \
                return {tostring(ok), e}";
    assert_eq!(
        shows(&mut engine, text),
        "*2|$5|false|$17|not enough memory"
    );
}

#[test]
fn a_reply_is_bounded() {
    let mut engine = Engine::new(Limits {
        reply: 1_000,
        ..Limits::default()
    });
    let line = fails(
        &mut engine,
        "local t = {1} for i = 1, 60 do t = {t, t} end return t",
    );
    assert_eq!(line, "ERR the reply of the script is too long");
    assert_eq!(shows(&mut engine, "return 1"), ":1");
}

/// A host that stops the script at the third question.
fn stopping(stop: Stop) -> Scripted {
    Scripted {
        stop: Some((2, stop)),
        ..Scripted::default()
    }
}

#[test]
fn a_stop_ends_every_loop() {
    let mut engine = engine();
    for text in [
        "while true do end",
        "repeat until false",
        "while true do pcall(function() while true do end end) end",
        "while true do pcall(error) end",
        "while true do xpcall(function() while true do end end, function() end) end",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        "local co = coroutine.wrap(function() while true do end end) while true do pcall(co) end",
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        "while true do load(function() while true do end end) end",
        "while true do pcall(pcall, pcall, function() while true do end end) end",
        "local function f() return f() end f()",
        "while true do pcall(redis.call, 'ping') end",
        "while true do pcall(string.gsub, 'a', 'a', function() while true do end end) end",
        "while true do pcall(table.sort, {2, 1}, function() while true do end end) end",
        "local t = setmetatable({}, {__index = function() while true do end end}) \
         while true do pcall(function() return t.x end) end",
        // Patterns that would outlive us.
        "string.find(string.rep('a', 50), string.rep('a*', 50) .. 'b')",
        "while true do pcall(string.find, string.rep('a', 50), string.rep('a*', 50) .. 'b') end",
        "string.gsub(string.rep('a', 100000), '.-b', 'x')",
        "string.match(string.rep('(', 100000), string.rep('%b()', 100))",
        "for _ in string.gmatch(string.rep('a', 50), string.rep('a*', 50) .. 'b') do end",
        // Tables that share parts.
        "local t = {} for i = 1, 200 do t = {[2 ^ 40] = 1, t, t} end \
         cjson.encode_sparse_array(false, 0) cjson.encode(t)",
        "local t = {{}, {}} for i = 1, 999 do t = {t} end while true do pcall(cjson.encode, t) end",
    ] {
        println!("{text}");
        let error = run_with(&mut engine, text, &mut stopping(Stop::Killed)).unwrap_err();
        let ScriptError::Stopped {
            stop: Stop::Killed,
            line,
        } = error
        else {
            panic!("{text}: {error:?}");
        };
        let start = "ERR Script killed by user with SCRIPT KILL... script: ";
        assert!(line.starts_with(start), "{text}: {line}");
        assert!(line.ends_with(", on @user_script:1."), "{text}: {line}");
        assert_eq!(shows(&mut engine, "return 1"), ":1", "{text}");
    }
}

#[test]
fn a_stop_has_the_words_of_the_host() {
    let mut engine = engine();
    let stop = Stop::Error("TIMEOUT the script took too long".to_owned());
    let error = run_with(&mut engine, "while true do end", &mut stopping(stop)).unwrap_err();
    assert!(
        error
            .line()
            .starts_with("TIMEOUT the script took too long script: "),
        "{error}"
    );
}

#[test]
fn the_host_is_asked_at_the_rate_it_chose() {
    let mut engine = engine();
    let mut host = Scripted::default();
    run_with(&mut engine, "for i = 1, 100000 do end", &mut host).unwrap();
    assert!((100..=400).contains(&host.questions), "{}", host.questions);
    let mut host = Scripted::default();
    run_with(&mut engine, "return 1", &mut host).unwrap();
    assert_eq!(host.questions, 0);
}

#[test]
fn compiled_scripts_are_bounded_in_number() {
    let mut engine = Engine::new(Limits {
        scripts: 10,
        ..Limits::default()
    });
    for round in 0..2 {
        for number in 0..100 {
            let text = format!("return {number}");
            assert_eq!(shows(&mut engine, &text), format!(":{number}"), "{round}");
        }
    }
    let few = engine.memory();
    for number in 0..2_000 {
        shows(
            &mut engine,
            &format!("local t = {{}} t.field = 'x' return {number}"),
        );
    }
    assert!(
        engine.memory() < few + (1 << 20),
        "{few} -> {}",
        engine.memory()
    );
}

#[test]
fn compiled_scripts_make_room_for_running_ones() {
    let mut engine = Engine::new(Limits {
        memory: 4 << 20,
        ..Limits::default()
    });
    for number in 0..200 {
        let body = format!("local x = '{}' return {number}", "y".repeat(100_000));
        assert_eq!(shows(&mut engine, &body), format!(":{number}"));
    }
}

#[test]
fn a_library_that_loads_for_ever_is_stopped() {
    let load_time = Duration::from_millis(20);
    let mut engine = Engine::new(Limits {
        load_time,
        instructions: 1_000,
        ..Limits::default()
    });
    for body in ["while true do end", "local function f() return f() end f()"] {
        let code = format!("#!lua name=slow\n{body}");
        let line = engine.load_library(code.as_bytes()).unwrap_err().line();
        assert_eq!(
            line,
            "ERR Error registering functions: ERR FUNCTION LOAD timeout"
        );
    }
    let code = b"#!lua name=fine\nredis.register_function('f', function() return 1 end)";
    engine.load_library(code).unwrap();
    let mut host = Scripted::default();
    let reply = engine
        .call("fine", "f", call(&[], Resp::V2), &mut host)
        .unwrap();
    assert_eq!(reply, Bytes::from_static(b":1\r\n"));
}

/// A host with a fault.
struct Faulty;

impl Host for Faulty {
    fn call(&mut self, _args: Vec<Bytes>, _resp: Resp) -> Bytes {
        panic!("a fault of the host")
    }

    fn log(&mut self, _level: Level, _text: &[u8]) {}

    fn acl_check(&mut self, _args: &[Bytes]) -> Result<bool, UnknownCommand> {
        Ok(true)
    }

    fn may_go_on(&mut self) -> Result<(), Stop> {
        Ok(())
    }
}

#[test]
fn a_panic_of_the_host_reaches_the_caller() {
    let mut engine = engine();
    for text in [
        "redis.call('x')",
        "while true do pcall(redis.call, 'x') end",
        "redis.pcall('x')",
    ] {
        let run = AssertUnwindSafe(|| run_with(&mut engine, text, &mut Faulty));
        let payload = panic::catch_unwind(run).unwrap_err();
        assert_eq!(
            payload.downcast_ref::<&str>(),
            Some(&"a fault of the host"),
            "{text}"
        );
        assert_eq!(shows(&mut engine, "return 1"), ":1");
    }
}

#[test]
fn a_script_may_be_large_and_its_arguments_many() {
    let mut engine = engine();
    let body = format!("return #'{}'", "x".repeat(1_000_000));
    assert_eq!(run(&mut engine, &body).unwrap(), ":1000000\r\n");
    let args: Vec<Bytes> = (0..50_000)
        .map(|number| Bytes::from(format!("{number}")))
        .collect();
    let script = Script::new("return {#ARGV, ARGV[50000]}".into());
    let mut host = Scripted::default();
    let reply = engine
        .run(&script, call(&args, Resp::V2), &mut host)
        .unwrap();
    assert_eq!(
        reply,
        Bytes::from_static(b"*2\r\n:50000\r\n$5\r\n49999\r\n")
    );
    let text = "local t = {} for i = 1, 7000 do t[i] = 'value' .. i end \
                return redis.call('rpush', 'k', unpack(t))";
    let mut host = Scripted::default();
    run_with(&mut engine, text, &mut host).unwrap();
    assert!(host.commands[0].ends_with("value7000"));
}
