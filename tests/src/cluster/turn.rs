//! One cluster at a time on a machine: eight or more processes that elect leaders by timeouts do not
//! share two cores with another such set. Tests of one binary run in parallel threads, and binaries
//! may as well; so the turn is a lock on a file, which ends with whoever holds it.

use std::fs::File;
use std::time::Duration;

use anyhow::Context;

use crate::wait;

/// More than the rest of a test run takes.
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
