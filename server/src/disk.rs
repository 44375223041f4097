//! Watches the file system. Writes are refused before it is full, so that the log always has room,
//! and are accepted again when there is room.
//!
//! Below the reserve the node reports to its leaders that room is scarce, and refuses clients'
//! writes that need room. Below half of the reserve it also refuses data from leaders, which other
//! nodes hold. It accepts snapshots that leave the reserve free.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use coterie_raft::{Group, RaftNode, Room};
use parking_lot::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

/// How often free space is checked.
const PERIOD: Duration = Duration::from_millis(500);
/// How long clients' writes wait for a leader with room before they are refused.
const PATIENCE: Duration = Duration::from_secs(5);

/// Free space, as last seen.
#[derive(Debug)]
pub(crate) struct Disk {
    path: PathBuf,
    reserve_bytes: u64,
    free_bytes: AtomicU64,
    total_bytes: AtomicU64,
    full: AtomicBool,
    /// Free space is below half of the reserve.
    exhausted: AtomicBool,
    /// When `leave` noticed that there was no room; `None` while there is room.
    full_since: Mutex<Option<Instant>>,
}

impl Disk {
    pub(crate) fn new(path: &Path, reserve_bytes: u64) -> Arc<Self> {
        let disk = Self {
            path: path.to_path_buf(),
            reserve_bytes,
            free_bytes: AtomicU64::new(u64::MAX),
            total_bytes: AtomicU64::new(0),
            full: AtomicBool::new(false),
            exhausted: AtomicBool::new(false),
            full_since: Mutex::default(),
        };
        disk.look();
        Arc::new(disk)
    }

    /// Whether writes that need room are refused.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Whether a group that is led here may propose entries that make its data grow.
    pub(crate) fn has_room_for(&self, group: &Group) -> bool {
        !self.is_full() && group.has_room()
    }

    /// Notes since when there has been no room; returns whether there is none.
    pub(crate) fn note_full(&self) -> bool {
        let is_full = self.is_full();
        let mut since = self.full_since();
        *since = is_full.then(|| since.unwrap_or_else(Instant::now));
        is_full
    }

    /// Whether a write that lacks room here may soon find a leader with room. If so, the client
    /// should retry rather than hear that the disk is full.
    pub(crate) fn may_find_room(&self, group: &Group) -> bool {
        let is_new = || {
            self.full_since()
                .is_none_or(|since| since.elapsed() < PATIENCE)
        };
        self.is_full() && is_new() && group.has_roomier_voter()
    }

    fn full_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.full_since.lock()
    }

    pub(crate) fn free_bytes(&self) -> u64 {
        self.free_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn total_bytes(&self) -> u64 {
        self.total_bytes.load(Ordering::Relaxed)
    }

    /// Reports spare bytes and room to Raft.
    pub(crate) fn tell(&self, raft: &RaftNode) {
        raft.set_spare_bytes(self.free_bytes().saturating_sub(self.reserve_bytes));
        raft.set_room(self.room());
    }

    fn room(&self) -> Room {
        if self.exhausted.load(Ordering::Relaxed) {
            Room::None
        } else if self.is_full() {
            Room::Scarce
        } else {
            Room::Ample
        }
    }

    /// Checks free space until `stop`, and reports it to `raft`.
    pub(crate) async fn watch(self: Arc<Self>, raft: Arc<RaftNode>, stop: CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep(PERIOD))
            .await
            .is_some()
        {
            let disk = Arc::clone(&self);
            // statvfs may wait for the disk.
            let _ = tokio::task::spawn_blocking(move || disk.look()).await;
            self.tell(&raft);
        }
    }

    fn look(&self) {
        let found = match rustix::fs::statvfs(&self.path) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, dir = %self.path.display(), "free space not known");
                return;
            }
        };
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        self.free_bytes.store(free, Ordering::Relaxed);
        self.total_bytes.store(
            found.f_blocks.saturating_mul(found.f_frsize),
            Ordering::Relaxed,
        );
        if let Some(full) = crossed(&self.full, free, self.reserve_bytes) {
            if full {
                tracing::warn!(free_bytes = free, "disk nearly full: writes are refused");
            } else {
                tracing::info!(free_bytes = free, "disk has room again: writes are taken");
            }
        }
        if let Some(exhausted) = crossed(&self.exhausted, free, self.reserve_bytes / 2) {
            if exhausted {
                tracing::error!(free_bytes = free, "disk full: data from leaders is refused");
            } else {
                tracing::info!(free_bytes = free, "data from leaders is taken again");
            }
        }
    }
}

/// Notes in `below` whether free space is less than `bound`; returns the new state if it changed.
/// To be above again, free space must exceed the bound by a margin, so that the state does not
/// flutter.
fn crossed(below: &AtomicBool, free: u64, bound: u64) -> Option<bool> {
    let was_below = below.load(Ordering::Relaxed);
    let margin = if was_below { bound / 8 } else { 0 };
    let is_below = free < bound.saturating_add(margin);
    below.store(is_below, Ordering::Relaxed);
    (is_below != was_below).then_some(is_below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_crossed_once_and_does_not_flutter() {
        let below = AtomicBool::new(false);
        assert_eq!(crossed(&below, 800, 800), None);
        assert_eq!(crossed(&below, 799, 800), Some(true));
        assert_eq!(crossed(&below, 850, 800), None);
        assert_eq!(crossed(&below, 900, 800), Some(false));
        assert_eq!(crossed(&below, 850, 800), None);
    }
}
