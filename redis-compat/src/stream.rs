//! The stream commands: entries in the order of their ids, and groups of consumers that share them.
//!
//! ```text
//! id.rs       ids of entries
//! node.rs     the nodes in which Redis would keep the entries
//! head.rs     the head: counters and hints
//! body.rs     the elements: packed behind the head, or records of their own
//! value.rs    the handle, and its record
//! entry.rs    adding, reading and deleting entries
//! trim.rs     removing entries from the front
//! group.rs    groups; consumer.rs: their consumers; pel.rs: their pending entries
//! refs.rs     what becomes of pending entries when an entry is deleted
//! payload.rs  DUMP; load.rs: RESTORE
//! ```
//!
//! The other files are commands. `XREAD` and `XREADGROUP` here never wait: with `BLOCK` and nothing
//! to return they answer null, as Redis does within `MULTI`.

mod ack;
mod add;
mod autoclaim;
mod body;
mod claim;
mod consumer;
mod del;
mod entry;
mod group;
mod head;
mod id;
mod info;
mod load;
mod node;
mod payload;
mod pel;
mod pending;
mod range;
mod read;
mod readgroup;
mod refs;
mod setid;
#[cfg(test)]
mod tests;
mod trim;
mod value;
mod xgroup;

use bytes::Bytes;

pub(crate) use load::take_payload;
pub(crate) use payload::{is_payload, put_payload};
pub use read::resolve_read_ids;
pub(crate) use value::Stream;

use crate::CommandError;
use crate::command::Part;
use id::until_nul;

pub(crate) const PARTS: &[Part] = &[
    ack::PART,
    add::PART,
    autoclaim::PART,
    claim::PART,
    del::PART,
    id::PART,
    info::PART,
    pending::PART,
    range::PART,
    read::PART,
    readgroup::PART,
    setid::PART,
    trim::PART,
    xgroup::PART,
];

/// There is no such key or group; `after` ends the line.
fn no_key_or_group(key: &[u8], group: &[u8], after: &str) -> CommandError {
    let (key, group) = (until_nul(key), until_nul(group));
    let start: &[u8] = b"NOGROUP No such key '";
    let line = [
        start,
        key,
        b"' or consumer group '",
        group,
        b"'",
        after.as_bytes(),
    ];
    CommandError::Quoting(Bytes::from(line.concat()))
}

/// The key has no such group.
fn no_group(key: &[u8], group: &[u8]) -> CommandError {
    let (key, group) = (until_nul(key), until_nul(group));
    let start: &[u8] = b"NOGROUP No such consumer group '";
    let line = [start, group, b"' for key name '", key, b"'"];
    CommandError::Quoting(Bytes::from(line.concat()))
}

/// The words of a subcommand make no sense.
fn wrong_subcommand(container: &str, word: &[u8]) -> CommandError {
    let before = "unknown subcommand or wrong number of arguments for '";
    CommandError::quoting(before, word, &format!("'. Try {container} HELP."))
}
