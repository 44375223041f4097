//! A machine runs a single test cluster at a time: two cores are too few for two sets of eight or
//! more processes that elect leaders by timeouts. Tests of a binary run in parallel threads, and
//! binaries may run in parallel too; so the turn is a lock on a file. The lock is released when the
//! turn is dropped or its process ends.

use std::fs::File;
use std::time::Duration;

use anyhow::Context;

use crate::wait;

/// Longer than the rest of a test run.
const WITHIN: Duration = Duration::from_secs(3600);

/// The right to run a cluster, until dropped.
#[derive(Debug)]
pub struct Turn {
    // Held for its lock.
    _file: File,
}

impl Turn {
    /// Waits for the turn.
    pub fn take() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join("coterie-test-cluster.lock");
        let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
        wait::until("other test clusters end", WITHIN, || Ok(file.try_lock()?))?;
        Ok(Self { _file: file })
    }
}
