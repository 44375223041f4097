//! The command table: every row, sorted by name, and how to find one.
//!
//! The rows stand in `table/`, one file per group of commands. They are joined, sorted and hashed
//! when the crate is compiled; looking one up takes no allocation and a few comparisons.

mod bitmap;
mod cluster;
mod connection;
mod coterie;
mod generic;
mod server;
mod string;
mod transactions;

use crate::Command;

const PARTS: &[&[Command]] = &[
    bitmap::ROWS,
    cluster::ROWS,
    connection::ROWS,
    coterie::ROWS,
    generic::ROWS,
    server::ROWS,
    string::ROWS,
    transactions::ROWS,
];
const COUNT: usize = count();
static SORTED: [Command; COUNT] = sorted();

/// Every command, sorted by name.
pub static COMMANDS: &[Command] = &SORTED;

/// Slots of the hash index: a power of two, about four times as many as there are commands.
const SLOTS: usize = 512;
const EMPTY: u8 = u8::MAX;
static INDEX: [u8; SLOTS] = index();

/// The command of this name, in any case.
#[must_use]
pub fn lookup(name: &[u8]) -> Option<&'static Command> {
    let mut slot = hash(name);
    while INDEX[slot] != EMPTY {
        let command = &SORTED[INDEX[slot] as usize];
        if command.name.as_bytes().eq_ignore_ascii_case(name) {
            return Some(command);
        }
        slot = (slot + 1) % SLOTS;
    }
    None
}

/// The subcommand of this name, in any case.
#[must_use]
pub fn lookup_subcommand(container: &'static Command, word: &[u8]) -> Option<&'static Command> {
    let skip = container.name.len() + 1;
    container
        .subcommands
        .iter()
        .find(|sub| sub.name.as_bytes()[skip..].eq_ignore_ascii_case(word))
}

/// FNV-1a over the letters without their case.
const fn hash(name: &[u8]) -> usize {
    let mut hash = 0x811c_9dc5u32;
    let mut at = 0;
    while at < name.len() {
        hash = (hash ^ (name[at] | 0x20) as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    (hash ^ (hash >> 15)) as usize % SLOTS
}

const fn count() -> usize {
    let (mut part, mut count) = (0, 0);
    while part < PARTS.len() {
        count += PARTS[part].len();
        part += 1;
    }
    count
}

/// All parts in one array, by insertion.
const fn sorted() -> [Command; COUNT] {
    let mut rows = [PARTS[0][0]; COUNT];
    let (mut part, mut len) = (0, 0);
    while part < PARTS.len() {
        let mut at = 0;
        while at < PARTS[part].len() {
            let row = PARTS[part][at];
            let mut hole = len;
            while hole > 0 && is_less(row.name.as_bytes(), rows[hole - 1].name.as_bytes()) {
                rows[hole] = rows[hole - 1];
                hole -= 1;
            }
            rows[hole] = row;
            len += 1;
            at += 1;
        }
        part += 1;
    }
    rows
}

const fn is_less(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() {
        if a[at] != b[at] {
            return a[at] < b[at];
        }
        at += 1;
    }
    a.len() < b.len()
}

const fn index() -> [u8; SLOTS] {
    assert!(COUNT < EMPTY as usize, "a row's number fits a byte");
    let mut index = [EMPTY; SLOTS];
    let rows = sorted();
    let mut at = 0;
    while at < COUNT {
        let mut slot = hash(rows[at].name.as_bytes());
        while index[slot] != EMPTY {
            slot = (slot + 1) % SLOTS;
        }
        index[slot] = at as u8;
        at += 1;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_in_any_case() {
        for command in COMMANDS {
            let found = lookup(command.name.to_ascii_uppercase().as_bytes());
            assert_eq!(found.map(|c| c.name), Some(command.name));
        }
        assert!(lookup(b"").is_none() && lookup(b"no-such-command").is_none());
    }
}
