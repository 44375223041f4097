//! A node's directory: its identity and its data, locked by the process that uses it.
//!
//! ```text
//! LOCK            locked by the process that runs
//! IDENTITY        text: `coterie server 1`, `token HEX`, then, once meta has answered,
//!                 `node N` and `cluster HEX`
//! FENCE           text: the highest fencing number of a controller seen
//! catalog         the map of the cluster as last seen, for when meta is away
//! raft/           the log of all groups, and snapshots in progress (`coterie-raft`)
//! replicas/<id>/  a replica's store (`replica::place`)
//! ```
//!
//! The first line carries the format's version; a newer version is refused. The token is drawn once
//! per directory, and meta knows the node by it: a wiped disk at the same address is another node.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use coterie_files::{Lock, LockError, write_atomically};
use coterie_types::NodeId;

use crate::error::RunError;

/// Version of the directory's format.
const FORMAT: u32 = 1;
const KIND: &str = "coterie server";

/// A directory that this process has locked; unlocked when dropped.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    token: u128,
    member: Option<(NodeId, u128)>,
    _lock: Lock,
}

impl Directory {
    /// Opens the directory, creating it if absent.
    pub(crate) fn open(path: &Path) -> Result<Self, RunError> {
        fs::create_dir_all(path).map_err(RunError::io("make the directory", path))?;
        let lock = lock(path)?;
        let identity = path.join("IDENTITY");
        let (token, member) = match fs::read_to_string(&identity) {
            Ok(text) => parse(&text).map_err(|reason| RunError::Directory {
                dir: path.to_path_buf(),
                reason,
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => (draw_token()?, None),
            Err(error) => return Err(RunError::io("read", &identity)(error)),
        };
        let directory = Self {
            path: path.to_path_buf(),
            token,
            member,
            _lock: lock,
        };
        directory.write_identity()?;
        Ok(directory)
    }

    /// Removes all that a node has left there, its identity last: a crash in between leaves it that
    /// node.
    pub(crate) fn wipe(path: &Path) -> Result<(), RunError> {
        let _lock = lock(path)?;
        let failed = |error| RunError::io("wipe", path)(error);
        for entry in fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if name == Lock::NAME || name == "IDENTITY" {
                continue;
            }
            match entry.file_type().map_err(failed)?.is_dir() {
                true => fs::remove_dir_all(entry.path()).map_err(failed)?,
                false => fs::remove_file(entry.path()).map_err(failed)?,
            }
        }
        match fs::remove_file(path.join("IDENTITY")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        }
    }

    /// The token by which meta knows this node.
    pub(crate) fn token(&self) -> u128 {
        self.token
    }

    /// The node's id and its cluster's, if meta has given them.
    pub(crate) fn member(&self) -> Option<(NodeId, u128)> {
        self.member
    }

    /// Records the ids that meta answered; refuses another cluster or node than before.
    pub(crate) fn belongs_to(&mut self, node: NodeId, cluster: u128) -> Result<(), RunError> {
        match self.member {
            Some(before) if before == (node, cluster) => Ok(()),
            Some((old_node, old_cluster)) => Err(RunError::Directory {
                dir: self.path.clone(),
                reason: format!(
                    "it belongs to node {old_node} of cluster {old_cluster:032x}; meta says \
                     node {node} of cluster {cluster:032x}: point --meta at its own cluster, or \
                     --dir at an empty directory"
                ),
            }),
            None => {
                self.member = Some((node, cluster));
                self.write_identity()
            }
        }
    }

    /// The log of all groups.
    pub(crate) fn raft(&self) -> PathBuf {
        self.path.join("raft")
    }

    /// The replicas' directories.
    pub(crate) fn replicas(&self) -> PathBuf {
        self.path.join("replicas")
    }

    /// The map of the cluster as last seen.
    pub(crate) fn catalog(&self) -> PathBuf {
        self.path.join("catalog")
    }

    /// The highest fencing number seen.
    pub(crate) fn fence(&self) -> PathBuf {
        self.path.join("FENCE")
    }

    fn write_identity(&self) -> Result<(), RunError> {
        let mut text = format!("{KIND} {FORMAT}\ntoken {:032x}\n", self.token);
        if let Some((node, cluster)) = self.member {
            text.push_str(&format!("node {node}\ncluster {cluster:032x}\n"));
        }
        let path = self.path.join("IDENTITY");
        write_atomically(&path, text.as_bytes()).map_err(RunError::io("write", &path))
    }
}

fn draw_token() -> Result<u128, RunError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| RunError::Config(format!("no random bytes for the node's token: {e}")))?;
    Ok(u128::from_le_bytes(bytes))
}

fn lock(dir: &Path) -> Result<Lock, RunError> {
    Lock::take(dir).map_err(|error| match error {
        LockError::InUse => RunError::Directory {
            dir: dir.to_path_buf(),
            reason: "another process is using it".to_owned(),
        },
        LockError::Io(error) => RunError::io("lock", &dir.join(Lock::NAME))(error),
    })
}

type Identity = (u128, Option<(NodeId, u128)>);

fn parse(text: &str) -> Result<Identity, String> {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let version = first
        .strip_prefix(KIND)
        .and_then(|version| version.trim().parse::<u32>().ok())
        .ok_or_else(|| format!("its IDENTITY is not a server's: `{first}`"))?;
    if version > FORMAT {
        return Err(format!(
            "its format is {version}; this version of Coterie knows {FORMAT}"
        ));
    }
    let (mut token, mut node, mut cluster) = (None, None, None);
    for line in lines {
        match line.split_once(' ') {
            Some(("token", hex)) => token = u128::from_str_radix(hex, 16).ok(),
            Some(("node", id)) => node = id.parse().ok().map(NodeId),
            Some(("cluster", hex)) => cluster = u128::from_str_radix(hex, 16).ok(),
            _ => return Err(format!("its IDENTITY has a line `{line}`")),
        }
    }
    let token = token.ok_or("its IDENTITY has no token")?;
    Ok((token, node.zip(cluster)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_node_keeps_its_token_and_its_cluster() {
        let dir = tempfile::tempdir().unwrap();
        let mut directory = Directory::open(dir.path()).unwrap();
        let token = directory.token();
        directory.belongs_to(NodeId(4), 77).unwrap();
        drop(directory);
        let mut directory = Directory::open(dir.path()).unwrap();
        assert_eq!(
            (directory.token(), directory.member()),
            (token, Some((NodeId(4), 77)))
        );
        let error = directory.belongs_to(NodeId(4), 78).unwrap_err();
        assert!(error.to_string().contains("belongs to node 4"), "{error}");
    }

    #[test]
    fn a_wiped_directory_is_a_new_node() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(dir.path()).unwrap();
        let token = directory.token();
        fs::create_dir_all(directory.replicas().join("7/store-0")).unwrap();
        assert!(Directory::wipe(dir.path()).is_err(), "it is in use");
        drop(directory);
        Directory::wipe(dir.path()).unwrap();
        let directory = Directory::open(dir.path()).unwrap();
        assert!(directory.token() != token && !directory.replicas().exists());
    }

    #[test]
    fn two_processes_and_newer_formats_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let first = Directory::open(dir.path()).unwrap();
        let error = Directory::open(dir.path()).unwrap_err();
        assert!(
            error.to_string().contains("another process is using it"),
            "{error}"
        );
        drop(first);
        fs::write(dir.path().join("IDENTITY"), "coterie server 9\n").unwrap();
        let error = Directory::open(dir.path()).unwrap_err();
        assert!(error.to_string().contains("its format is 9"), "{error}");
        fs::write(dir.path().join("IDENTITY"), "coterie meta 1\n").unwrap();
        assert!(Directory::open(dir.path()).is_err());
    }
}
