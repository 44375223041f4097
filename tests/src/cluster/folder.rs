//! The folder of a cluster: data and logs. Removed when the test passes; kept, and its path
//! printed, when it fails.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder that outlives a failed test.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    removed_on_drop: Option<TempDir>,
}

impl Folder {
    pub(super) fn create() -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("coterie-test-").tempdir()?;
        Ok(Self {
            path: dir.path().to_owned(),
            removed_on_drop: Some(dir),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the folder after the end of the test.
    pub(super) fn keep(&mut self) {
        if let Some(dir) = self.removed_on_drop.take() {
            self.path = dir.keep();
        }
    }
}
