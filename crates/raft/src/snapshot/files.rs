//! The directory of a snapshot; removed when its last user drops it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// openraft's `SnapshotData`. Without a directory it only marks the durable entry.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotFiles(Option<Arc<TemporaryDir>>);

#[derive(Debug)]
struct TemporaryDir(PathBuf);

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, dir = %self.0.display(), "snapshot directory not removed");
        }
    }
}

static NEXT: AtomicU64 = AtomicU64::new(0);

impl SnapshotFiles {
    /// No files.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// A new empty directory under `parent`.
    pub(crate) fn temporary(parent: &Path, index: u64) -> io::Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = parent.join(format!("out-{index}-{number}"));
        std::fs::create_dir_all(&dir)?;
        Ok(Self(Some(Arc::new(TemporaryDir(dir)))))
    }

    /// Takes ownership of an existing directory.
    pub(crate) fn adopt(dir: PathBuf) -> Self {
        Self(Some(Arc::new(TemporaryDir(dir))))
    }

    /// Where the files are.
    pub(crate) fn dir(&self) -> Option<&Path> {
        self.0.as_ref().map(|dir| dir.0.as_path())
    }
}
