//! Random commands: a line per form of a command, and the mistakes that people make with it.
//!
//! In a template, lower-case words stand for arguments (`arguments.rs`): `word+` for one to four of
//! them, `pair+` for keys and values in turn. Upper-case words are literals.

use super::arguments::argument;
use crate::rng::Rng;

/// The words of a command, as a client sends it.
pub type Command = Vec<Vec<u8>>;

/// Forms of commands on a single key.
const ONE_KEY: &[&str] = &[
    "GET key",
    "SET key value",
    "SET key value NX",
    "SET key value XX",
    "SET key value GET",
    "SET key value NX GET",
    "SET key value EX seconds",
    "SET key value PX ms GET",
    "SET key value EXAT moment",
    "SET key value PXAT momentms XX",
    "SET key value KEEPTTL",
    "SET key value XX KEEPTTL GET",
    "SETNX key value",
    "SETEX key seconds value",
    "PSETEX key ms value",
    "GETSET key value",
    "GETDEL key",
    "GETEX key",
    "GETEX key EX seconds",
    "GETEX key PX ms",
    "GETEX key EXAT moment",
    "GETEX key PXAT momentms",
    "GETEX key PERSIST",
    "APPEND key value",
    "STRLEN key",
    "INCR key",
    "DECR key",
    "INCRBY key int",
    "DECRBY key int",
    "INCRBYFLOAT key float",
    "GETRANGE key index index",
    "SUBSTR key index index",
    "SETRANGE key offset value",
    "TYPE key",
    "EXPIRE key seconds",
    "EXPIRE key seconds NX",
    "EXPIRE key seconds XX",
    "EXPIRE key otherseconds GT",
    "EXPIRE key otherseconds LT",
    "PEXPIRE key ms",
    "PEXPIRE key ms XX",
    "EXPIREAT key moment",
    "EXPIREAT key moment GT",
    "PEXPIREAT key momentms",
    "PEXPIREAT key momentms LT",
    "PERSIST key",
    "OBJECT ENCODING key",
    "DUMP key",
    "RESTORE key ms payload",
    "RESTORE key 0 payload REPLACE",
    "RESTORE key momentms payload REPLACE ABSTTL",
    "SETBIT key bitoffset bit",
    "GETBIT key bitoffset",
    "BITCOUNT key",
    "BITCOUNT key index index",
    "BITCOUNT key index index BIT",
    "BITPOS key bit",
    "BITPOS key bit index",
    "BITPOS key bit index index BYTE",
    "BITPOS key bit index index BIT",
    "BITFIELD key GET bittype fieldoffset",
    "BITFIELD key SET bittype fieldoffset int",
    "BITFIELD key INCRBY bittype fieldoffset int OVERFLOW SAT INCRBY bittype fieldoffset int",
    "BITFIELD key OVERFLOW FAIL INCRBY bittype fieldoffset int GET u8 0",
    "BITFIELD_RO key GET bittype fieldoffset GET u4 0",
];

/// Forms that take several keys, which may be in different groups.
const SPREAD_KEYS: &[&str] = &[
    "MGET key+",
    "MSET pair+",
    "DEL key+",
    "UNLINK key+",
    "EXISTS key+",
    "TOUCH key+",
];

/// Forms that need all their keys in one group.
const JOINED_KEYS: &[&str] = &[
    "MSETNX pair+",
    "RENAME key key",
    "RENAMENX key key",
    "COPY key key",
    "COPY key key REPLACE",
    "LCS key key",
    "LCS key key LEN",
    "LCS key key IDX",
    "LCS key key IDX MINMATCHLEN int WITHMATCHLEN",
    "BITOP AND key key+",
    "BITOP OR key key+",
    "BITOP XOR key key+",
    "BITOP NOT key key",
];

/// Forms whose reply depends on the moment or on an order in memory, and is compared accordingly.
const LOOSE: &[&str] = &[
    "TTL key",
    "PTTL key",
    "EXPIRETIME key",
    "PEXPIRETIME key",
    "KEYS pattern",
];

/// A page of SCAN holds all keys only if they are in the same group; otherwise the cursor goes on.
const SCANS: &[&str] = &[
    "SCAN 0 COUNT 10000",
    "SCAN 0 COUNT 10000 MATCH pattern",
    "SCAN 0 COUNT 10000 TYPE STRING",
];

/// Forms on no key or on all keys.
const OTHER: &[&str] = &[
    "PING",
    "PING value",
    "ECHO value",
    "DBSIZE",
    "SELECT int",
    "SELECT 0",
    "CLIENT GETNAME",
    "CLIENT SETNAME key",
    "UNWATCH",
    "DISCARD",
    "EXEC",
    "OBJECT NOSUCH key",
    "CLIENT NOSUCH",
    "NOSUCH key value",
    "NOSUCH",
];

/// The groups of the keys that a command may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// All keys are in the same group: every form works.
    OneGroup,
    /// Keys are in several groups: forms that need all keys in the same group are left out.
    ManyGroups,
}

/// Every form, for a test that checks that each command has a form.
pub fn all_templates() -> impl Iterator<Item = &'static str> {
    let lists = [ONE_KEY, SPREAD_KEYS, JOINED_KEYS, LOOSE, SCANS, OTHER];
    let transactions = ["MULTI", "WATCH key+"];
    lists.into_iter().flatten().copied().chain(transactions)
}

/// A random sequence of about `len` commands. Forms that `implemented` refuses are left out.
pub fn sequence(
    rng: &mut Rng,
    len: usize,
    spread: Spread,
    implemented: &dyn Fn(&str) -> bool,
) -> Vec<Command> {
    let known = |list: &[&'static str]| -> Vec<&'static str> {
        list.iter()
            .copied()
            .filter(|form| implemented(form))
            .collect()
    };
    let mut on_keys = known(ONE_KEY);
    if spread == Spread::OneGroup {
        on_keys.extend(known(JOINED_KEYS));
    }
    let (spread_keys, other) = (known(SPREAD_KEYS), known(OTHER));
    let mut loose = known(LOOSE);
    if spread == Spread::OneGroup {
        loose.extend(known(SCANS));
    }
    let mut sequence = Vec::new();
    while sequence.len() < len {
        let list = match rng.below(100) {
            0..65 => &on_keys,
            65..77 => &spread_keys,
            77..87 => &loose,
            87..96 => &other,
            _ if spread == Spread::OneGroup && implemented("MULTI") => {
                transaction(rng, &on_keys, &mut sequence);
                continue;
            }
            _ => continue,
        };
        if !list.is_empty() {
            sequence.push(command(rng, list));
        }
    }
    sequence
}

/// Perhaps `WATCH`, then `MULTI`, a few commands, and `EXEC` or `DISCARD`.
fn transaction(rng: &mut Rng, forms: &[&'static str], sequence: &mut Vec<Command>) {
    if rng.percent(40) {
        sequence.push(fill("WATCH key+", rng));
    }
    if rng.percent(20) {
        sequence.push(command(rng, forms));
    }
    sequence.push(fill("MULTI", rng));
    for _ in 0..rng.below(6) {
        let queued = if rng.percent(5) {
            fill("MULTI", rng)
        } else {
            command(rng, forms)
        };
        sequence.push(queued);
    }
    sequence.push(fill(if rng.percent(80) { "EXEC" } else { "DISCARD" }, rng));
}

/// A command of a random form, now and then with a mistake in it.
fn command(rng: &mut Rng, forms: &[&'static str]) -> Command {
    let mut command = fill(rng.pick::<&str>(forms), rng);
    if rng.percent(10) {
        // A lower-case name is no mistake.
        command[0].make_ascii_lowercase();
    }
    // The reply to an invented cursor is not defined.
    if rng.percent(8) && !command[0].eq_ignore_ascii_case(b"SCAN") {
        spoil(&mut command, rng);
    }
    command
}

fn spoil(command: &mut Command, rng: &mut Rng) {
    let at = 1 + rng.below(command.len().max(2) - 1);
    let junk = argument("junk", rng).unwrap_or_default();
    match rng.below(3) {
        0 if at < command.len() => {
            command.remove(at);
        }
        1 if at < command.len() => command[at] = junk,
        _ => command.push(junk),
    }
}

fn fill(template: &str, rng: &mut Rng) -> Command {
    let mut command = Command::new();
    for word in template.split(' ') {
        let (word, times) = match word.strip_suffix('+') {
            Some(word) => (word, 1 + rng.below(4)),
            None => (word, 1),
        };
        for _ in 0..times {
            let parts: &[&str] = if word == "pair" {
                &["key", "value"]
            } else {
                &[word]
            };
            for part in parts {
                let literal = || part.as_bytes().to_vec();
                command.push(argument(part, rng).unwrap_or_else(literal));
            }
        }
    }
    command
}
