//! A wall clock that is wrong, and jumps: libfaketime before a process, which reads from a file how
//! far off it is. The monotonic clock stays as it is, as it does in a machine whose clock is set.
//!
//! Where the library is not installed the test says SKIPPED, loudly.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Where distributions put it.
const PLACES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// The wall clock of one process.
#[derive(Debug)]
pub struct SkewedClock {
    // Held so that the file stays.
    _dir: TempDir,
    file: PathBuf,
    library: &'static str,
}

impl SkewedClock {
    /// One that is right until it jumps. `None`, after a loud word, where it cannot be had.
    pub fn new() -> anyhow::Result<Option<Self>> {
        let Some(library) = PLACES.into_iter().find(|place| Path::new(place).exists()) else {
            eprintln!("SKIPPED: no libfaketime on this machine, so that no clock jumps");
            return Ok(None);
        };
        let dir = tempfile::Builder::new()
            .prefix("coterie-clock-")
            .tempdir()?;
        let file = dir.path().join("offset");
        let clock = Self {
            _dir: dir,
            file,
            library,
        };
        clock.jump(0)?;
        Ok(Some(clock))
    }

    /// What a process must be started with.
    #[must_use]
    pub fn env(&self) -> [(&'static str, String); 4] {
        [
            ("LD_PRELOAD", self.library.to_owned()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            // Read at each question.
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    /// From now on it is so many seconds ahead of the right time, or behind.
    pub fn jump(&self, seconds: i64) -> anyhow::Result<()> {
        // Renamed into place, so that half a number is never read.
        let fresh = self.file.with_extension("fresh");
        std::fs::write(&fresh, format!("{seconds:+}s\n"))?;
        Ok(std::fs::rename(fresh, &self.file)?)
    }
}
