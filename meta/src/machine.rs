//! Meta's side of its Raft group: applies commands to the member's state, and keeps that on disk.
//!
//! The state is in memory; the log makes it durable. A flush writes the snapshot file, and the log
//! below the snapshot may be dropped. After a restart the log above it is applied again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use coterie_files::FileError;
use coterie_protocol::{decode, encode};
use coterie_raft::{Entry, Fault, StateMachine};

use crate::held::Held;
use crate::snapshot::Snapshot;

/// Name of the file in a checkpoint.
const CHECKPOINT: &str = "state";

/// See the module's head.
pub(crate) struct MetaMachine {
    held: Arc<Held>,
    path: PathBuf,
    /// The blob of the snapshot on disk.
    flushed: Option<Bytes>,
}

impl MetaMachine {
    /// Opens the snapshot file, which may not exist yet.
    pub(crate) fn open(path: PathBuf) -> Result<(Self, Arc<Held>), FileError> {
        let snapshot = Snapshot::read(&path)?.unwrap_or_default();
        let flushed = snapshot.applied.clone();
        let held = Arc::new(Held::new(snapshot));
        let machine = Self {
            held: Arc::clone(&held),
            path,
            flushed,
        };
        Ok((machine, held))
    }
}

impl StateMachine for MetaMachine {
    fn apply(&mut self, entries: Vec<Entry>) -> Result<Vec<Bytes>, Fault> {
        let Some(applied) = entries.last().map(|entry| entry.applied.clone()) else {
            return Ok(Vec::new());
        };
        let mut answers = vec![Bytes::new(); entries.len()];
        let mut commands = Vec::new();
        let mut places = Vec::new();
        for (place, entry) in entries.into_iter().enumerate() {
            if let Some(payload) = entry.payload {
                // An unknown command comes from a newer version. To go on would make this member
                // differ.
                let command = decode(&payload)?;
                commands.push((entry.index, payload, command));
                places.push(place);
            }
        }
        let outcomes = self.held.apply(commands, applied);
        for (place, outcome) in places.into_iter().zip(outcomes) {
            answers[place] = encode(&outcome);
        }
        Ok(answers)
    }

    fn applied(&self) -> Option<Bytes> {
        self.held.snapshot().applied.clone()
    }

    fn flush(&mut self) -> Result<(), Fault> {
        let snapshot = self.held.snapshot();
        if snapshot.applied != self.flushed {
            snapshot.write(&self.path)?;
            self.flushed.clone_from(&snapshot.applied);
        }
        Ok(())
    }

    fn durable(&self) -> Result<Option<Bytes>, Fault> {
        Ok(self.flushed.clone())
    }

    fn checkpoint(&mut self, dir: &Path) -> Result<(), Fault> {
        Ok(self.held.snapshot().write(&dir.join(CHECKPOINT))?)
    }

    fn install(&mut self, dir: &Path) -> Result<(), Fault> {
        let path = dir.join(CHECKPOINT);
        let snapshot = Snapshot::read(&path)?
            .ok_or_else(|| FileError::damaged(&path, "it is not in the checkpoint"))?;
        snapshot.write(&self.path)?;
        self.flushed.clone_from(&snapshot.applied);
        self.held.install(snapshot);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use coterie_protocol::meta::{Command, Outcome};
    use coterie_types::{LogIndex, Revision, Term};

    use super::*;

    fn entry(index: u64, command: Option<Command>) -> Entry {
        Entry {
            term: Term(1),
            index: LogIndex(index),
            applied: Bytes::from(index.to_string()),
            payload: command.as_ref().map(encode),
        }
    }

    #[test]
    fn what_is_flushed_is_there_again_and_what_is_not_is_applied_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let (mut machine, _) = MetaMachine::open(path.clone()).unwrap();
        let birth = entry(2, Some(Command::Birth { cluster_id: 7 }));
        let answers = machine.apply(vec![entry(1, None), birth]).unwrap();
        assert_eq!(answers[0], "");
        let done = Outcome::Done {
            revision: Revision(1),
        };
        assert_eq!(decode::<Outcome>(&answers[1]).unwrap(), done);
        machine.flush().unwrap();
        assert_eq!(machine.durable().unwrap(), Some(Bytes::from_static(b"2")));
        let table = Command::CreateTable {
            name: "t".into(),
            split_at: vec![],
        };
        machine.apply(vec![entry(3, Some(table))]).unwrap();
        assert_eq!(machine.applied(), Some(Bytes::from_static(b"3")));

        let (again, held) = MetaMachine::open(path).unwrap();
        assert_eq!(again.applied(), Some(Bytes::from_static(b"2")));
        assert_eq!(held.snapshot().state.catalog.cluster_id, 7);
        assert_eq!(held.snapshot().state.catalog.tables.len(), 16);

        let other = tempfile::tempdir().unwrap();
        machine.checkpoint(other.path()).unwrap();
        let (mut far_behind, held) = MetaMachine::open(other.path().join("own")).unwrap();
        far_behind.install(other.path()).unwrap();
        assert_eq!(held.snapshot().state.catalog.tables.len(), 17);
        far_behind.flush().unwrap();
        assert_eq!(
            far_behind.durable().unwrap(),
            Some(Bytes::from_static(b"3"))
        );
    }

    #[test]
    fn a_command_that_is_not_understood_stops_the_member() {
        let dir = tempfile::tempdir().unwrap();
        let (mut machine, _) = MetaMachine::open(dir.path().join("state")).unwrap();
        let entry = Entry {
            payload: Some(Bytes::from_static(b"\xff\xff")),
            ..entry(1, None)
        };
        assert!(machine.apply(vec![entry]).is_err());
    }
}
