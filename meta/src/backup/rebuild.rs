//! Makes a backup from the servers' knowledge, when meta and all its backups are lost.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use coterie_files::FileError;
use coterie_protocol::catalog::Catalog;
use coterie_types::{LogIndex, NodeId, Revision};

use super::pair::{Pair, pairs};
use crate::catalog::{MetaState, NextIds, REDIS_TABLES};
use crate::snapshot::Snapshot;

/// Writes a backup that holds this catalog; `tokens` maps registration tokens to nodes. Returns the
/// revision of the backup. It is restored like any other backup: ids and numbers go on far above
/// those in it.
///
/// Refuses a directory that has backups: the newest of those is better.
pub fn rebuild(
    catalog: Catalog,
    tokens: BTreeMap<u128, NodeId>,
    backup_dir: &Path,
) -> Result<Revision, FileError> {
    fs::create_dir_all(backup_dir).map_err(FileError::io("make the directory", backup_dir))?;
    if !pairs(backup_dir)?.is_empty() {
        let reason = "there are backups of meta in it: restore from them";
        return Err(FileError::directory(backup_dir, reason));
    }
    let revision = catalog.revision;
    let snapshot = Snapshot {
        state: state_of(catalog, tokens),
        index: LogIndex(0),
        applied: None,
    };
    let pair = Pair::new(backup_dir, &snapshot, 0);
    snapshot.write(&pair.snapshot())?;
    Ok(revision)
}

fn state_of(catalog: Catalog, registrations: BTreeMap<u128, NodeId>) -> MetaState {
    let after = |highest: Option<u64>| highest.unwrap_or(0) + 1;
    let ranges = catalog.ranges.keys().chain(catalog.dropped.keys());
    let next = NextIds {
        node: after(catalog.nodes.keys().map(|id| id.0).max()),
        group: after(catalog.groups.keys().map(|id| id.0).max()),
        range: after(ranges.map(|id| id.0).max()),
        job: after(catalog.jobs.keys().map(|id| id.0).max()),
        table: catalog
            .tables
            .keys()
            .map(|id| id.0 + 1)
            .max()
            .unwrap_or(0)
            .max(REDIS_TABLES),
    };
    MetaState {
        clock: catalog.lease.until,
        catalog,
        next,
        registrations,
    }
}

#[cfg(test)]
mod tests {
    use coterie_protocol::meta::{Command, Outcome};

    use super::super::restore;
    use super::*;
    use crate::directory::Directory;

    fn register(state: &mut MetaState, token: u128) -> NodeId {
        let command = Command::RegisterNode {
            token,
            addr: format!("127.0.0.1:{token}"),
            zone: String::new(),
            host: String::new(),
            capacity_bytes: 0,
        };
        match state.apply(command).outcome {
            Outcome::Registered { node_id, .. } => node_id,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_rebuilt_is_restored_and_knows_its_nodes() {
        let mut lost = MetaState::default();
        lost.apply(Command::Birth { cluster_id: 7 });
        let (one, two) = (register(&mut lost, 11), register(&mut lost, 22));
        let backup = tempfile::tempdir().unwrap();
        let tokens = BTreeMap::from([(11, one), (22, two)]);
        let revision = rebuild(lost.catalog.clone(), tokens.clone(), backup.path()).unwrap();
        assert_eq!(revision, lost.catalog.revision);
        let again = rebuild(lost.catalog.clone(), tokens, backup.path()).unwrap_err();
        assert!(again.to_string().contains("there are backups"), "{again}");
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(restore(backup.path(), dir.path(), 1).unwrap().cluster_id, 7);
        let directory = Directory::open(dir.path(), 1).unwrap();
        let seed = Snapshot::read(&directory.seed()).unwrap().unwrap();
        let mut state = seed.state;
        assert_eq!(state.catalog.nodes, lost.catalog.nodes);
        assert_eq!(register(&mut state, 22), two);
        assert!(
            register(&mut state, 33).0 > two.0 + 1000,
            "of a time that is lost"
        );
    }
}
