//! Escapes that were known in Redis' Lua, and their like: each ends in an error, or has no effect
//! on scripts that follow.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{engine, fails, run, shows};

/// The globals of scripts, but for `KEYS` and `ARGV`.
const GLOBALS: &str = "_G _VERSION assert bit cjson cmsgpack collectgarbage coroutine error gcinfo \
                       getmetatable ipairs load loadstring math next os pairs pcall rawequal rawget \
                       rawset redis select server setmetatable string struct table tonumber \
                       tostring type unpack xpcall";

#[test]
fn scripts_see_these_globals_and_no_others() {
    let mut engine = engine();
    let text = "local names = {} for name in pairs(_G) do names[#names + 1] = name end \
                table.sort(names) return table.concat(names, ' ')";
    let shown = shows(&mut engine, text);
    let shown = shown.split('|').nth(1).unwrap();
    assert_eq!(shown, format!("ARGV KEYS {GLOBALS}"));
    assert_eq!(
        shows(
            &mut engine,
            "local n = {} for k in pairs(os) do n[#n+1] = k end return n"
        ),
        "*1|$5|clock"
    );
}

#[test]
fn forbidden_globals_do_not_exist() {
    let mut engine = engine();
    for name in [
        "dofile",
        "loadfile",
        "print",
        "require",
        "module",
        "package",
        "io",
        "debug",
        "newproxy",
        "setfenv",
        "getfenv",
        "file",
        "jit",
        "ffi",
        "__redis__err__handler",
    ] {
        let line = fails(&mut engine, &format!("return {name}"));
        let text = format!(
            "ERR user_script:1: Script attempted to access nonexistent global variable '{name}'"
        );
        assert_eq!(line, text);
    }
    for name in [
        "execute",
        "exit",
        "getenv",
        "remove",
        "rename",
        "tmpname",
        "setlocale",
        "date",
    ] {
        assert_eq!(
            shows(&mut engine, &format!("return tostring(os.{name})")),
            "$3|nil"
        );
    }
}

#[test]
fn bytecode_is_not_loaded() {
    let mut engine = engine();
    for text in [
        "return {loadstring(string.dump(function() return 1 end))}",
        "return {load(function() return string.dump(function() return 1 end) end)}",
        "local code = string.dump(function() return 1 end) local at = 0 \
         return {load(function() at = at + 1 return code:sub(at, at) end)}",
        "local first = true return {load(function() if first then first = false return '' end \
         return '\\27Lua' end)}",
        "return {loadstring('\\27Lua')}",
    ] {
        // Either nil and an error, or the empty function of an empty text.
        let shown = shows(&mut engine, text);
        assert!(shown == "*0" || shown == "*1|$-1", "{text}: {shown}");
    }
    let line = fails(&mut engine, "\x1bLua");
    assert!(
        line.starts_with("ERR Error compiling script (new function): "),
        "{line}"
    );
    assert!(line.contains("unexpected symbol"), "{line}");
}

#[test]
fn shared_tables_cannot_be_changed() {
    let mut engine = engine();
    let readonly = "Attempt to modify a readonly table";
    for name in [
        "_G",
        "string",
        "table",
        "math",
        "coroutine",
        "os",
        "redis",
        "server",
        "cjson",
        "cmsgpack",
        "struct",
        "bit",
        "getmetatable(_G)",
        "getmetatable('')",
        "getmetatable('').__index",
    ] {
        for change in [
            format!("local t = {name} t.x = 1"),
            format!("local t = {name} for k in pairs(t) do t[k] = nil break end t[1] = 1"),
            format!("rawset({name}, 'x', 1)"),
            format!("rawset({name}, 1, 1)"),
            format!("setmetatable({name}, {{}})"),
            format!("setmetatable({name}, nil)"),
            format!("table.insert({name}, 1)"),
            format!("table.insert({name}, 1, 1)"),
        ] {
            let line = fails(&mut engine, &change);
            assert!(line.ends_with(readonly), "{change}: {line}");
        }
        let text = format!("local t = {name} return {{tostring(t.x), tostring(t[1]), #t}}");
        if name != "_G" {
            assert_eq!(shows(&mut engine, &text), "*3|$3|nil|$3|nil|:0", "{name}");
        }
    }
}

#[test]
fn other_ways_to_change_shared_tables_fail() {
    let mut engine = engine();
    for text in [
        // A metatable that is a library, or another library's.
        "getmetatable(_G).__newindex = nil",
        "getmetatable(_G).__index = function() return 1 end",
        "getmetatable('').__index = function() return 1 end",
        "getmetatable('').__metatable = nil",
        "local m = getmetatable('') m.__add = function() return 1 end",
        "string.sub = nil",
        "redis.call = redis.pcall",
        // Basic types have no metatable.
        "getmetatable(1).__index = 1",
        "getmetatable(nil).__index = 1",
        "getmetatable(true).__index = 1",
        "getmetatable(print).__index = 1",
        "getmetatable(function() end).__index = 1",
        "getmetatable(coroutine.create(function() end)).__index = 1",
        "getmetatable(cjson.null).__index = 1",
        // From another function, another coroutine, compiled text.
        "coroutine.wrap(function() redis.call = 1 end)()",
        "local ok, e = pcall(function() string.len = 1 end) error(e)",
        "loadstring('leak = 1')()",
        "coroutine.wrap(function() loadstring('leak = 1')() end)()",
        "load(function() return nil end)() string.x = 1",
        "for k in next, redis do redis[k] = 1 end redis.x = 1",
        "local t = setmetatable({}, getmetatable(_G)) t.__index = 1 return t.leak",
    ] {
        fails(&mut engine, text);
        let probe = "return {string.len('abc'), ('abc'):sub(2, 2), type(redis.call), \
                     tostring(rawget(_G, 'leak')), tostring(string.x)}";
        assert_eq!(
            shows(&mut engine, probe),
            "*5|:3|$1|b|$8|function|$3|nil|$3|nil",
            "{text}"
        );
    }
}

#[test]
fn sorting_and_other_raw_writes_do_not_reach_shared_tables() {
    let mut engine = engine();
    for text in [
        "table.sort(redis) return 1",
        "table.remove(redis) return 1",
        "table.remove(redis, 1) return 1",
        "unpack(redis) return 1",
        "table.concat(redis) return 1",
        "table.foreach(redis, function() end) return 1",
        "collectgarbage('stop') collectgarbage('setpause', 1000) return 1",
        "cjson.new().encode = 1 return 1",
    ] {
        assert_eq!(shows(&mut engine, text), ":1", "{text}");
    }
    assert_eq!(
        shows(&mut engine, "return {#redis, type(cjson.encode)}"),
        "*2|:0|$8|function"
    );
}

#[test]
fn variables_do_not_leak_from_script_to_script() {
    let mut engine = engine();
    for text in [
        "leak = 1",
        "_G.leak = 1",
        "_G['leak'] = 1",
        "function leak() end",
    ] {
        fails(&mut engine, text);
    }
    assert_eq!(
        shows(&mut engine, "return tostring(rawget(_G, 'leak'))"),
        "$3|nil"
    );
    assert_eq!(
        shows(&mut engine, "KEYS[1] = 'x' ARGV.y = 1 return #KEYS"),
        ":1"
    );
    assert_eq!(
        shows(&mut engine, "return {#KEYS, tostring(ARGV.y)}"),
        "*2|:0|$3|nil"
    );
}

#[test]
fn errors_of_rust_functions_never_show_as_userdata() {
    let mut engine = engine();
    for (text, kind) in [
        ("pcall(cjson.decode, '{')", "string"),
        ("pcall(redis.call)", "string"),
        ("pcall(string.rep)", "string"),
        ("pcall(pcall, redis.call)", "boolean"),
        (
            "coroutine.resume(coroutine.create(function() redis.call() end))",
            "table",
        ),
        (
            "coroutine.resume(coroutine.create(function() cjson.decode('{') end))",
            "string",
        ),
        ("load(function() redis.call() end)", "table"),
        ("load(function() cjson.decode('{') end)", "table"),
        ("xpcall(redis.call, function(e) return e end)", "table"),
        (
            "xpcall(function() cjson.decode('{') end, function(e) return e end)",
            "string",
        ),
        (
            "pcall(string.gsub, 'a', 'a', function() cjson.decode('{') end)",
            "string",
        ),
        (
            "pcall(string.gsub, 'a', 'a', function() redis.call() end)",
            "string",
        ),
        (
            "pcall(table.sort, {2, 1}, function() redis.call() end)",
            "string",
        ),
        (
            "pcall(coroutine.wrap(function() redis.call() end))",
            "string",
        ),
        (
            "pcall(coroutine.wrap(function() cjson.decode('{') end))",
            "string",
        ),
    ] {
        let shown = shows(&mut engine, &format!("return type(select(2, {text}))"));
        assert_eq!(shown, format!("${}|{kind}", kind.len()), "{text}");
    }
}

#[test]
fn overflows_of_libraries_end_in_errors() {
    let mut engine = engine();
    for text in [
        // CVE-2018-11219 and CVE-2020-14147: sizes of struct.
        "struct.pack('I2147483648', 10)",
        "struct.pack('I2147483647', 10)",
        "struct.pack('!2147483648', 10)",
        "struct.unpack('i4294967296', 'abc')",
        "struct.unpack('c0', 'a')",
        "struct.unpack('Bc0', '\\255abc')",
        "struct.unpack('c2147483647', 'abc')",
        "struct.unpack('i4', 'abc', 2147483647)",
        "struct.unpack('i4', 'abc', -1)",
        "struct.unpack('c4294967297', 'abc')",
        "struct.size('c2147483648')",
        "struct.unpack(string.rep('b', 9000), string.rep('x', 9000))",
        // CVE-2018-11218 and CVE-2022-24834: depth and length of cmsgpack and cjson.
        "cmsgpack.unpack(string.rep('\\145', 100000))",
        "cmsgpack.unpack(string.rep('\\129\\1', 100000))",
        "cmsgpack.unpack('\\221\\255\\255\\255\\255')",
        "cmsgpack.unpack('\\219\\255\\255\\255\\255')",
        "cmsgpack.unpack(string.rep('\\1', 100000))",
        "cmsgpack.unpack_limit('abc', -2147483648, 1)",
        "cmsgpack.unpack_one('abc', 2147483648)",
        "cmsgpack.pack(unpack({}, 1, 100000))",
        "cjson.decode(string.rep('[', 100000))",
        "cjson.decode(string.rep('{\"a\":', 100000))",
        "cjson.encode_max_depth(2000000000) local t = {} for i = 1, 100000 do t = {t} end \
         cjson.encode(t)",
        "cjson.decode_max_depth(2000000000) cjson.decode(string.rep('[', 100000))",
        "cjson.encode({[2147483648] = 1})",
        "cjson.encode({[1e300] = 1})",
        "cjson.encode(string.rep('\\0', 8000000))",
        "bit.tohex(1, {})",
        // Lua's own.
        "unpack({}, 0, 2147483647)",
        "unpack({}, -2147483648, 2147483647)",
        "string.rep('x', 2147483647)",
        "string.rep('xxxxxxxxxx', 2147483647)",
        "table.insert({}, -2147483648, 1)",
        "table.insert({}, -2147483648, nil)",
        "table.concat({}, 'x', 1, 2147483647)",
        "string.format('%999d', 1)",
        "string.format('%.99999f', 1)",
        "string.byte(string.rep('x', 10000), 1, -1)",
        "return loadstring(string.rep('(', 10000))()",
        "return loadstring('return ' .. string.rep('{', 10000))()",
        "return loadstring('local a = ' .. string.rep('-', 100000) .. ' 1')()",
        "local function f() return 1 + f() end f()",
        "local function f() return pcall(f) and error('x') end error(select(2, f()))",
        "local t = setmetatable({}, {}) getmetatable(t).__index = t return t.x",
        "local function f() string.gsub('a', 'a', f) end f()",
        "local function f() coroutine.wrap(f)() end f()",
        "local function f() table.sort({2, 1}, f) end f()",
        "local t = setmetatable({}, {__tostring = function(t) return tostring(t) end}) tostring(t)",
    ] {
        let line = fails(&mut engine, text);
        assert!(line.starts_with("ERR "), "{text}: {line}");
        assert_eq!(shows(&mut engine, "return 1"), ":1", "{text}");
        shows(
            &mut engine,
            "cjson.encode_max_depth(1000) cjson.decode_max_depth(1000) return 1",
        );
    }
}

#[test]
fn patterns_that_break_the_stack_end_in_errors() {
    let mut engine = engine();
    for text in [
        "string.find(string.rep('a', 200000), string.rep('a?', 200000))",
        "string.find(string.rep('a', 1000), string.rep('a-', 100000) .. 'b')",
        "string.find(string.rep('a', 100), string.rep('(a', 33))",
        "string.match('a', '%')",
        "string.match('a', '[')",
        "string.match('a', '%b')",
        "string.match('a', '%f')",
        "string.find('a', '(')",
        "string.gsub('a', 'a', '%2')",
        "string.find('a', '%1')",
    ] {
        let line = fails(&mut engine, text);
        assert!(line.starts_with("ERR user_script:1: "), "{text}: {line}");
    }
    // A long plain text is no deep pattern.
    let text =
        "return {string.find(string.rep('a', 100000) .. 'b', string.rep('a', 90000) .. '.*b')}";
    assert_eq!(shows(&mut engine, text), "*2|:1|:100001");
}

#[test]
fn a_reply_that_refers_to_itself_ends() {
    let mut engine = engine();
    let reply = run(&mut engine, "local a = {} local b = {a} a[1] = b return a").unwrap();
    assert!(reply.starts_with("*1\r\n*1\r\n"), "{reply}");
    assert!(
        reply.ends_with("-ERR reached lua stack limit\r\n"),
        "{reply}"
    );
    for kind in ["map", "set"] {
        let text = format!("local a = {{}} a.{kind} = {{[1] = a}} return a");
        let text = text.replace(
            "{[1] = a}",
            if kind == "map" {
                "{[1] = a}"
            } else {
                "{[a] = 1}"
            },
        );
        let reply = run(&mut engine, &text).unwrap();
        assert!(
            reply.contains("-ERR reached lua stack limit\r\n"),
            "{reply}"
        );
    }
}
