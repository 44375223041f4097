//! The moment of a leader's last message.

use std::time::Instant;

use parking_lot::Mutex;

/// When a replica last heard from a leader.
pub(crate) struct Heard(Mutex<Instant>);

impl Default for Heard {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Heard {
    pub(crate) fn now(&self) {
        *self.0.lock() = Instant::now();
    }

    pub(crate) fn at(&self) -> Instant {
        *self.0.lock()
    }
}
