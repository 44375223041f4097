//! A slow or broken disk, for tests: before every write of the log, fsynced or not, a pause whose
//! length a file says; or the write fails, when the file says `fail`.
//!
//! The pause sits below the log engine, at its file queues, so that what is above waits as it would
//! for a disk. Nothing is there unless `--fault-log-delay-file` was given.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use raft_engine::internals::{EventListener, FileBlockHandle};

/// How old what was read of the file may be.
const READ_AGAIN: Duration = Duration::from_millis(100);

/// What a write meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Delay(Duration),
    Fail,
}

/// What the file says; nothing when it is not there.
pub(super) struct FaultyDisk {
    path: PathBuf,
    read: Mutex<Option<(Instant, Said)>>,
}

impl FaultyDisk {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            read: Mutex::new(None),
        }
    }

    /// An error if writes are to fail now.
    pub(super) fn check(&self) -> io::Result<()> {
        match self.said() {
            Said::Fail => Err(io::Error::other("told to fail by a test")),
            Said::Delay(_) => Ok(()),
        }
    }

    fn said(&self) -> Said {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        match *read {
            Some((at, said)) if at.elapsed() < READ_AGAIN => said,
            _ => {
                let text = std::fs::read_to_string(&self.path).unwrap_or_default();
                let said = match text.trim() {
                    "fail" => Said::Fail,
                    millis => Said::Delay(Duration::from_millis(millis.parse().unwrap_or(0))),
                };
                *read = Some((Instant::now(), said));
                said
            }
        }
    }
}

impl EventListener for FaultyDisk {
    fn on_append_log_file(&self, _handle: FileBlockHandle) {
        if let Said::Delay(delay) = self.said()
            && !delay.is_zero()
        {
            std::thread::sleep(delay);
        }
    }
}
