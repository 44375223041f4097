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
//! `coterie_files::Directory` locks the directory and refuses newer formats.

use std::path::{Path, PathBuf};

use coterie_files::{Directory as Files, FileError, Format};
use coterie_protocol::meta::Birth;

const FORMAT: Format = Format {
    kind: "coterie meta",
    version: 1,
};

/// A directory that this process has locked; unlocked when dropped.
#[derive(Debug)]
pub(crate) struct Directory {
    files: Files,
    member: u64,
    /// 0 before the cluster's birth.
    cluster_id: u128,
}

impl Directory {
    /// Opens the directory of this member, creating it if absent.
    pub(crate) fn open(path: &Path, member: u64) -> Result<Self, FileError> {
        let files = Files::open(path, FORMAT)?;
        let (owner, cluster_id) = files.identity(parse)?.unwrap_or((member, 0));
        if owner != member {
            let reason = format!("it belongs to member {owner}, not to member {member}");
            return Err(FileError::directory(path, reason));
        }
        let directory = Self {
            files,
            member,
            cluster_id,
        };
        directory.write_identity()?;
        Ok(directory)
    }

    /// Records the cluster it belongs to; refuses another cluster than before.
    pub(crate) fn belongs_to(&mut self, cluster_id: u128) -> Result<(), FileError> {
        if self.cluster_id == cluster_id {
            return Ok(());
        }
        if self.cluster_id != 0 {
            let reason = format!(
                "it belongs to cluster {:032x}, and the other members are of cluster \
                 {cluster_id:032x}",
                self.cluster_id
            );
            return Err(FileError::directory(self.files.path(), reason));
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
        self.files.path().join("state")
    }

    /// Path of the state that a restored cluster begins with.
    pub(crate) fn seed(&self) -> PathBuf {
        self.files.path().join("seed")
    }

    /// Path of the log.
    pub(crate) fn raft(&self) -> PathBuf {
        self.files.path().join("raft")
    }

    fn write_identity(&self) -> Result<(), FileError> {
        let member = ("member", self.member.to_string());
        let cluster = ("cluster", format!("{:032x}", self.cluster_id));
        let pairs = [member, cluster];
        let known = if self.cluster_id == 0 { 1 } else { 2 };
        self.files.write_identity(&pairs[..known])
    }
}

/// Member and cluster from the identity's lines.
fn parse(pairs: &[(&str, &str)]) -> Result<(u64, u128), String> {
    let (mut member, mut cluster_id) = (None, 0);
    for (key, value) in pairs {
        match *key {
            "member" => member = value.parse().ok(),
            "cluster" => {
                cluster_id = u128::from_str_radix(value, 16)
                    .map_err(|_| format!("`{value}` is no cluster"))?;
            }
            _ => return Err(format!("the line `{key} {value}` is not understood")),
        }
    }
    Ok((member.ok_or("it names no member")?, cluster_id))
}

#[cfg(test)]
mod tests {
    use std::fs;

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
        fs::write(dir.path().join("IDENTITY"), "coterie meta 2\nnew things\n").unwrap();
        let error = Directory::open(dir.path(), 1).unwrap_err().to_string();
        assert!(error.contains("newer version"), "{error}");
    }
}
