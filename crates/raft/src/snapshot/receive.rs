//! Receives a snapshot of one group: a directory per snapshot, kept across broken connections.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use openraft::storage::Snapshot;

use super::files::SnapshotFiles;
use super::manifest::{Manifest, SnapshotAnswer, SnapshotRequest, checksum};
use crate::machine::{Machine, TheSnapshot};
use crate::type_config::{TypeConfig, Vote};

type Raft = openraft::Raft<TypeConfig, Machine>;

/// As whose leader the sender speaks; a piece belongs to a transfer that was announced.
fn request_vote(request: &SnapshotRequest) -> Option<&Vote> {
    match request {
        SnapshotRequest::Begin { vote, .. } | SnapshotRequest::Finish { vote, .. } => Some(vote),
        SnapshotRequest::Chunk { .. } => None,
    }
}

/// The transfer under way to one replica; a new announcement replaces an old one.
pub(crate) struct Incoming {
    /// Where snapshots of this group are received.
    parent: PathBuf,
    current: Mutex<Option<Arc<Transfer>>>,
}

struct Transfer {
    id: u64,
    manifest: Manifest,
    dir: PathBuf,
}

impl Incoming {
    pub(crate) fn new(parent: PathBuf) -> Self {
        Self {
            parent,
            current: Mutex::new(None),
        }
    }

    /// Handles one message of a transfer; `check` says why a sender's does not count.
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
                Ok(SnapshotAnswer::Taken)
            }
            SnapshotRequest::Finish { id, vote } => self.finish(raft, id, vote).await,
        }
    }

    fn transfer(&self, id: u64) -> io::Result<Arc<Transfer>> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match current.as_ref().filter(|transfer| transfer.id == id) {
            Some(transfer) => Ok(Arc::clone(transfer)),
            None => Err(io::Error::other("no such transfer: announce it again")),
        }
    }

    fn begin(&self, manifest: Manifest) -> io::Result<SnapshotAnswer> {
        manifest.check_names()?;
        let id = manifest.id();
        let dir = self.parent.join(format!("in-{id:016x}"));
        std::fs::create_dir_all(&dir)?;
        self.inherit(&dir, &manifest)?;
        let files = manifest.files.iter();
        let offsets = files
            .map(|file| have(&dir.join(&file.name), file.size))
            .collect();
        let transfer = Arc::new(Transfer { id, manifest, dir });
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(transfer);
        Ok(SnapshotAnswer::Have { offsets })
    }

    /// Takes over what transfers that were given up have of the same files, and removes the rest of
    /// them. A busy leader makes a new checkpoint for every attempt, of nearly the same files; the
    /// checksums decide in the end.
    fn inherit(&self, dir: &Path, manifest: &Manifest) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.parent)? {
            let old = entry?.path();
            let given_up = old
                .file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with("in-"));
            if !given_up || old == dir {
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

    async fn finish(&self, raft: &Raft, id: u64, vote: Vote) -> io::Result<SnapshotAnswer> {
        let transfer = self.transfer(id)?;
        tokio::task::block_in_place(|| transfer.verify())?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // Under a name that no later announcement clears away.
        let dir = self.parent.join(format!("got-{id:016x}"));
        std::fs::rename(&transfer.dir, &dir)?;
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

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)
}

/// What is there of a file; more than its size means it is another one.
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

    /// Every file whole and durable, every checksum right.
    fn verify(&self) -> io::Result<()> {
        for entry in &self.manifest.files {
            let path = self.dir.join(&entry.name);
            if entry.size == 0 {
                make_parent(&path)?;
                File::create(&path)?;
            }
            let (size, crc32) = checksum(&path)?;
            if (size, crc32) != (entry.size, entry.crc32) {
                // Not worth keeping: the next transfer starts from nothing.
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
