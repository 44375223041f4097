//! The manifest of a snapshot, and the messages that carry the snapshot.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::type_config::{SnapshotMeta, Vote};

/// Bytes of a chunk.
pub(super) const CHUNK_BYTES: usize = 1 << 20;

/// A file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileEntry {
    /// Its path below the snapshot's directory, `/` between the parts.
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) crc32: u32,
}

/// All files of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) meta: SnapshotMeta,
    pub(super) files: Vec<FileEntry>,
}

impl Manifest {
    /// Reads every file below `dir`: blocks for a time proportional to the snapshot's size.
    pub(super) fn of(dir: &Path, meta: SnapshotMeta) -> io::Result<Self> {
        let mut files = Vec::new();
        list(dir, "", &mut files)?;
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { meta, files })
    }

    /// Identifies a snapshot on both sides, so that a transfer may resume after a broken
    /// connection.
    pub(super) fn id(&self) -> u64 {
        let bytes = coterie_protocol::encode(self);
        let index = self.meta.last_log_id.map_or(0, |log_id| log_id.index);
        (u64::from(crc32fast::hash(&bytes)) << 32) | (index & 0xffff_ffff)
    }

    /// Refuses names that would escape the directory.
    pub(super) fn check_names(&self) -> io::Result<()> {
        let plain = |name: &str| {
            !name.is_empty()
                && Path::new(name)
                    .components()
                    .all(|c| matches!(c, Component::Normal(_)))
        };
        match self.files.iter().find(|file| !plain(&file.name)) {
            Some(file) => Err(io::Error::other(format!(
                "snapshot file name {:?}",
                file.name
            ))),
            None => Ok(()),
        }
    }
}

fn list(dir: &Path, prefix: &str, files: &mut Vec<FileEntry>) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &format!("{name}/"), files)?;
        } else {
            let (size, crc32) = checksum(&entry.path())?;
            files.push(FileEntry { name, size, crc32 });
        }
    }
    Ok(())
}

/// A file's size and CRC-32.
pub(super) fn checksum(path: &Path) -> io::Result<(u64, u32)> {
    let mut file = File::open(path)?;
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((size, hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
        size += read as u64;
    }
}

/// A message of a transfer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum SnapshotRequest {
    /// Announces a snapshot; answered by `Have`.
    Begin { vote: Vote, manifest: Manifest },
    /// A piece of a file; answered by `Taken`.
    Chunk {
        id: u64,
        file: u32,
        offset: u64,
        data: Bytes,
    },
    /// All chunks are sent: verify and install; answered by `Installed`.
    Finish { id: u64, vote: Vote },
}

/// The receiver's answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum SnapshotAnswer {
    /// Bytes that the receiver already has of each file, in the manifest's order.
    Have {
        offsets: Vec<u64>,
    },
    Taken,
    /// Installed, or refused for a higher vote: openraft's response.
    Installed {
        vote: Vote,
    },
    /// The snapshot could not be taken; the sender starts over later.
    Failed(String),
}
