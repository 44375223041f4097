//! The append-only log of a node: one raft-engine for all groups.
//!
//! `engine` owns it and the one thread that writes: it gathers what all groups have queued and
//! does one write and one fsync for all. `store` is a group's view as openraft wants it, with the
//! newest entries in memory (`tail`) and its size by index (`sizes`). `record` is what an entry looks like on disk. `fault` makes
//! writes slow, or fail, in tests. `broken` is what a failed fsync does. `damage` looks at the newest
//! file before the engine does, and `end` says what that should hold.

mod broken;
mod damage;
mod end;
mod engine;
mod fault;
mod record;
mod sizes;
mod store;
mod tail;

pub(crate) use engine::LogEngine;
pub(crate) use sizes::LogSizes;
pub(crate) use store::{GroupLog, TailState};
pub(crate) use tail::entry_bytes;

#[cfg(test)]
pub(crate) use record::log_id;
