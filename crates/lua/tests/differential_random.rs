//! Random values, texts, patterns and formats, whose replies must be those of a real Redis.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::pair::Pair;

/// The random scripts of each kind.
const ROUNDS: usize = 1_000;

/// Random choices from a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }

    fn of<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }
}

const PIECES: [&str; 32] = [
    "a", "b", ".", "%a", "%d", "%S", "%w", "[ab]", "[^a]", "[a-c]", "[%d-]", "a*", "b+", ".-",
    "%a?", "(", ")", "()", "%1", "%b()", "%f[%w]", "^", "$", "%%", "[]a]", "[^]]", "-", "%z", "%",
    "[", "(a*)", "(.)",
];

#[test]
fn random_patterns_match_as_in_redis() {
    let Some(mut pair) = Pair::start() else {
        return;
    };
    let mut chance = Chance(0x5eed_0000_0001);
    let mut differences = String::new();
    let subjects = [
        "",
        "a",
        "abab",
        "aabbcc (a(b)c) 12-34",
        "b%a$^.x\0y",
        "hello world ][",
    ];
    let scripts = [
        "local r = {pcall(string.find, ARGV[1], ARGV[2])} r[1] = tostring(r[1]) return r",
        "local r = {pcall(string.find, ARGV[1], ARGV[2], 3)} r[1] = tostring(r[1]) return r",
        "local r = {pcall(string.match, ARGV[1], ARGV[2], -4)} r[1] = tostring(r[1]) return r",
        "local r = {pcall(string.gsub, ARGV[1], ARGV[2], '<%0%1>')} r[1] = tostring(r[1]) return r",
        "local r = {pcall(string.gsub, ARGV[1], ARGV[2], {a='x', ab=1, b=false}, 2)} \
         r[1] = tostring(r[1]) return r",
        "local r = {pcall(string.gsub, ARGV[1], ARGV[2], function(x, y) \
         return type(x) .. tostring(y) end)} r[1] = tostring(r[1]) return r",
        "local r = {} local ok, e = pcall(function() for x, y in string.gmatch(ARGV[1], ARGV[2]) do \
         r[#r + 1] = tostring(x) .. '/' .. tostring(y) end end) r[#r + 1] = tostring(e) return r",
    ];
    for _ in 0..ROUNDS {
        let pieces = 1 + chance.below(5);
        let pattern: String = (0..pieces).map(|_| chance.of(&PIECES)).collect();
        let subject = chance.of(&subjects);
        let script = chance.of(&scripts);
        let args = [Bytes::from(subject), Bytes::from(pattern)];
        differences += &pair.compare(script.as_bytes(), &args);
    }
    assert!(differences.is_empty(), "{differences}");
}

/// A random Lua value as an expression.
fn expression(chance: &mut Chance, depth: usize) -> String {
    const LEAVES: [&str; 28] = [
        "1",
        "0",
        "-1",
        "1.5",
        "-0.25",
        "1e10",
        "1e15",
        "1e300",
        "123456789012",
        "127",
        "128",
        "-33",
        "65536",
        "4294967296",
        "-2147483649",
        "9007199254740993",
        "0.1",
        "1/3",
        "true",
        "false",
        "cjson.null",
        "'x'",
        "''",
        "'\\0\\31\\127\\255/\\\\\"'",
        "'\\n\\t'",
        "string.rep('y', 40)",
        "string.rep('z', 300)",
        "-1e-7",
    ];
    const KEYS: [&str; 9] = ["1", "2", "3", "4", "20", "'a'", "'b'", "1.5", "-1"];
    if depth == 0 || chance.below(3) == 0 {
        return chance.of(&LEAVES).to_owned();
    }
    let count = chance.below(4);
    let list = chance.below(2) == 0;
    let parts = (0..count).map(|_| {
        let value = expression(chance, depth - 1);
        // At most a key of each table is not in the array part: the order of others differs.
        if list {
            value
        } else {
            format!("[{}]={value}", chance.of(&KEYS))
        }
    });
    format!("{{{}}}", parts.collect::<Vec<_>>().join(","))
}

#[test]
fn random_values_are_encoded_as_by_redis() {
    let Some(mut pair) = Pair::start() else {
        return;
    };
    let mut chance = Chance(0x5eed_0000_0002);
    let mut differences = String::new();
    for _ in 0..ROUNDS {
        let value = expression(&mut chance, 3);
        let script = match chance.below(6) {
            0 => format!("return cjson.encode({value})"),
            1 => format!("return cmsgpack.pack({value})"),
            2 => format!("return {value}"),
            3 => format!("return cjson.encode(cjson.decode(cjson.encode({value})))"),
            4 => format!("return cmsgpack.pack(cmsgpack.unpack(cmsgpack.pack({value})))"),
            _ => format!("return {{redis.pcall('set', 'k', {value}), redis.call('get', 'k')}}"),
        };
        differences += &pair.compare(script.as_bytes(), &[]);
    }
    assert!(differences.is_empty(), "{differences}");
}

/// Shows any values, in Lua: scripts that decode end with it.
const SHOW: &str = "local function show(v) if type(v) ~= 'table' then \
                    return type(v) .. ':' .. tostring(v) end local r = {} \
                    for k, x in pairs(v) do r[#r + 1] = show(k) .. '=' .. show(x) end \
                    table.sort(r) return '{' .. table.concat(r, ',') .. '}' end ";

#[test]
fn random_texts_are_decoded_as_by_redis() {
    const TOKENS: [&str; 34] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "1",
        "-1",
        "1.5e3",
        "01",
        "0x1F",
        "+1",
        "nan",
        "-inf",
        "inf",
        "null",
        "true",
        "false",
        "tru",
        "\"a\"",
        "\"\\u00e9\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"\\x\"",
        "\"open",
        " ",
        "\n",
        "1.",
        ".5",
        "1e",
        "\"\\/\\n\"",
        "-",
        "0x",
        "\0",
    ];
    let Some(mut pair) = Pair::start() else {
        return;
    };
    let mut chance = Chance(0x5eed_0000_0003);
    let mut differences = String::new();
    let whole = [
        "[1,2,{\"a\":[null,true]},\"x\"]",
        "{\"a\":1,\"b\":{\"c\":[]}}",
        "[[[]]]",
    ];
    let script = format!(
        "{SHOW} if ARGV[2] == 'strict' then cjson.decode_invalid_numbers(false) end \
         local ok, v = pcall(cjson.decode, ARGV[1]) cjson.decode_invalid_numbers(true) \
         return tostring(ok) .. show(v):gsub('userdata: %(nil%)', 'null'):gsub('userdata: NULL', 'null')"
    );
    for _ in 0..ROUNDS {
        let mut text = String::new();
        if chance.below(2) == 0 {
            text = (0..1 + chance.below(7))
                .map(|_| chance.of(&TOKENS))
                .collect();
        } else {
            text += chance.of(&whole);
            let at = chance.below(text.len());
            text.replace_range(at..=at, chance.of(&TOKENS));
        }
        let mode = chance.of(&["strict", "lax"]);
        let args = [Bytes::from(text), Bytes::from(mode)];
        differences += &pair.compare(script.as_bytes(), &args);
    }
    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn random_bytes_are_unpacked_as_by_redis() {
    let Some(mut pair) = Pair::start() else {
        return;
    };
    let mut chance = Chance(0x5eed_0000_0004);
    let mut differences = String::new();
    let calls = [
        "cmsgpack.unpack, ARGV[1]",
        "cmsgpack.unpack_one, ARGV[1], 1",
        "cmsgpack.unpack_one, ARGV[1]",
        "cmsgpack.unpack_limit, ARGV[1], 2, 3",
        "cmsgpack.unpack_limit, ARGV[1], -1, 0",
        "cmsgpack.unpack_limit, ARGV[1], 1, 99",
    ];
    for _ in 0..ROUNDS {
        let length = 1 + chance.below(12);
        // Small arrays, maps and strings, and any code.
        let byte = |chance: &mut Chance| match chance.below(4) {
            0 => 0x80 + chance.below(4) as u8,
            1 => 0x90 + chance.below(4) as u8,
            2 => 0xa0 + chance.below(4) as u8,
            _ => chance.below(256) as u8,
        };
        let bytes: Vec<u8> = (0..length).map(|_| byte(&mut chance)).collect();
        let call = chance.of(&calls);
        let script = format!("{SHOW} return show({{pcall({call})}})");
        differences += &pair.compare(script.as_bytes(), &[Bytes::from(bytes)]);
    }
    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn random_formats_are_packed_as_by_redis() {
    const OPTIONS: [&str; 32] = [
        "b",
        "B",
        "h",
        "H",
        "l",
        "L",
        "T",
        "i",
        "I",
        "i3",
        "I8",
        "i16",
        "f",
        "d",
        "s",
        "c0",
        "c3",
        "x",
        ">",
        "<",
        "!",
        "!4",
        "!3",
        " ",
        "q",
        "i33",
        "c99999999999",
        "i0",
        "=",
        "I1",
        "!8",
        "c",
    ];
    let Some(mut pair) = Pair::start() else {
        return;
    };
    let mut chance = Chance(0x5eed_0000_0005);
    let mut differences = String::new();
    let calls = [
        "struct.pack, ARGV[1], 1, -2, 300.7, 70000, 'abcdef', 2^40, -1e15",
        "struct.pack, ARGV[1], 'abc', 'de', '7', 1.5, -1",
        "struct.size, ARGV[1]",
        "struct.unpack, ARGV[1], '\\3abc\\0\\255\\254xyz\\1\\2\\3\\4\\5\\6\\7\\8\\9\\0'",
        "struct.unpack, ARGV[1], string.rep('\\200', 40), 4",
        "struct.unpack, ARGV[1], 'ab', 0",
        "struct.unpack, ARGV[1], 'ab', -1",
    ];
    for _ in 0..ROUNDS {
        let format: String = (0..1 + chance.below(5))
            .map(|_| chance.of(&OPTIONS))
            .collect();
        let call = chance.of(&calls);
        let script = format!("{SHOW} return show({{pcall({call})}})");
        differences += &pair.compare(script.as_bytes(), &[Bytes::from(format)]);
    }
    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn random_bits_are_those_of_redis() {
    const NUMBERS: [&str; 14] = [
        "0",
        "1",
        "-1",
        "255",
        "0xff00ff00",
        "2^31",
        "2^32",
        "-2^31",
        "1.5",
        "2.5",
        "-0.5",
        "'12'",
        "1e15",
        "2^52",
    ];
    let Some(mut pair) = Pair::start() else {
        return;
    };
    let mut chance = Chance(0x5eed_0000_0006);
    let mut differences = String::new();
    let names = [
        "tobit", "bnot", "band", "bor", "bxor", "lshift", "rshift", "arshift", "rol", "ror",
        "bswap", "tohex",
    ];
    for _ in 0..ROUNDS {
        let name = chance.of(&names);
        let args = (0..chance.below(4)).map(|_| chance.of(&NUMBERS));
        let args = args.collect::<Vec<_>>().join(",");
        let script = format!("return tostring(bit.{name}({args}))");
        differences += &pair.compare(script.as_bytes(), &[]);
    }
    assert!(differences.is_empty(), "{differences}");
}
