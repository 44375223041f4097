//! A role's directory: locked by the process that uses it, and marked with its owner.
//!
//! ```text
//! LOCK       locked by the process that runs
//! IDENTITY   text: `KIND VERSION`, then lines `key value` of the owner
//! ```
//!
//! A directory of another kind or of a newer format is refused. The owner says which keys there
//! are.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::{FileError, Lock, LockError, write_atomically};

/// Name of the file that says whose directory it is.
const IDENTITY: &str = "IDENTITY";

/// The first line of the identity.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// The owner's kind, as `coterie meta`.
    pub kind: &'static str,
    /// The newest version of the format that this program knows.
    pub version: u32,
}

/// A directory that this process has locked; unlocked when dropped.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    format: Format,
    _lock: Lock,
}

impl Directory {
    /// Locks the directory, creating it if absent.
    pub fn open(path: &Path, format: Format) -> Result<Self, FileError> {
        fs::create_dir_all(path).map_err(FileError::io("make the directory", path))?;
        Ok(Self {
            path: path.to_path_buf(),
            format,
            _lock: lock(path)?,
        })
    }

    /// The directory's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the identity. `parse` gets its lines as keys and values. `None` for a new directory.
    pub fn identity<T>(
        &self,
        parse: impl FnOnce(&[(&str, &str)]) -> Result<T, String>,
    ) -> Result<Option<T>, FileError> {
        let path = self.path.join(IDENTITY);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FileError::io("read", &path)(error)),
        };
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        self.check_format(first)
            .map_err(|reason| FileError::directory(&self.path, reason))?;
        let pairs = lines.map(|line| {
            let not_understood = || format!("the line `{line}` is not understood");
            line.split_once(' ').ok_or_else(not_understood)
        });
        let parsed = pairs.collect::<Result<Vec<_>, _>>();
        let parsed = parsed.and_then(|pairs| parse(&pairs));
        parsed
            .map(Some)
            .map_err(|reason| FileError::damaged(&path, reason))
    }

    fn check_format(&self, line: &str) -> Result<(), String> {
        let Format { kind, version } = self.format;
        let found = line.strip_prefix(kind).map(str::trim);
        let found: u32 = found.and_then(|found| found.parse().ok()).ok_or_else(|| {
            format!("it is no directory of `{kind}`: its {IDENTITY} says `{line}`")
        })?;
        if found > version {
            return Err(format!(
                "its format is {found}, made by a newer version of Coterie; this version knows \
                 {version}"
            ));
        }
        Ok(())
    }

    /// Replaces the identity by these keys and values.
    pub fn write_identity(&self, pairs: &[(&str, String)]) -> Result<(), FileError> {
        let Format { kind, version } = self.format;
        let mut text = format!("{kind} {version}\n");
        for (key, value) in pairs {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{key} {value}");
        }
        let path = self.path.join(IDENTITY);
        write_atomically(&path, text.as_bytes()).map_err(FileError::io("write", &path))
    }

    /// Removes everything in a directory but its lock, the identity last: after a crash in between
    /// the directory still has its owner.
    pub fn wipe(path: &Path) -> Result<(), FileError> {
        let _lock = lock(path)?;
        let failed = |error| FileError::io("wipe", path)(error);
        for entry in fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if name == Lock::NAME || name == IDENTITY {
                continue;
            }
            if entry.file_type().map_err(failed)?.is_dir() {
                fs::remove_dir_all(entry.path()).map_err(failed)?;
            } else {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        match fs::remove_file(path.join(IDENTITY)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        }
    }
}

fn lock(dir: &Path) -> Result<Lock, FileError> {
    Lock::take(dir).map_err(|error| match error {
        LockError::InUse => FileError::directory(dir, "another process is using it"),
        LockError::Io(error) => FileError::io("lock", &dir.join(Lock::NAME))(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: Format = Format {
        kind: "coterie test",
        version: 2,
    };

    fn owner(directory: &Directory) -> Result<Option<String>, FileError> {
        directory.identity(|pairs| match pairs {
            [("owner", owner)] => Ok((*owner).to_owned()),
            _ => Err("no owner".to_owned()),
        })
    }

    #[test]
    fn a_directory_keeps_its_owner_until_it_is_wiped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("made/by/open");
        let directory = Directory::open(&path, FORMAT).unwrap();
        assert_eq!(owner(&directory).unwrap(), None);
        directory
            .write_identity(&[("owner", "me".to_owned())])
            .unwrap();
        assert_eq!(
            fs::read(path.join(IDENTITY)).unwrap(),
            b"coterie test 2\nowner me\n"
        );
        fs::create_dir(path.join("data")).unwrap();
        for error in [
            Directory::open(&path, FORMAT).unwrap_err(),
            Directory::wipe(&path).unwrap_err(),
        ] {
            assert!(
                error.to_string().ends_with(": another process is using it"),
                "{error}"
            );
        }
        drop(directory);
        let directory = Directory::open(&path, FORMAT).unwrap();
        assert_eq!(owner(&directory).unwrap().as_deref(), Some("me"));
        drop(directory);
        Directory::wipe(&path).unwrap();
        let directory = Directory::open(&path, FORMAT).unwrap();
        assert_eq!(owner(&directory).unwrap(), None);
        assert!(!path.join("data").exists());
    }

    #[test]
    fn other_kinds_and_newer_formats_are_refused_and_damage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(dir.path(), FORMAT).unwrap();
        for (text, told) in [
            ("coterie test 1\nowner me\n", None),
            (
                "coterie test 3\nnew things\n",
                Some("its format is 3, made by a newer version"),
            ),
            (
                "coterie other 1\nowner me\n",
                Some("says `coterie other 1`"),
            ),
            ("", Some("says ``")),
            (
                "coterie test 2\nowner\n",
                Some("the line `owner` is not understood"),
            ),
            ("coterie test 2\nmaker me\n", Some("IDENTITY: no owner")),
        ] {
            fs::write(dir.path().join(IDENTITY), text).unwrap();
            let found = owner(&directory).map_err(|error| error.to_string());
            match told {
                None => assert_eq!(found.unwrap().as_deref(), Some("me")),
                Some(told) => assert!(found.as_ref().unwrap_err().contains(told), "{found:?}"),
            }
        }
    }
}
