//! From a backup to the directory of a member: the beginning of a restored cluster.

use std::fs;
use std::path::Path;

use coterie_files::FileError;
use coterie_protocol::catalog::Lease;
use coterie_protocol::decode;
use coterie_types::Revision;

use super::pair::{Pair, pairs};
use super::tail;
use crate::directory::Directory;
use crate::snapshot::Snapshot;

/// The last changes before the loss may be missing from the backup. Ids, fencing numbers and
/// revisions that they used must not be used again, so the restored cluster goes on this much
/// higher.
const LEAP: u64 = 100_000;

/// The same for ids of tables, which are fewer.
const TABLES_LEAP: u32 = 1000;

/// The result of a restore.
#[derive(Debug)]
pub struct Restored {
    /// The cluster's id.
    pub cluster_id: u128,
    /// The revision that the backup reached. Of several backups, the highest revision is the
    /// newest, whether the cluster was restored in between or not.
    pub revision: Revision,
    /// Backups that could not be read, and why. Each may have been newer than the backup that was
    /// used, so the operator must hear of them.
    pub unread: Vec<FileError>,
}

/// Creates the directory of `member` from a backup. Do this for every member, from the same backup,
/// before any is started; the first leader then brings the state to all.
///
/// Refuses a directory that is not empty.
pub fn restore(backup_dir: &Path, dir: &Path, member: u64) -> Result<Restored, FileError> {
    let (mut newest, unread) = newest_state(backup_dir)?;
    let restored = Restored {
        cluster_id: newest.state.catalog.cluster_id,
        revision: newest.state.catalog.revision,
        unread,
    };
    leap(&mut newest);
    fs::create_dir_all(dir).map_err(FileError::io("make the directory", dir))?;
    let mut entries = fs::read_dir(dir).map_err(FileError::io("read", dir))?;
    if entries.next().is_some() {
        let reason = "it is not empty, and nothing is overwritten";
        return Err(FileError::directory(dir, reason));
    }
    let mut directory = Directory::open(dir, member)?;
    newest.write(&directory.seed())?;
    directory.belongs_to(restored.cluster_id)?;
    Ok(restored)
}

/// The newest state in a backup directory, and the errors of backups that could not be read.
pub(super) fn newest_state(backup_dir: &Path) -> Result<(Snapshot, Vec<FileError>), FileError> {
    let mut newest: Option<Snapshot> = None;
    let mut unread = Vec::new();
    for pair in pairs(backup_dir)? {
        match state_of(&pair) {
            Ok(state) if newest.as_ref().is_none_or(|n| n.age() <= state.age()) => {
                newest = Some(state);
            }
            Ok(_) => {}
            Err(error) => unread.push(error),
        }
    }
    match newest {
        Some(newest) => Ok((newest, unread)),
        None => Err(unread.pop().unwrap_or_else(|| {
            let reason = "there is no backup of meta in it";
            FileError::directory(backup_dir, reason)
        })),
    }
}

/// The snapshot of a pair, with the commands of its tail applied.
fn state_of(pair: &Pair) -> Result<Snapshot, FileError> {
    let path = pair.snapshot();
    let mut snapshot =
        Snapshot::read(&path)?.ok_or_else(|| FileError::damaged(&path, "it is gone"))?;
    for record in tail::read(&pair.tail())? {
        let command = decode(&record.command)
            .map_err(|error| FileError::damaged(&pair.tail(), error.to_string()))?;
        snapshot.state.apply(command);
        snapshot.index = record.index;
        if snapshot.state.catalog.revision != record.revision {
            let reason = format!("entry {} does not lead where it led", record.index);
            return Err(FileError::damaged(&pair.tail(), reason));
        }
    }
    Ok(snapshot)
}

fn leap(snapshot: &mut Snapshot) {
    let state = &mut snapshot.state;
    state.catalog.revision.0 += LEAP;
    state.next.node += LEAP;
    state.next.group += LEAP;
    state.next.range += LEAP;
    state.next.job += LEAP;
    state.next.table += TABLES_LEAP;
    state.catalog.lease = Lease {
        fence: state.catalog.lease.fence + LEAP,
        ..Lease::default()
    };
    snapshot.applied = None;
}

#[cfg(test)]
mod tests {
    use coterie_protocol::meta::Command;
    use coterie_types::LogIndex;

    use super::*;

    /// A backup of a state at this revision.
    fn back_up(dir: &Path, revision: u64) -> Pair {
        let mut snapshot = Snapshot::default();
        snapshot.state.apply(Command::Birth { cluster_id: 7 });
        snapshot.state.catalog.revision = Revision(revision);
        snapshot.index = LogIndex(3);
        let pair = Pair::new(dir, &snapshot, 2);
        snapshot.write(&pair.snapshot()).unwrap();
        pair
    }

    #[test]
    fn restoring_overwrites_nothing_and_gives_no_id_twice() {
        let backup = tempfile::tempdir().unwrap();
        let error = restore(backup.path(), backup.path(), 1).unwrap_err();
        assert!(error.to_string().contains("no backup"), "{error}");
        back_up(backup.path(), 1);
        let dir = tempfile::tempdir().unwrap();
        let restored = restore(backup.path(), dir.path(), 1).unwrap();
        assert_eq!((restored.cluster_id, restored.revision), (7, Revision(1)));
        assert!(restored.unread.is_empty());
        let error = restore(backup.path(), dir.path(), 1).unwrap_err();
        assert!(error.to_string().contains("not empty"), "{error}");
        let mut directory = Directory::open(dir.path(), 1).unwrap();
        let seed = Snapshot::read(&directory.seed()).unwrap().unwrap();
        assert!(directory.belongs_to(8).is_err() && directory.belongs_to(7).is_ok());
        assert!(seed.state.next.node > LEAP && seed.state.catalog.lease.fence >= LEAP);
    }

    #[test]
    fn a_backup_that_cannot_be_read_is_named() {
        let backup = tempfile::tempdir().unwrap();
        back_up(backup.path(), 1);
        let newer = back_up(backup.path(), 2);
        let mut bytes = fs::read(newer.snapshot()).unwrap();
        bytes[30] ^= 1;
        fs::write(newer.snapshot(), bytes).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let restored = restore(backup.path(), dir.path(), 1).unwrap();
        assert_eq!(restored.revision, Revision(1));
        let told: Vec<String> = restored.unread.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 1);
        assert!(told[0].contains(&newer.stem), "{told:?}");
    }
}
