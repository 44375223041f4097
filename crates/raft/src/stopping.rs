//! The end of the process, as its groups learn of it.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the process is being stopped; shared by all its groups.
#[derive(Debug, Default)]
pub(crate) struct Stopping(AtomicBool);

impl Stopping {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
