//! A disk that takes its time: a server started with [`SlowDisk::flags`] delays each fsync of its log
//! by as many milliseconds as a file says, which it reads again and again.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

/// The delay of one server's log.
#[derive(Debug)]
pub struct SlowDisk {
    // Held so that the file stays.
    _dir: TempDir,
    file: PathBuf,
}

impl SlowDisk {
    /// One that is not slow yet.
    pub fn new() -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("coterie-slow-disk-")
            .tempdir()?;
        let file = dir.path().join("delay");
        let disk = Self { _dir: dir, file };
        disk.delay(Duration::ZERO)?;
        Ok(disk)
    }

    /// What the server is to be started with.
    #[must_use]
    pub fn flags(&self) -> [String; 2] {
        let file = self.file.display().to_string();
        ["--fault-log-delay-file".to_owned(), file]
    }

    /// From now on each fsync takes so much longer.
    pub fn delay(&self, delay: Duration) -> anyhow::Result<()> {
        // Renamed into place, so that half a number is never read.
        let fresh = self.file.with_extension("fresh");
        std::fs::write(&fresh, delay.as_millis().to_string())?;
        Ok(std::fs::rename(fresh, &self.file)?)
    }
}
