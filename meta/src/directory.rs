//! A member's directory: its identity and its data, locked by the process that uses it.
//!
//! ```text
//! LOCK          locked by the process that runs
//! IDENTITY      text: `coterie meta 1`, `member N`, `cluster HEX` (from the cluster's birth on)
//! state         the catalog after an entry of the log (`snapshot`)
//! seed          the state a restored cluster begins with (`backup`); gone once it has begun
//! raft/         the log (`coterie-raft`)
//! ```
//!
//! The first line carries the format's version; a newer version is refused.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use coterie_files::{Lock, LockError, write_atomically};
use coterie_protocol::meta::Birth;

use crate::RunError;

/// Version of the directory's format.
const FORMAT: u32 = 1;

const IDENTITY: &str = "IDENTITY";

/// A directory that this process has locked; unlocked when dropped.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    member: u64,
    /// 0 before the cluster's birth.
    cluster_id: u128,
    _lock: Lock,
}

impl Directory {
    /// Opens the directory of this member, creating it if absent.
    pub(crate) fn open(path: &Path, member: u64) -> Result<Self, RunError> {
        fs::create_dir_all(path).map_err(RunError::io("make the directory", path))?;
        let lock = lock(path)?;
        let identity = path.join(IDENTITY);
        let cluster_id = match fs::read_to_string(&identity) {
            Ok(text) => {
                let (owner, cluster_id) =
                    parse(&text).map_err(|reason| RunError::damaged(&identity, reason))?;
                if owner != member {
                    let reason = format!("it belongs to member {owner}, not to member {member}");
                    return Err(RunError::directory(path, reason));
                }
                cluster_id
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(RunError::io("read", &identity)(error)),
        };
        let directory = Self {
            path: path.to_path_buf(),
            member,
            cluster_id,
            _lock: lock,
        };
        directory.write_identity()?;
        Ok(directory)
    }

    /// Records the cluster it belongs to; refuses another cluster than before.
    pub(crate) fn belongs_to(&mut self, cluster_id: u128) -> Result<(), RunError> {
        if self.cluster_id == cluster_id {
            return Ok(());
        }
        if self.cluster_id != 0 {
            let reason = format!(
                "it belongs to cluster {:032x}, and the other members are of cluster \
                 {cluster_id:032x}",
                self.cluster_id
            );
            return Err(RunError::directory(&self.path, reason));
        }
        self.cluster_id = cluster_id;
        self.write_identity()
    }

    /// The stage of the cluster's birth, as far as this directory shows.
    pub(crate) fn birth(&self) -> Birth {
        match (self.seed().exists(), self.cluster_id) {
            (true, _) => Birth::Restored,
            (false, 0) => Birth::Unborn,
            (false, _) => Birth::Born,
        }
    }

    /// Path of the snapshot.
    pub(crate) fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    /// Path of the state that a restored cluster begins with.
    pub(crate) fn seed(&self) -> PathBuf {
        self.path.join("seed")
    }

    /// Path of the log.
    pub(crate) fn raft(&self) -> PathBuf {
        self.path.join("raft")
    }

    fn write_identity(&self) -> Result<(), RunError> {
        let mut text = format!("coterie meta {FORMAT}\nmember {}\n", self.member);
        if self.cluster_id != 0 {
            text.push_str(&format!("cluster {:032x}\n", self.cluster_id));
        }
        let path = self.path.join(IDENTITY);
        write_atomically(&path, text.as_bytes()).map_err(RunError::io("write", &path))
    }
}

fn lock(dir: &Path) -> Result<Lock, RunError> {
    Lock::take(dir).map_err(|error| match error {
        LockError::InUse => RunError::directory(dir, "another process is using it"),
        LockError::Io(error) => RunError::io("lock", &dir.join(Lock::NAME))(error),
    })
}

/// Member and cluster from the identity's text.
fn parse(text: &str) -> Result<(u64, u128), String> {
    let mut lines = text.lines();
    let format = lines
        .next()
        .and_then(|line| line.strip_prefix("coterie meta "));
    let format: u32 = format
        .and_then(|format| format.parse().ok())
        .ok_or("it is not the identity of a meta member")?;
    if format > FORMAT {
        return Err(format!(
            "it is of format {format}, made by a newer version; this one knows up to {FORMAT}"
        ));
    }
    let mut member = None;
    let mut cluster_id = 0;
    for line in lines {
        match line.split_once(' ') {
            Some(("member", id)) => member = id.parse().ok(),
            Some(("cluster", id)) => {
                cluster_id =
                    u128::from_str_radix(id, 16).map_err(|_| format!("`{line}` is no cluster"))?;
            }
            _ => return Err(format!("`{line}` is not understood")),
        }
    }
    Ok((member.ok_or("it names no member")?, cluster_id))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_directory_is_one_process_one_member_one_cluster() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Directory::open(dir.path(), 2).unwrap();
        assert_eq!((first.cluster_id, first.birth()), (0, Birth::Unborn));
        let second = Directory::open(dir.path(), 2).unwrap_err().to_string();
        assert!(second.contains("another process"), "{second}");
        first.belongs_to(0xabc).unwrap();
        drop(first);
        let mut again = Directory::open(dir.path(), 2).unwrap();
        assert_eq!((again.cluster_id, again.birth()), (0xabc, Birth::Born));
        assert!(again.belongs_to(0xdef).is_err());
        drop(again);
        let other = Directory::open(dir.path(), 1).unwrap_err().to_string();
        assert!(other.contains("member 2"), "{other}");
    }

    #[test]
    fn a_newer_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(IDENTITY), "coterie meta 2\nnew things\n").unwrap();
        let error = Directory::open(dir.path(), 1).unwrap_err().to_string();
        assert!(error.contains("newer version"), "{error}");
    }
}
