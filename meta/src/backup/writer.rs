//! Writes the backup while this member leads: first a snapshot, then each command.
//!
//! Runs in a task beside the group, so that a slow or full backup disk delays only the backup.
//! After a failure, or when it is too far behind, it begins a new pair of files.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use coterie_files::{FileError, sync_parent};
use coterie_raft::Group;
use coterie_types::LogIndex;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::pair::{Pair, pairs};
use super::tail::Tail;
use crate::held::{Held, News};
use crate::snapshot::Snapshot;

/// A tail longer than this is followed by a new snapshot.
const TAIL_BYTES_MAX: u64 = 4 << 20;

/// Pairs of files that are kept.
const PAIRS_KEPT: usize = 3;

/// Pause between two checks whether this member leads.
const PAUSE: Duration = Duration::from_millis(200);

/// Pause after a failure.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// See the module's head.
pub(crate) struct Writer {
    dir: PathBuf,
    member: u64,
    held: Arc<Held>,
    open: Option<Open>,
}

struct Open {
    tail: Tail,
    /// The last command in the backup.
    index: LogIndex,
}

impl Writer {
    pub(crate) fn new(dir: PathBuf, member: u64, held: Arc<Held>) -> Self {
        Self {
            dir,
            member,
            held,
            open: None,
        }
    }

    /// Backs up until `stop`.
    pub(crate) async fn run(mut self, group: Group, stop: CancellationToken) {
        let mut positions = self.held.positions();
        while !stop.is_cancelled() {
            let mut pause = PAUSE;
            if group.status().is_leader {
                let (writer, written) = self.step_in_background().await;
                self = writer;
                if let Err(failure) = written {
                    error!(
                        error = &failure as &dyn std::error::Error,
                        "meta is not backed up"
                    );
                    self.open = None;
                    pause = PAUSE_AFTER_FAILURE;
                }
            } else {
                self.open = None;
            }
            tokio::select! {
                changed = positions.changed(), if self.open.is_some() => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn step_in_background(mut self) -> (Self, Result<(), FileError>) {
        let (dir, member, held) = (self.dir.clone(), self.member, Arc::clone(&self.held));
        let stepped = tokio::task::spawn_blocking(move || {
            let written = self.step();
            (self, written)
        });
        match stepped.await {
            Ok(stepped) => stepped,
            Err(error) => {
                let failure = FileError::damaged(&dir, error.to_string());
                (Self::new(dir, member, held), Err(failure))
            }
        }
    }

    /// Backs up new commands.
    fn step(&mut self) -> Result<(), FileError> {
        let Some(open) = &mut self.open else {
            return self.begin();
        };
        match self.held.commands_after(open.index) {
            News::Whole(_) => self.begin(),
            News::Items(commands) => {
                let Some(last) = commands.last() else {
                    return Ok(());
                };
                open.tail
                    .append(&commands)
                    .map_err(FileError::io("append to a tail in", &self.dir))?;
                open.index = last.index;
                if open.tail.bytes > TAIL_BYTES_MAX {
                    self.begin()?;
                }
                Ok(())
            }
        }
    }

    /// Begins a new pair of files with the current state.
    fn begin(&mut self) -> Result<(), FileError> {
        let snapshot = self.held.snapshot();
        let cluster_id = snapshot.state.catalog.cluster_id;
        if cluster_id == 0 {
            return Ok(());
        }
        let dir = &self.dir;
        fs::create_dir_all(dir).map_err(FileError::io("make the directory", dir))?;
        let before = pairs(dir)?;
        if let Some(newest) = before.last()
            && let Some(theirs) = Snapshot::read(&newest.snapshot())?
            && theirs.state.catalog.cluster_id != cluster_id
        {
            let theirs = theirs.state.catalog.cluster_id;
            let reason = format!("it holds the backup of another cluster, {theirs:032x}");
            return Err(FileError::directory(dir, reason));
        }
        let pair = Pair::new(dir, &snapshot, self.member);
        // The tail first: a snapshot without its tail would look complete.
        let tail = Tail::create(&pair.tail()).map_err(FileError::io("make", &pair.tail()))?;
        snapshot.write(&pair.snapshot())?;
        let (index, revision) = (snapshot.index, snapshot.state.catalog.revision);
        info!(log_index = %index, %revision, "a new backup of meta begins");
        self.open = Some(Open { tail, index });
        self.remove_old(before, &pair)
    }

    fn remove_old(&self, before: Vec<Pair>, newest: &Pair) -> Result<(), FileError> {
        let mut old: Vec<Pair> = before.into_iter().filter(|pair| pair != newest).collect();
        let remove = (old.len() + 1).saturating_sub(PAIRS_KEPT);
        for pair in old.drain(..remove) {
            for path in [pair.snapshot(), pair.tail()] {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(FileError::io("remove", &path)(error));
                    }
                    _ => {}
                }
            }
        }
        sync_parent(&newest.snapshot()).map_err(FileError::io("sync", &self.dir))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use coterie_protocol::encode;
    use coterie_protocol::meta::Command;

    use super::super::restore::{newest_state, restore};
    use super::*;
    use crate::directory::Directory;

    fn apply(held: &Held, index: u64, command: Command) {
        let commands = vec![(LogIndex(index), encode(&command), command)];
        held.apply(commands, Bytes::new());
    }

    fn table(number: u64) -> Command {
        Command::CreateTable {
            split_at: vec![],
            name: format!("t{number}"),
        }
    }

    #[test]
    fn what_is_backed_up_is_what_is_held_and_files_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let held = Arc::new(Held::new(Snapshot::default()));
        let mut writer = Writer::new(dir.path().join("b"), 1, Arc::clone(&held));
        writer.step().unwrap();
        assert!(writer.open.is_none(), "nothing before birth");
        apply(&held, 1, Command::Birth { cluster_id: 7 });
        for number in 2..40 {
            writer.step().unwrap();
            apply(&held, number, table(number));
            if number % 5 == 0 {
                // As after a change of leader.
                writer.open = None;
            }
        }
        writer.step().unwrap();
        let (newest, unread) = newest_state(&dir.path().join("b")).unwrap();
        assert!(unread.is_empty());
        let held = held.snapshot();
        assert_eq!((newest.index, &newest.state), (held.index, &held.state));
        assert_eq!(
            fs::read_dir(dir.path().join("b")).unwrap().count(),
            2 * PAIRS_KEPT
        );
    }

    #[test]
    fn a_backup_of_a_restored_cluster_is_newer_than_the_one_it_came_from() {
        let backup = tempfile::tempdir().unwrap();
        let mut state = Snapshot::default();
        state.state.apply(Command::Birth { cluster_id: 7 });
        let mut tables = Vec::new();
        for (log_began_at, number) in [(900, 1), (2, 2), (2, 3), (500, 4)] {
            // Each log is a new one: after each loss it begins again, from the backup.
            let held = Arc::new(Held::new(state));
            let mut writer = Writer::new(backup.path().to_path_buf(), 1, Arc::clone(&held));
            for step in 0..5 {
                // As after a change of leader; pairs are removed all the while.
                writer.open = None;
                writer.step().unwrap();
                apply(&held, log_began_at + step, table(10 * number + step));
                tables.push(format!("t{}", 10 * number + step));
                writer.step().unwrap();
            }
            let lost = held.snapshot();
            let dir = tempfile::tempdir().unwrap();
            let restored = restore(backup.path(), dir.path(), 1).unwrap();
            assert_eq!(restored.revision, lost.state.catalog.revision);
            let seed = Directory::open(dir.path(), 1).unwrap().seed();
            state = Snapshot::read(&seed).unwrap().unwrap();
            let catalog = &state.state.catalog;
            assert_eq!(catalog.tables, lost.state.catalog.tables);
            assert!(state.state.next.table > lost.state.next.table + 100);
            for name in &tables {
                assert!(catalog.tables.values().any(|t| t.name == *name), "{name}");
            }
            // The index of this state in the new log.
            state.index = LogIndex(1);
        }
    }

    #[test]
    fn another_clusters_backup_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        for (cluster_id, good) in [(7, true), (8, false), (7, true)] {
            let held = Arc::new(Held::new(Snapshot::default()));
            apply(&held, 1, Command::Birth { cluster_id });
            let mut writer = Writer::new(dir.path().to_path_buf(), 1, held);
            assert_eq!(writer.step().is_ok(), good);
        }
    }
}
