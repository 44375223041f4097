//! A slow or broken disk, for tests: before every write of the log, fsynced or not, a pause of the
//! length given in a file; or the write fails, if the file contains `fail`.
//!
//! The pause sits below the log engine, at its file queues, so that the layers above wait as for a
//! real disk. Nothing is installed without `--fault-log-delay-file`.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use raft_engine::internals::{EventListener, FileBlockHandle};

/// How long the content of the file is cached.
const READ_AGAIN: Duration = Duration::from_millis(100);

/// The fault to inject into a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Delay(Duration),
    Fail,
}

/// Injects the fault named in the file; none if the file is absent.
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
        let mut read = self.read.lock();
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
