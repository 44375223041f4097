//! The append-only log of a node: a single raft-engine for all groups. Callers: `node`, `group`,
//! `purge`.
//!
//! - `engine` owns raft-engine and the only writer thread, which combines the queued jobs of all
//!   groups into a single write and fsync.
//! - `store` is a group's view of the log as openraft wants it, with the newest entries in memory
//!   (`tail`) and sizes by index (`sizes`).
//! - `record` is the format of an entry on disk, `keys` names the values beside the entries.
//! - `damage` checks the newest file before the engine opens it; `end` notes where the acknowledged
//!   log ends.
//! - `broken` handles a failed fsync; `fault` makes writes slow, or fail, in tests.

mod broken;
mod damage;
mod end;
mod engine;
mod fault;
#[cfg(test)]
mod fuzz;
mod keys;
mod record;
mod sizes;
mod store;
mod tail;

pub(crate) use engine::LogEngine;
pub(crate) use keys::TailState;
pub(crate) use sizes::LogSizes;
pub(crate) use store::GroupLog;
pub(crate) use tail::entry_bytes;

#[cfg(test)]
pub(crate) use record::log_id;
