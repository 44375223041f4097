//! A wall clock that is wrong, and jumps. The library libfaketime, preloaded into a process, reads
//! the clock's offset from a file. The monotonic clock stays right, as in a machine whose clock is
//! set.
//!
//! Without the library the test prints SKIPPED.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The library's paths in Linux distributions.
const PLACES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// The wall clock of one process.
#[derive(Debug)]
pub struct SkewedClock {
    // Held so that the file is not removed.
    _dir: TempDir,
    file: PathBuf,
    library: &'static str,
}

impl SkewedClock {
    /// A clock that is right until it jumps. `None`, after a line with SKIPPED, without the
    /// library.
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

    /// The environment for the process.
    #[must_use]
    pub fn env(&self) -> [(&'static str, String); 4] {
        [
            ("LD_PRELOAD", self.library.to_owned()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            // The file is read at each call.
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    /// From now on the clock is `seconds` ahead of the right time, or behind if negative.
    pub fn jump(&self, seconds: i64) -> anyhow::Result<()> {
        // Renamed into place, so that the library never reads half a number.
        let fresh = self.file.with_extension("fresh");
        std::fs::write(&fresh, format!("{seconds:+}s\n"))?;
        Ok(std::fs::rename(fresh, &self.file)?)
    }
}
