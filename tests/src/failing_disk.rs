//! A disk whose fsync fails. A library preloaded into a process makes fsync and fdatasync of some
//! files fail from a chosen moment on. The machine's C compiler builds it from `failing_sync.c`.
//!
//! Without a compiler the test prints SKIPPED.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempDir;

const SOURCE: &str = include_str!("failing_sync.c");

/// The disk of one process.
#[derive(Debug)]
pub struct FailingDisk {
    // Held so that the files are not removed.
    _dir: TempDir,
    library: PathBuf,
    control: PathBuf,
}

impl FailingDisk {
    /// A disk that works until [`Self::fail`]. `None`, after a line with SKIPPED, without a
    /// compiler.
    pub fn new() -> anyhow::Result<Option<Self>> {
        let dir = tempfile::Builder::new()
            .prefix("coterie-failing-disk-")
            .tempdir()?;
        let (source, library) = (dir.path().join("sync.c"), dir.path().join("sync.so"));
        std::fs::write(&source, SOURCE)?;
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(&library);
        let compiled = match compiler.arg(&source).arg("-ldl").output() {
            Ok(compiled) => compiled,
            Err(error) => {
                eprintln!(
                    "SKIPPED: no C compiler on this machine, so that no fsync fails: {error}"
                );
                return Ok(None);
            }
        };
        let said = String::from_utf8_lossy(&compiled.stderr);
        ensure!(compiled.status.success(), "{}: {said}", source.display());
        let control = dir.path().join("fails");
        Ok(Some(Self {
            _dir: dir,
            library,
            control,
        }))
    }

    /// The environment for the process.
    #[must_use]
    pub fn env(&self) -> [(&'static str, String); 2] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("COTERIE_FAILING_SYNC", self.control.display().to_string()),
        ]
    }

    /// From now on an fsync of a file whose path contains `word` fails; after the first failure
    /// every fsync of the process fails.
    pub fn fail(&self, word: &str) -> anyhow::Result<()> {
        // Renamed into place, so that the library never reads half a word.
        let fresh = self.control.with_extension("fresh");
        std::fs::write(&fresh, word)?;
        std::fs::rename(fresh, &self.control).context("rename")
    }

    /// How long ago the first fsync failed, if one has.
    #[must_use]
    pub fn failed_for(&self) -> Option<Duration> {
        let mut failed = self.control.clone().into_os_string();
        failed.push(".failed");
        let failed = std::fs::metadata(failed).ok()?;
        failed.modified().ok()?.elapsed().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_fsync_fails_from_the_word_on() {
        let Some(disk) = FailingDisk::new().expect("compiles or skips") else {
            return;
        };
        let dir = tempfile::tempdir().expect("a folder");
        let synced = || {
            let mut sync = Command::new("sync");
            let file = dir.path().join("a-file");
            std::fs::write(&file, "x").expect("writes");
            let ended = sync.arg("-d").arg(&file).envs(disk.env()).status();
            ended.expect("runs").success()
        };
        assert!(synced());
        disk.fail("another").expect("told");
        assert!(synced());
        disk.fail("a-file").expect("told");
        assert!(!synced());
    }
}
