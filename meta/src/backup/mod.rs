//! Backups of meta: every change, on another disk, while this member leads.
//!
//! A backup directory holds pairs of files, named by the entry of the log they begin at and by the
//! member that wrote them, so that several members may share one:
//!
//! ```text
//! meta-<index>-m<member>.snapshot    the state as of that entry (`snapshot`)
//! meta-<index>-m<member>.tail        the commands after it, each synced before the next:
//!                                    length: u32   CRC-32: u32   index: u64   revision: u64   command
//! ```
//!
//! Numbers in the tail are little endian; the length counts from `index` on, and so does the
//! checksum. A tail that ends in half a record was cut by a crash, and counts up to there. When a
//! tail is long, a new pair is begun, and all but the newest few are removed.

mod rebuild;
mod restore;
mod tail;
mod writer;

pub use rebuild::rebuild;
pub use restore::{Restored, restore};
pub(crate) use writer::Writer;

use std::fs;
use std::path::{Path, PathBuf};

use coterie_types::LogIndex;

use crate::RunError;

/// A pair of files of a backup.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    index: LogIndex,
    member: u64,
    dir: PathBuf,
}

impl Pair {
    fn snapshot(&self) -> PathBuf {
        self.file("snapshot")
    }

    fn tail(&self) -> PathBuf {
        self.file("tail")
    }

    fn file(&self, extension: &str) -> PathBuf {
        let (index, member) = (self.index.0, self.member);
        self.dir
            .join(format!("meta-{index:020}-m{member}.{extension}"))
    }

    fn parse(dir: &Path, name: &str) -> Option<Self> {
        let name = name.strip_prefix("meta-")?.strip_suffix(".snapshot")?;
        let (index, member) = name.split_once("-m")?;
        Some(Self {
            index: LogIndex(index.parse().ok()?),
            member: member.parse().ok()?,
            dir: dir.to_path_buf(),
        })
    }
}

/// The pairs in a directory, the oldest first.
fn pairs(dir: &Path) -> Result<Vec<Pair>, RunError> {
    let io = || RunError::io("read the backup directory", dir);
    let mut pairs = Vec::new();
    for entry in fs::read_dir(dir).map_err(io())? {
        let name = entry.map_err(io())?.file_name();
        pairs.extend(name.to_str().and_then(|name| Pair::parse(dir, name)));
    }
    pairs.sort();
    Ok(pairs)
}
