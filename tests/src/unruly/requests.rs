//! The bytes that unruly clients send: commands of the grammar, commands on large values, and
//! malformed requests.

use crate::compat::grammar::{self, Spread};
use crate::resp::encode;
use crate::rng::Rng;

/// The number of large values that are only read.
const LARGE: usize = 8;
/// Bytes of each: the largest value that a command may write by default.
const LARGE_BYTES: usize = 1 << 20;

/// The number of large values that are written again and again.
const WRITTEN: usize = 8;

/// The key of the `n`-th large value.
fn large_key(n: usize) -> String {
    format!("unruly:large:{n}")
}

/// The large values that are only read, by key; they are the same in each run.
pub(super) fn large() -> impl Iterator<Item = (String, Vec<u8>)> {
    (0..LARGE).map(|n| {
        // A repeated block: a debug build takes too long to make a megabyte of random bytes.
        let block = Rng::new(n as u64 + 1).bytes(4096);
        (large_key(n), block.repeat(LARGE_BYTES / block.len()))
    })
}

/// Random commands of the grammar and on large values, and their number.
pub(super) fn conversation(rng: &mut Rng, len: usize) -> (Vec<u8>, u64) {
    // In a cluster with several groups, some commands are refused; a refusal is a reply as well.
    let mut commands = grammar::sequence(rng, len, Spread::OneGroup);
    commands.truncate(len);
    for command in &mut commands {
        if rng.percent(6) {
            *command = on_large(rng);
        }
    }
    let mut bytes = Vec::new();
    for command in &commands {
        encode(&mut bytes, command);
    }
    (bytes, commands.len() as u64)
}

/// A command on large values.
fn on_large(rng: &mut Rng) -> Vec<Vec<u8>> {
    let text = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect();
    let key = large_key(rng.below(LARGE));
    let written = format!("unruly:written:{}", rng.below(WRITTEN));
    // Sometimes around the limit.
    let len = match rng.below(4) {
        0 => LARGE_BYTES + rng.below(3) - 1,
        _ => rng.below(LARGE_BYTES),
    };
    let offset = len.to_string();
    match rng.below(9) {
        0 | 1 => text(&["GET", &key]),
        2 => text(&["GETRANGE", &key, &rng.below(LARGE_BYTES).to_string(), "-1"]),
        3 => {
            let keys: Vec<String> = (0..LARGE).map(large_key).collect();
            let keys = keys.iter().map(String::as_bytes).map(<[u8]>::to_vec);
            std::iter::once(b"MGET".to_vec()).chain(keys).collect()
        }
        4 => vec![b"SET".to_vec(), written.into_bytes(), vec![b'v'; len]],
        5 => vec![
            b"APPEND".to_vec(),
            written.into_bytes(),
            vec![b'a'; len / 8],
        ],
        6 => text(&["SETRANGE", &written, &offset, "x"]),
        7 => text(&["SETBIT", &written, &offset, "1"]),
        _ => text(&["STRLEN", &key]),
    }
}

/// `times` reads of large values.
pub(super) fn reads(rng: &mut Rng, times: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..times {
        encode(&mut bytes, &["GET", &large_key(rng.below(LARGE))]);
    }
    bytes
}

/// A command that walks over all keys, or over a part of them.
pub(super) fn walk(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    let count = [1, 10, 1000, 100_000][rng.below(4)].to_string();
    match rng.below(5) {
        0 => encode(&mut bytes, &["KEYS", "*"]),
        1 => encode(&mut bytes, &["KEYS", "*a*b*c*d*"]),
        2 => encode(&mut bytes, &["DBSIZE"]),
        3 => encode(&mut bytes, &["SCAN", "0", "COUNT", &count]),
        _ => encode(
            &mut bytes,
            &["SCAN", "0", "MATCH", "unruly:*", "COUNT", &count],
        ),
    }
    bytes
}

/// The begin of a transaction: perhaps WATCH, MULTI, and queued commands.
pub(super) fn open_transaction(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    if rng.percent(50) {
        encode(&mut bytes, &["WATCH", "a", "unruly:written:0", "c"]);
    }
    encode(&mut bytes, &["MULTI"]);
    for _ in 0..rng.below(20) {
        encode(&mut bytes, &["INCR", "unruly:count"]);
    }
    if rng.percent(30) {
        encode(&mut bytes, &["GET", &large_key(0)]);
    }
    bytes
}

/// A request that is no command, or that announces more than the limits allow.
pub(super) fn malformed(rng: &mut Rng) -> Vec<u8> {
    const HEADS: [&[u8]; 14] = [
        b"*1\r\n:1\r\n",
        b"*abc\r\n",
        b"*-5\r\n",
        b"*99999999999999999999\r\n",
        b"*1000000\r\n$1\r\nx\r\n",
        b"*1048577\r\n",
        b"*2\r\n$3\r\nGET\r\n$-1\r\n",
        b"*2\r\n$3\r\nGET\r\n$1000000000000\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$536870912\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1048577\r\n",
        b"SET \"unbalanced\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0\0\0\0",
        b"",
    ];
    let mut bytes = rng.pick(&HEADS).to_vec();
    // A small tail, or sometimes a tail above the limit of a value.
    let tail = match rng.below(10) {
        0 => LARGE_BYTES + 16,
        _ => rng.below(300),
    };
    match rng.below(3) {
        0 => bytes.extend(vec![b'x'; tail]),
        1 => bytes.extend(rng.bytes(tail.min(4096))),
        _ => bytes.extend(b"*1\r\n$4\r\nPING\r\n".repeat(rng.below(20))),
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_depend_on_the_seed_alone() {
        let all = |seed| {
            let mut rng = Rng::new(seed);
            let (talk, count) = conversation(&mut rng, 50);
            assert_eq!(count, 50);
            [
                talk,
                reads(&mut rng, 3),
                walk(&mut rng),
                malformed(&mut rng),
            ]
            .concat()
        };
        assert_eq!(all(7), all(7));
        assert_ne!(all(7), all(8));
        assert!(large().all(|(_, value)| value.len() == LARGE_BYTES));
    }
}
