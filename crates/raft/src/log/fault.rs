//! A slow disk, for tests: before every write of the log, fsynced or not, a pause whose length a
//! file says.
//!
//! It sits below the log engine, at its file queues, so that what is above waits as it would for a
//! disk. Nothing is there unless `--fault-log-delay-file` was given.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use raft_engine::internals::{EventListener, FileBlockHandle};

/// How old what was read of the file may be.
const READ_AGAIN: Duration = Duration::from_millis(100);

/// The milliseconds in the file; 0 when it is not there or says nothing.
pub(super) struct LogDelay {
    path: PathBuf,
    read: Mutex<Option<(Instant, Duration)>>,
}

impl LogDelay {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            read: Mutex::new(None),
        }
    }

    fn delay(&self) -> Duration {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        match *read {
            Some((at, delay)) if at.elapsed() < READ_AGAIN => delay,
            _ => {
                let text = std::fs::read_to_string(&self.path).unwrap_or_default();
                let delay = Duration::from_millis(text.trim().parse().unwrap_or(0));
                *read = Some((Instant::now(), delay));
                delay
            }
        }
    }
}

impl EventListener for LogDelay {
    fn on_append_log_file(&self, _handle: FileBlockHandle) {
        let delay = self.delay();
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
    }
}
