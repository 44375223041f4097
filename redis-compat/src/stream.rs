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
mod refusal;
mod setid;
#[cfg(test)]
mod tests;
mod trim;
mod value;
mod xgroup;

pub(crate) use load::take_payload;
pub(crate) use payload::{is_payload, put_payload};
pub use read::resolve_read_ids;
pub(crate) use value::Stream;

use crate::command::Part;

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
    refusal::PART,
    setid::PART,
    trim::PART,
    xgroup::PART,
];
