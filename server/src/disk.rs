//! Watches the file system: writes stop before it is full, so that the log always has room, and
//! start again by themselves.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// How often free space is looked at.
const PERIOD: Duration = Duration::from_millis(500);

/// Free space, as last seen.
#[derive(Debug)]
pub(crate) struct Disk {
    path: PathBuf,
    reserve_bytes: u64,
    free_bytes: AtomicU64,
    total_bytes: AtomicU64,
    full: AtomicBool,
}

impl Disk {
    pub(crate) fn new(path: &Path, reserve_bytes: u64) -> Arc<Self> {
        let disk = Self {
            path: path.to_path_buf(),
            reserve_bytes,
            free_bytes: AtomicU64::new(u64::MAX),
            total_bytes: AtomicU64::new(0),
            full: AtomicBool::new(false),
        };
        disk.look();
        Arc::new(disk)
    }

    /// Whether writes that need room are refused.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    pub(crate) fn free_bytes(&self) -> u64 {
        self.free_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn total_bytes(&self) -> u64 {
        self.total_bytes.load(Ordering::Relaxed)
    }

    /// Looks until `stop`.
    pub(crate) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep(PERIOD))
            .await
            .is_some()
        {
            let disk = Arc::clone(&self);
            // statvfs may wait for the disk.
            let _ = tokio::task::spawn_blocking(move || disk.look()).await;
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
        let was_full = self.full.load(Ordering::Relaxed);
        // A little more than the reserve before writes go on, so that it does not flutter.
        let full = free
            < self
                .reserve_bytes
                .saturating_add(if was_full { self.reserve_bytes / 8 } else { 0 });
        if full != was_full {
            self.full.store(full, Ordering::Relaxed);
            if full {
                tracing::warn!(free_bytes = free, "disk nearly full: writes are refused");
            } else {
                tracing::info!(free_bytes = free, "disk has room again: writes are taken");
            }
        }
    }
}
