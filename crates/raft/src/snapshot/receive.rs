//! Receives snapshots of a group: a directory per snapshot, kept across broken connections.
//!
//! An unfinished snapshot is deleted when there is no room left, or when its sender has been silent
//! for long. A snapshot that does not fit is refused before any of it is received.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_types::GroupId;
use openraft::storage::Snapshot;
use parking_lot::{Mutex, MutexGuard};

use super::files::SnapshotFiles;
use super::manifest::{Manifest, SnapshotAnswer, SnapshotRequest, checksum};
use crate::machine::{OpenraftMachine, TheSnapshot};
use crate::room::Rooms;
use crate::type_config::{TypeConfig, Vote};

type Raft = openraft::Raft<TypeConfig, OpenraftMachine>;

/// How long a sender may be silent: before it retries it reads all of a new checkpoint.
const IDLE_MAX: Duration = Duration::from_secs(15 * 60);
/// How often unfinished snapshots are checked for deletion.
const SWEEP_PERIOD: Duration = Duration::from_secs(1);

/// The vote under which the sender speaks. A chunk has none: it belongs to an announced transfer.
fn request_vote(request: &SnapshotRequest) -> Option<&Vote> {
    match request {
        SnapshotRequest::Begin { vote, .. } | SnapshotRequest::Finish { vote, .. } => Some(vote),
        SnapshotRequest::Chunk { .. } => None,
    }
}

/// The transfer under way to a replica; a new announcement replaces the previous transfer.
pub(crate) struct SnapshotReceiver {
    group: GroupId,
    /// Directory in which snapshots of this group are received.
    parent: PathBuf,
    rooms: Arc<Rooms>,
    /// Locked while directories are created, taken over and removed.
    state: Mutex<Receiving>,
}

struct Receiving {
    current: Option<Arc<Transfer>>,
    /// When a message of a transfer was last accepted.
    heard: Instant,
    /// There may be directories of transfers.
    has_files: bool,
    /// Snapshots that have arrived and are being verified and installed.
    finishing: usize,
}

struct Transfer {
    id: u64,
    manifest: Manifest,
    dir: PathBuf,
}

impl SnapshotReceiver {
    pub(crate) fn new(group: GroupId, parent: PathBuf, rooms: Arc<Rooms>) -> Self {
        let state = Receiving {
            current: None,
            heard: Instant::now(),
            // Left from before the group was stopped.
            has_files: true,
            finishing: 0,
        };
        Self {
            group,
            parent,
            rooms,
            state: Mutex::new(state),
        }
    }

    /// Handles a message of a transfer; `check` returns why a sender's message is refused.
    pub(crate) async fn handle(
        &self,
        raft: &Raft,
        body: &[u8],
        check: impl Fn(&Vote) -> Result<(), String>,
    ) -> Bytes {
        let answer = match coterie_protocol::decode(body) {
            Ok(request) => match request_vote(&request).map_or(Ok(()), check) {
                Ok(()) => self.answer(raft, request).await,
                Err(reason) => Err(io::Error::other(reason)),
            },
            Err(error) => Err(io::Error::other(error)),
        };
        coterie_protocol::encode(&answer.unwrap_or_else(|e| SnapshotAnswer::Failed(e.to_string())))
    }

    async fn answer(&self, raft: &Raft, request: SnapshotRequest) -> io::Result<SnapshotAnswer> {
        match request {
            SnapshotRequest::Begin { manifest, .. } => {
                tokio::task::block_in_place(|| self.begin(manifest))
            }
            SnapshotRequest::Chunk {
                id,
                file,
                offset,
                data,
            } => {
                let transfer = self.transfer(id)?;
                tokio::task::block_in_place(|| transfer.write(file, offset, &data))?;
                self.rooms.arrived(self.group, data.len() as u64);
                Ok(SnapshotAnswer::Taken)
            }
            SnapshotRequest::Finish { id, vote } => self.finish(raft, id, vote).await,
        }
    }

    fn transfer(&self, id: u64) -> io::Result<Arc<Transfer>> {
        let mut state = self.lock();
        state.heard = Instant::now();
        match state.current.as_ref().filter(|transfer| transfer.id == id) {
            Some(transfer) => Ok(Arc::clone(transfer)),
            None => Err(io::Error::other("no such transfer: announce it again")),
        }
    }

    fn begin(&self, manifest: Manifest) -> io::Result<SnapshotAnswer> {
        manifest.check_names()?;
        let id = manifest.id();
        let dir = self.parent.join(format!("in-{id:016x}"));
        let mut state = self.lock();
        // The received files now belong to the new transfer.
        state.current = None;
        state.has_files = true;
        std::fs::create_dir_all(&dir)?;
        self.inherit(&dir, &manifest)?;
        let (mut offsets, mut rest) = (Vec::new(), 0_u64);
        for file in &manifest.files {
            let offset = have(&dir.join(&file.name), file.size);
            offsets.push(offset);
            rest = rest.saturating_add(file.size - offset);
        }
        // A refused announcement does not count as a sign of life: its files are deleted in time.
        if let Err(spare) = self.rooms.expect(self.group, rest) {
            let reason = format!("no room on disk for a snapshot: {rest} bytes, {spare} to spare");
            return Err(io::Error::other(reason));
        }
        state.heard = Instant::now();
        state.current = Some(Arc::new(Transfer { id, manifest, dir }));
        Ok(SnapshotAnswer::Have { offsets })
    }

    /// Takes over matching files of abandoned transfers, and removes the rest of these transfers. A
    /// busy leader makes a new checkpoint for every attempt, with nearly the same files; the
    /// checksums decide in the end.
    fn inherit(&self, dir: &Path, manifest: &Manifest) -> io::Result<()> {
        for old in self.begun()? {
            if old == dir {
                continue;
            }
            for file in &manifest.files {
                let (from, to) = (old.join(&file.name), dir.join(&file.name));
                let whole = std::fs::metadata(&from).is_ok_and(|found| found.len() == file.size);
                if whole && !to.exists() {
                    make_parent(&to)?;
                    std::fs::rename(&from, &to)?;
                }
            }
            std::fs::remove_dir_all(&old)?;
        }
        Ok(())
    }

    /// The directories of all unfinished transfers.
    fn begun(&self) -> io::Result<Vec<PathBuf>> {
        let mut dirs = Vec::new();
        let entries = match std::fs::read_dir(&self.parent) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(dirs),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("in-") {
                dirs.push(entry.path());
            }
        }
        Ok(dirs)
    }

    /// Removes received files that are no longer needed, as long as the group runs.
    pub(crate) async fn keep_clean(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(SWEEP_PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = tokio::task::block_in_place(|| self.sweep(Instant::now())) {
                tracing::warn!(group_id = %self.group, %error, "part of a snapshot not removed");
            }
        }
    }

    fn sweep(&self, now: Instant) -> io::Result<()> {
        let mut state = self.lock();
        let is_idle = now.saturating_duration_since(state.heard) >= IDLE_MAX;
        let is_of_use = self.rooms.takes_data() && !is_idle;
        if !state.has_files || is_of_use || state.finishing > 0 {
            return Ok(());
        }
        state.current = None;
        self.rooms.expect_none(self.group);
        for dir in self.begun()? {
            std::fs::remove_dir_all(&dir)?;
            tracing::info!(group_id = %self.group, "part of a snapshot removed");
        }
        state.has_files = false;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Receiving> {
        self.state.lock()
    }

    async fn finish(&self, raft: &Raft, id: u64, vote: Vote) -> io::Result<SnapshotAnswer> {
        let transfer = self.transfer(id)?;
        let _finishing = Finishing::begin(self);
        tokio::task::block_in_place(|| transfer.verify())?;
        // Under a name that a later announcement does not remove.
        let dir = self.parent.join(format!("got-{id:016x}"));
        {
            let mut state = self.lock();
            state.current = None;
            std::fs::rename(&transfer.dir, &dir)?;
        }
        self.rooms.expect_none(self.group);
        let files = SnapshotFiles::adopt(dir);
        let snapshot: TheSnapshot = Snapshot {
            meta: transfer.manifest.meta.clone(),
            snapshot: files,
        };
        let response = raft
            .install_full_snapshot(vote, snapshot)
            .await
            .map_err(io::Error::other)?;
        Ok(SnapshotAnswer::Installed {
            vote: response.vote,
        })
    }
}

/// All of a snapshot has arrived: it is not removed until this guard is dropped.
struct Finishing<'a>(&'a SnapshotReceiver);

impl<'a> Finishing<'a> {
    fn begin(receiver: &'a SnapshotReceiver) -> Self {
        receiver.lock().finishing += 1;
        Self(receiver)
    }
}

impl Drop for Finishing<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.finishing -= 1;
        state.heard = Instant::now();
    }
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)
}

/// Bytes that exist of a file; more than its size means it is a different file.
fn have(path: &Path, size: u64) -> u64 {
    std::fs::metadata(path).map_or(0, |found| if found.len() > size { 0 } else { found.len() })
}

impl Transfer {
    fn write(&self, file: u32, offset: u64, data: &[u8]) -> io::Result<()> {
        let entry = usize::try_from(file)
            .ok()
            .and_then(|n| self.manifest.files.get(n));
        let entry = entry.ok_or_else(|| io::Error::other("no such file in the snapshot"))?;
        if offset.saturating_add(data.len() as u64) > entry.size {
            return Err(io::Error::other("more bytes than announced"));
        }
        let path = self.dir.join(&entry.name);
        make_parent(&path)?;
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)?;
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(data)
    }

    /// Checks that every file is whole and its checksum right, and syncs it.
    fn verify(&self) -> io::Result<()> {
        for entry in &self.manifest.files {
            let path = self.dir.join(&entry.name);
            if entry.size == 0 {
                make_parent(&path)?;
                File::create(&path)?;
            }
            let (size, crc32) = checksum(&path)?;
            if (size, crc32) != (entry.size, entry.crc32) {
                // Not worth keeping: the next transfer starts from scratch.
                std::fs::remove_dir_all(&self.dir)?;
                return Err(io::Error::other(format!(
                    "checksum of {} is wrong",
                    entry.name
                )));
            }
            File::open(&path)?.sync_all()?;
            if let Some(parent) = path.parent() {
                File::open(parent)?.sync_all()?;
            }
        }
        File::open(&self.dir)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::Room;
    use crate::snapshot::manifest::FileEntry;
    use crate::type_config::SnapshotMeta;

    const GROUP: GroupId = GroupId(7);

    struct Receiver {
        dir: tempfile::TempDir,
        rooms: Arc<Rooms>,
        receiver: SnapshotReceiver,
    }

    impl Receiver {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let rooms = Arc::new(Rooms::new(Duration::from_secs(60)));
            let receiver = SnapshotReceiver::new(GROUP, dir.path().join("7"), Arc::clone(&rooms));
            Self {
                dir,
                rooms,
                receiver,
            }
        }

        /// A transfer in which the first of two files is complete: 60 of 100 bytes.
        fn begin_and_write(&self) -> u64 {
            let manifest = snapshot(1);
            let id = manifest.id();
            self.receiver.begin(manifest).unwrap();
            let transfer = self.receiver.transfer(id).unwrap();
            transfer.write(0, 0, &[1; 60]).unwrap();
            self.rooms.arrived(GROUP, 60);
            id
        }

        fn dirs(&self) -> usize {
            std::fs::read_dir(self.dir.path().join("7"))
                .unwrap()
                .count()
        }
    }

    fn snapshot(crc32: u32) -> Manifest {
        let file = |name: &str, size| FileEntry {
            name: name.to_owned(),
            size,
            crc32,
        };
        Manifest {
            meta: SnapshotMeta::default(),
            files: vec![file("a", 60), file("b", 40)],
        }
    }

    #[test]
    fn a_snapshot_that_does_not_fit_is_refused_and_what_is_there_of_it_counts() {
        let receiver = Receiver::new();
        receiver.rooms.set_spare_bytes(99);
        let refused = receiver.receiver.begin(snapshot(1)).unwrap_err();
        assert!(
            refused.to_string().contains("100 bytes, 99 to spare"),
            "{refused}"
        );
        assert!(receiver.receiver.transfer(snapshot(1).id()).is_err());
        receiver.rooms.set_spare_bytes(100);
        receiver.begin_and_write();
        // The same snapshot again, as after a broken connection; then a newer snapshot with the
        // same files.
        receiver.rooms.set_spare_bytes(40);
        assert!(receiver.receiver.begin(snapshot(1)).is_ok());
        assert!(receiver.receiver.begin(snapshot(2)).is_ok());
        receiver.rooms.set_spare_bytes(39);
        assert!(receiver.receiver.begin(snapshot(2)).is_err());
    }

    #[test]
    fn what_is_there_of_a_snapshot_goes_when_there_is_no_room() {
        let receiver = Receiver::new();
        let id = receiver.begin_and_write();
        receiver.receiver.sweep(Instant::now()).unwrap();
        receiver.rooms.set_own(Room::Scarce);
        receiver.receiver.sweep(Instant::now()).unwrap();
        assert_eq!(receiver.dirs(), 1);
        receiver.rooms.set_own(Room::None);
        {
            let _finishing = Finishing::begin(&receiver.receiver);
            receiver.receiver.sweep(Instant::now()).unwrap();
            assert_eq!(receiver.dirs(), 1, "all of it has come");
        }
        receiver.receiver.sweep(Instant::now()).unwrap();
        assert_eq!(receiver.dirs(), 0);
        assert!(receiver.receiver.transfer(id).is_err(), "announce it again");
        receiver.rooms.set_spare_bytes(10);
        assert_eq!(receiver.rooms.expect(GroupId(8), 10), Ok(()));
    }

    #[test]
    fn what_is_there_of_a_snapshot_goes_when_its_sender_is_silent() {
        let receiver = Receiver::new();
        receiver.begin_and_write();
        let begun = Instant::now();
        receiver.receiver.sweep(begun + IDLE_MAX / 2).unwrap();
        assert_eq!(receiver.dirs(), 1);
        // Announcements that are refused repeatedly do not keep the files.
        receiver.rooms.set_spare_bytes(0);
        assert!(receiver.receiver.begin(snapshot(2)).is_err());
        receiver.receiver.sweep(begun + IDLE_MAX).unwrap();
        assert_eq!(receiver.dirs(), 0);
    }
}
