//! Backups of meta: every change, on another disk, while this member leads.
//!
//! A backup directory holds pairs of files. Their names give the state they begin with and the
//! member that wrote them, so that several members may share a directory:
//!
//! ```text
//! meta-<revision>-<index>-m<member>.snapshot
//!     the state after that entry of the log (`snapshot`)
//! meta-<revision>-<index>-m<member>.tail
//!     the commands after it, each synced before the next:
//!     length: u32   CRC-32: u32   index: u64   revision: u64   command
//! ```
//!
//! Of two states, the higher revision is the newer; at equal revisions, the higher index. The index
//! alone would not do: a restored cluster has a new log, which begins at its first entry again,
//! while its revision goes on above that of the backup. Earlier versions named pairs
//! `meta-<index>-m<member>`; the revision of these is in the snapshot.
//!
//! Numbers in the tail are little endian; the length counts from `index` on, and so does the
//! checksum. A crash may cut the last record short; the records before it count. When a tail is
//! long, a new pair is begun, and all but the newest few pairs are removed.

mod pair;
mod rebuild;
mod restore;
mod tail;
mod writer;

pub use rebuild::rebuild;
pub use restore::{Restored, restore};
#[cfg(test)]
pub(crate) use tail::records;
pub(crate) use writer::Writer;
