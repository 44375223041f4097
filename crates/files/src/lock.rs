//! A directory lock: at most one process uses a directory at a time.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// A directory locked by this process; released when dropped, or when the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Why a directory cannot be locked.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another process holds the lock, or this process already does.
    InUse,
    /// The file `LOCK` cannot be created or locked.
    Io(io::Error),
}

impl Lock {
    /// The locked file in the directory; it is empty.
    pub(crate) const NAME: &str = "LOCK";

    /// Locks an existing directory.
    pub(crate) fn take(dir: &Path) -> Result<Self, LockError> {
        let mut options = File::options();
        let options = options.create(true).truncate(false).write(true);
        let file = options.open(dir.join(Self::NAME)).map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::InUse),
            Err(TryLockError::Error(error)) => Err(LockError::Io(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_had_once() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path()).unwrap();
        assert!(matches!(Lock::take(dir.path()), Err(LockError::InUse)));
        drop(lock);
        Lock::take(dir.path()).unwrap();
        let gone = Lock::take(&dir.path().join("gone"));
        assert!(matches!(gone, Err(LockError::Io(_))));
    }
}
