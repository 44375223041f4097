//! The tail of a backup: records of commands, appended and synced batch by batch.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use bytes::{Buf, Bytes};
use coterie_files::FileError;
use coterie_types::{LogIndex, Revision};

use crate::held::Recent;

const HEAD_BYTES: usize = 4 + 4;
const STAMP_BYTES: usize = 8 + 8;

/// A tail that is being written.
#[derive(Debug)]
pub(super) struct Tail {
    file: File,
    pub(super) bytes: u64,
}

/// A command, read back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) index: LogIndex,
    pub(crate) revision: Revision,
    pub(crate) command: Bytes,
}

impl Tail {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = File::create(path)?;
        file.sync_all()?;
        Ok(Self { file, bytes: 0 })
    }

    /// Appends the commands; they are durable when it returns.
    pub(super) fn append(&mut self, commands: &[Recent]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for recent in commands {
            let mut stamped = Vec::with_capacity(STAMP_BYTES + recent.command.len());
            stamped.extend_from_slice(&recent.index.0.to_le_bytes());
            stamped.extend_from_slice(&recent.revision.0.to_le_bytes());
            stamped.extend_from_slice(&recent.command);
            bytes.extend_from_slice(&(stamped.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&crc32fast::hash(&stamped).to_le_bytes());
            bytes.extend_from_slice(&stamped);
        }
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

/// The records of a tail up to the first incomplete or damaged record; an absent file is an empty
/// tail.
pub(super) fn read(path: &Path) -> Result<Vec<Record>, FileError> {
    match fs::read(path) {
        Ok(bytes) => Ok(records(Bytes::from(bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(FileError::io("read", path)(error)),
    }
}

/// The records of a tail with these bytes.
pub(crate) fn records(mut rest: Bytes) -> Vec<Record> {
    let mut records = Vec::new();
    while rest.len() >= HEAD_BYTES {
        let length = rest.get_u32_le() as usize;
        let crc = rest.get_u32_le();
        if length < STAMP_BYTES || length > rest.len() {
            break;
        }
        let mut stamped = rest.split_to(length);
        if crc32fast::hash(&stamped) != crc {
            break;
        }
        records.push(Record {
            index: LogIndex(stamped.get_u64_le()),
            revision: Revision(stamped.get_u64_le()),
            command: stamped,
        });
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_read_up_to_where_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tail");
        assert_eq!(read(&path).unwrap(), []);
        let commands: Vec<Recent> = (1..=3)
            .map(|index| Recent {
                index: LogIndex(index),
                revision: Revision(index + 10),
                command: Bytes::from(vec![7; index as usize]),
                change: None,
            })
            .collect();
        let mut tail = Tail::create(&path).unwrap();
        tail.append(&commands[..2]).unwrap();
        tail.append(&commands[2..]).unwrap();
        let whole = fs::read(&path).unwrap();
        assert_eq!(whole.len() as u64, tail.bytes);
        let indexes = || -> Vec<u64> { read(&path).unwrap().iter().map(|r| r.index.0).collect() };
        assert_eq!(indexes(), [1, 2, 3]);
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(indexes(), [1, 2], "a torn record");
        let mut flipped = whole.clone();
        flipped[HEAD_BYTES + 1] ^= 1;
        fs::write(&path, &flipped).unwrap();
        assert_eq!(indexes(), [0; 0]);
    }
}
