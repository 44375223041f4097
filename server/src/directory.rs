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
//! `coterie_files::Directory` locks the directory, wipes it and refuses newer formats. The token is
//! drawn once per directory, and meta knows the node by it: a wiped disk at the same address is
//! another node.

use std::path::{Path, PathBuf};

use coterie_files::{Directory as Files, FileError, Format};
use coterie_types::NodeId;

use crate::error::RunError;

const FORMAT: Format = Format {
    kind: "coterie server",
    version: 1,
};

/// A directory that this process has locked; unlocked when dropped.
#[derive(Debug)]
pub(crate) struct Directory {
    files: Files,
    token: u128,
    member: Option<(NodeId, u128)>,
}

impl Directory {
    /// Opens the directory, creating it if absent.
    pub(crate) fn open(path: &Path) -> Result<Self, RunError> {
        let files = Files::open(path, FORMAT)?;
        let (token, member) = match files.identity(parse)? {
            Some(identity) => identity,
            None => (draw_token()?, None),
        };
        let directory = Self {
            files,
            token,
            member,
        };
        directory.write_identity()?;
        Ok(directory)
    }

    /// Removes everything that a node has left there, its identity last.
    pub(crate) fn wipe(path: &Path) -> Result<(), RunError> {
        Ok(Files::wipe(path)?)
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
            Some((old_node, old_cluster)) => {
                let reason = format!(
                    "it belongs to node {old_node} of cluster {old_cluster:032x}; meta says \
                     node {node} of cluster {cluster:032x}: point --meta at its own cluster, or \
                     --dir at an empty directory"
                );
                Err(FileError::directory(self.files.path(), reason).into())
            }
            None => {
                self.member = Some((node, cluster));
                self.write_identity()
            }
        }
    }

    /// The log of all groups.
    pub(crate) fn raft(&self) -> PathBuf {
        self.files.path().join("raft")
    }

    /// The replicas' directories.
    pub(crate) fn replicas(&self) -> PathBuf {
        self.files.path().join("replicas")
    }

    /// The map of the cluster as last seen.
    pub(crate) fn catalog(&self) -> PathBuf {
        self.files.path().join("catalog")
    }

    /// The highest fencing number seen.
    pub(crate) fn fence(&self) -> PathBuf {
        self.files.path().join("FENCE")
    }

    fn write_identity(&self) -> Result<(), RunError> {
        let mut pairs = vec![("token", format!("{:032x}", self.token))];
        if let Some((node, cluster)) = self.member {
            pairs.push(("node", node.to_string()));
            pairs.push(("cluster", format!("{cluster:032x}")));
        }
        Ok(self.files.write_identity(&pairs)?)
    }
}

fn draw_token() -> Result<u128, RunError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| RunError::Config(format!("no random bytes for the node's token: {e}")))?;
    Ok(u128::from_le_bytes(bytes))
}

type Identity = (u128, Option<(NodeId, u128)>);

/// Token, node and cluster from the identity's lines.
fn parse(pairs: &[(&str, &str)]) -> Result<Identity, String> {
    let (mut token, mut node, mut cluster) = (None, None, None);
    for (key, value) in pairs {
        match *key {
            "token" => token = u128::from_str_radix(value, 16).ok(),
            "node" => node = value.parse().ok().map(NodeId),
            "cluster" => cluster = u128::from_str_radix(value, 16).ok(),
            _ => return Err(format!("the line `{key} {value}` is not understood")),
        }
    }
    Ok((token.ok_or("it has no token")?, node.zip(cluster)))
}

#[cfg(test)]
mod tests {
    use std::fs;

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
