//! A slow disk: a server started with [`SlowDisk::flags`] delays each fsync of its log by the
//! milliseconds in a file, which it reads again and again.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

/// The delay of one server's log.
#[derive(Debug)]
pub struct SlowDisk {
    // Held so that the file is not removed.
    _dir: TempDir,
    file: PathBuf,
}

impl SlowDisk {
    /// A disk without a delay yet.
    pub fn new() -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("coterie-slow-disk-")
            .tempdir()?;
        let file = dir.path().join("delay");
        let disk = Self { _dir: dir, file };
        disk.delay(Duration::ZERO)?;
        Ok(disk)
    }

    /// The flags for the server.
    #[must_use]
    pub fn flags(&self) -> [String; 2] {
        let file = self.file.display().to_string();
        ["--fault-log-delay-file".to_owned(), file]
    }

    /// From now on each fsync takes longer by `delay`.
    pub fn delay(&self, delay: Duration) -> anyhow::Result<()> {
        // Renamed into place, so that the server never reads half a number.
        let fresh = self.file.with_extension("fresh");
        std::fs::write(&fresh, delay.as_millis().to_string())?;
        Ok(std::fs::rename(fresh, &self.file)?)
    }
}
