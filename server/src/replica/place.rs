//! Where a replica's store is: `replicas/<group id>/store-<n>`, named by the file `CURRENT`.
//!
//! A snapshot is installed beside the store in use. The rename of `CURRENT`, which is atomic, makes
//! it the replica's state. Stores that `CURRENT` does not name are left over from a crash and are
//! removed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use coterie_files::write_atomically;
use coterie_types::GroupId;

const CURRENT: &str = "CURRENT";

/// A replica's directory.
#[derive(Debug, Clone)]
pub(super) struct Place(PathBuf);

impl Place {
    /// Opens the directory, creating it if absent, and removes left-overs.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let place = Self(dir.to_path_buf());
        let current = place.number()?;
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if store_number(&path).is_some_and(|number| number != current) {
                fs::remove_dir_all(&path)?;
            }
        }
        Ok(place)
    }

    /// The store in use.
    pub(super) fn store(&self) -> io::Result<PathBuf> {
        Ok(self.path_of(self.number()?))
    }

    /// Puts the store in `files` into use; returns its new path.
    pub(super) fn adopt(&self, files: &Path) -> io::Result<PathBuf> {
        let next = self.number()? + 1;
        let path = self.path_of(next);
        fs::rename(files, &path)?;
        let current = format!("store-{next}\n");
        write_atomically(&self.0.join(CURRENT), current.as_bytes())?;
        Ok(path)
    }

    fn path_of(&self, number: u64) -> PathBuf {
        self.0.join(format!("store-{number}"))
    }

    fn number(&self) -> io::Result<u64> {
        match fs::read_to_string(self.0.join(CURRENT)) {
            Ok(text) => store_number(Path::new(text.trim_end()))
                .ok_or_else(|| io::Error::other(format!("CURRENT says {text:?}"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }
}

fn store_number(path: &Path) -> Option<u64> {
    path.file_name()?
        .to_str()?
        .strip_prefix("store-")?
        .parse()
        .ok()
}

/// The groups that have a replica below `replicas`.
pub(crate) fn groups_in(replicas: &Path) -> io::Result<Vec<GroupId>> {
    let mut groups = Vec::new();
    if replicas.exists() {
        for entry in fs::read_dir(replicas)? {
            let name = entry?.file_name();
            groups.extend(
                name.to_str()
                    .and_then(|name| name.parse().ok())
                    .map(GroupId),
            );
        }
    }
    groups.sort_unstable();
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_adopted_store_is_in_use_and_the_old_one_goes() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::open(dir.path()).unwrap();
        fs::create_dir(place.store().unwrap()).unwrap();
        let files = dir.path().join("incoming");
        fs::create_dir(&files).unwrap();
        fs::write(files.join("mark"), "new").unwrap();
        place.adopt(&files).unwrap();
        let again = Place::open(dir.path()).unwrap();
        assert!(again.store().unwrap().join("mark").exists());
        assert!(!dir.path().join("store-0").exists());
    }
}
