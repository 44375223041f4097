//! The command table: every row, sorted by name, and how to find it.
//!
//! Rows of commands that a group runs stand above their functions; those of the proxy's commands
//! stand in `table/`, a file per topic. They are joined, sorted and hashed when the crate is
//! compiled; a look-up takes no allocation and a few comparisons.

mod acl;
mod cluster;
mod connection;
mod coterie;
mod generic;
mod pubsub;
mod scripting;
mod server;
mod transactions;

use crate::command::{Command, Part, is_subcommand};
use crate::errors::SHARED;
use crate::{
    CommandError, bitmap, geo, hash, hyperloglog, key, list, range, script, set, stream, string,
    watch, zset,
};

/// All files with rows, topic by topic.
pub(crate) const PARTS: &[&[Part]] = &[
    bitmap::PARTS,
    geo::PARTS,
    hash::PARTS,
    hyperloglog::PARTS,
    key::PARTS,
    list::PARTS,
    range::PARTS,
    &[script::PART],
    set::PARTS,
    stream::PARTS,
    string::PARTS,
    zset::PARTS,
    &[
        watch::PART,
        acl::PART,
        cluster::PART,
        connection::PART,
        coterie::PART,
        generic::PART,
        pubsub::PART,
        scripting::PART,
        server::PART,
        transactions::PART,
    ],
];

/// The error lines of commands that the proxy runs.
pub(crate) mod errors {
    pub use super::cluster::*;
    pub use super::connection::*;
    pub use super::generic::*;
    pub use super::scripting::*;
    pub use super::server::*;
    pub use super::transactions::*;
    pub use crate::key::BAD_DUMP;
    pub use crate::script::*;
}

/// How many rows there are, subcommands included.
pub const ROW_COUNT: usize = count(true);
/// How many rows there are without subcommands.
const COMMAND_COUNT: usize = count(false);

/// Every row: commands sorted by name, then subcommands sorted by name.
pub static ROWS: [Command; ROW_COUNT] = numbered();

/// Every command, sorted by name; their subcommands are behind [`Command::subcommands`].
pub static COMMANDS: &[Command] = ROWS.split_at(COMMAND_COUNT).0;

/// Slots of the hash index: a power of two, at least four times as many as there are commands.
const SLOTS: usize = (4 * COMMAND_COUNT).next_power_of_two();
const EMPTY: u16 = u16::MAX;
static INDEX: [u16; SLOTS] = index();

impl Command {
    /// The subcommands of a container, sorted by name.
    #[must_use]
    pub fn subcommands(&self) -> &'static [Command] {
        let (first, end) = self.subcommands;
        &ROWS[first.into()..end.into()]
    }
}

/// Every error line that never changes: those beside the commands, and those that they share.
pub fn all_error_lines() -> impl Iterator<Item = &'static CommandError> {
    let of_commands = PARTS.iter().copied().flatten();
    SHARED.iter().chain(of_commands.flat_map(|part| part.lines))
}

/// The command of this name, in any case.
#[must_use]
pub fn lookup(name: &[u8]) -> Option<&'static Command> {
    let mut slot = hash(name);
    while INDEX[slot] != EMPTY {
        let command = &ROWS[usize::from(INDEX[slot])];
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
        .subcommands()
        .iter()
        .find(|sub| sub.name.as_bytes()[skip..].eq_ignore_ascii_case(word))
}

/// The place in [`ROWS`] of the row with this full name: for tables that are built when their crate
/// is compiled.
#[must_use]
pub const fn row_number(name: &str) -> Option<usize> {
    let (mut start, mut end) = if is_subcommand(name) {
        (COMMAND_COUNT, ROW_COUNT)
    } else {
        (0, COMMAND_COUNT)
    };
    while start < end {
        let middle = usize::midpoint(start, end);
        if is_less(ROWS[middle].name.as_bytes(), name.as_bytes()) {
            start = middle + 1;
        } else {
            end = middle;
        }
    }
    if start == ROW_COUNT || is_less(name.as_bytes(), ROWS[start].name.as_bytes()) {
        return None;
    }
    let found = !is_less(ROWS[start].name.as_bytes(), name.as_bytes());
    if found { Some(start) } else { None }
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

const fn count(with_subcommands: bool) -> usize {
    let (mut topic, mut count) = (0, 0);
    while topic < PARTS.len() {
        let mut part = 0;
        while part < PARTS[topic].len() {
            let rows = PARTS[topic][part].rows;
            let mut at = 0;
            while at < rows.len() {
                if with_subcommands || !is_subcommand(rows[at].name) {
                    count += 1;
                }
                at += 1;
            }
            part += 1;
        }
        topic += 1;
    }
    count
}

/// All rows, as they stand in the files.
const fn joined() -> [&'static Command; ROW_COUNT] {
    let mut rows = [&PARTS[0][0].rows[0]; ROW_COUNT];
    let (mut topic, mut len) = (0, 0);
    while topic < PARTS.len() {
        let mut part = 0;
        while part < PARTS[topic].len() {
            let mut at = 0;
            while at < PARTS[topic][part].rows.len() {
                rows[len] = &PARTS[topic][part].rows[at];
                len += 1;
                at += 1;
            }
            part += 1;
        }
        topic += 1;
    }
    rows
}

/// All rows in the order of [`ROWS`], by merging longer and longer runs.
const fn sorted() -> [&'static Command; ROW_COUNT] {
    let mut rows = joined();
    let mut merged = rows;
    let mut width = 1;
    while width < ROW_COUNT {
        let mut start = 0;
        while start < ROW_COUNT {
            let middle = least(start + width, ROW_COUNT);
            let end = least(start + 2 * width, ROW_COUNT);
            let (mut left, mut right, mut at) = (start, middle, start);
            while at < end {
                let takes_left =
                    right == end || (left < middle && is_before(rows[left], rows[right]));
                let from = if takes_left { &mut left } else { &mut right };
                merged[at] = rows[*from];
                *from += 1;
                at += 1;
            }
            start = end;
        }
        rows = merged;
        width *= 2;
    }
    rows
}

const fn least(a: usize, b: usize) -> usize {
    if a < b { a } else { b }
}

const fn is_before(a: &Command, b: &Command) -> bool {
    match (is_subcommand(a.name), is_subcommand(b.name)) {
        (false, true) => true,
        (true, false) => false,
        _ => is_less(a.name.as_bytes(), b.name.as_bytes()),
    }
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

/// The rows with their numbers and those of their subcommands.
const fn numbered() -> [Command; ROW_COUNT] {
    assert!(ROW_COUNT < EMPTY as usize, "a row's number fits the index");
    let sorted = sorted();
    let mut rows = [*sorted[0]; ROW_COUNT];
    let mut at = 0;
    while at < ROW_COUNT {
        rows[at] = *sorted[at];
        rows[at].number = at as u16;
        if at > 0 {
            assert!(
                is_before(sorted[at - 1], sorted[at]),
                "each name is there once"
            );
        }
        at += 1;
    }
    let mut sub = COMMAND_COUNT;
    while sub < ROW_COUNT {
        let mut container = 0;
        while !is_container_of(rows[container].name, rows[sub].name) {
            container += 1;
        }
        let first = sub;
        while sub < ROW_COUNT && is_container_of(rows[container].name, rows[sub].name) {
            sub += 1;
        }
        rows[container].subcommands = (first as u16, sub as u16);
    }
    rows
}

const fn is_container_of(container: &str, sub: &str) -> bool {
    let (container, sub) = (container.as_bytes(), sub.as_bytes());
    if sub.len() <= container.len() || sub[container.len()] != b'|' {
        return false;
    }
    let mut at = 0;
    while at < container.len() {
        if container[at] != sub[at] {
            return false;
        }
        at += 1;
    }
    true
}

const fn index() -> [u16; SLOTS] {
    let mut index = [EMPTY; SLOTS];
    let mut at = 0;
    while at < COMMAND_COUNT {
        let mut slot = hash(ROWS[at].name.as_bytes());
        while index[slot] != EMPTY {
            slot = (slot + 1) % SLOTS;
        }
        index[slot] = at as u16;
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

    #[test]
    fn every_row_is_found_by_its_full_name() {
        for (at, row) in ROWS.iter().enumerate() {
            assert_eq!((row.number(), row_number(row.name)), (at, Some(at)));
        }
        for name in ["", "aaa", "zzz", "client|zzz", "zzz|zzz", "client|"] {
            assert_eq!(row_number(name), None, "{name}");
        }
        assert!(
            lookup(b"object|encoding").is_none(),
            "no command of its own"
        );
    }

    #[test]
    fn containers_have_all_subcommands() {
        let of_containers: usize = COMMANDS.iter().map(|row| row.subcommands().len()).sum();
        assert_eq!(COMMANDS.len() + of_containers, ROWS.len());
    }
}
