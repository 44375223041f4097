//! The snapshot file: meta's whole state after an entry of its log.
//!
//! ```text
//! "COTMETA\n"   format: u32   length: u64   payload: postcard of `Snapshot`   CRC-32: u32
//! ```
//!
//! Numbers are little endian; the checksum covers everything before it. The same file is the state
//! on disk, the checkpoint that is sent to a member that is far behind, and the base of a backup.
//! It is replaced by rename, so it is never half written; a wrong checksum means a damaged disk.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use coterie_files::{FileError, write_atomically};
use coterie_protocol::{DecodeError, decode, encode};
use coterie_types::{LogIndex, Revision};
use serde::{Deserialize, Serialize};

use crate::catalog::MetaState;

const MAGIC: &[u8; 8] = b"COTMETA\n";
/// The version of the payload. Raise it with any change of [`MetaState`] or of its parts.
const FORMAT: u32 = 6;
const HEAD_BYTES: usize = 8 + 4 + 8;
const CRC_BYTES: usize = 4;

/// Content of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    /// The state.
    pub(crate) state: MetaState,
    /// The last command in it.
    pub(crate) index: LogIndex,
    /// Raft's name for the last entry in it; `None` before the first.
    pub(crate) applied: Option<Bytes>,
}

impl Snapshot {
    /// Orders the states of a cluster, also across restores: the higher age is the newer. The index
    /// begins again with each new log, but the revision goes on. A command that changes no row
    /// leaves the revision as it is; then the index decides.
    pub(crate) fn age(&self) -> (Revision, LogIndex) {
        (self.state.catalog.revision, self.index)
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let payload = encode(self);
        let mut bytes = Vec::with_capacity(HEAD_BYTES + payload.len() + CRC_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&payload);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wrong = |reason: &str| DecodeError::new("meta snapshot", reason);
        let (head, rest) = bytes
            .split_at_checked(HEAD_BYTES)
            .filter(|(head, _)| head.starts_with(MAGIC))
            .ok_or_else(|| wrong("it is not one"))?;
        let format = u32::from_le_bytes(head[8..12].try_into().unwrap_or_default());
        if format != FORMAT {
            return Err(wrong(&format!(
                "it is of format {format}, made by another version; this one knows {FORMAT}"
            )));
        }
        let length = u64::from_le_bytes(head[12..20].try_into().unwrap_or_default());
        let (payload, crc) = rest
            .split_last_chunk::<CRC_BYTES>()
            .filter(|(payload, _)| payload.len() as u64 == length)
            .ok_or_else(|| wrong("it is cut short"))?;
        let summed = &bytes[..HEAD_BYTES + payload.len()];
        if crc32fast::hash(summed) != u32::from_le_bytes(*crc) {
            return Err(wrong("its checksum is wrong"));
        }
        decode(payload)
    }

    /// Replaces the file.
    pub(crate) fn write(&self, path: &Path) -> Result<(), FileError> {
        write_atomically(path, &self.to_bytes()).map_err(FileError::io("write", path))
    }

    /// Reads the file; `None` if there is no file.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, FileError> {
        match fs::read(path) {
            Ok(bytes) => Self::from_bytes(&bytes)
                .map(Some)
                .map_err(|error| FileError::damaged(path, error.reason)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FileError::io("read", path)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use coterie_protocol::meta::Command;

    use super::*;

    fn snapshot() -> Snapshot {
        let mut state = MetaState::default();
        state.apply(Command::Birth { cluster_id: 7 });
        Snapshot {
            state,
            index: LogIndex(9),
            applied: Some(Bytes::from_static(b"raft's")),
        }
    }

    #[test]
    fn a_snapshot_survives_the_disk_and_no_flipped_bit_does() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        assert_eq!(Snapshot::read(&path).unwrap(), None);
        snapshot().write(&path).unwrap();
        assert_eq!(Snapshot::read(&path).unwrap(), Some(snapshot()));
        let bytes = snapshot().to_bytes();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(Snapshot::from_bytes(&damaged).is_err(), "byte {at}");
            assert!(Snapshot::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn the_layout_is_pinned() {
        let bytes = Snapshot::default().to_bytes();
        assert_eq!(&bytes[..12], b"COTMETA\n\x06\0\0\0");
        // Differs when the payload's encoding changed: then `FORMAT` must change, too.
        let bytes = snapshot().to_bytes();
        let crc = bytes.last_chunk::<CRC_BYTES>().unwrap();
        assert_eq!(u32::from_le_bytes(*crc), 415609652);
    }
}
