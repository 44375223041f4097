//! The pairs of files of a backup directory, by their names.

use std::fs;
use std::path::{Path, PathBuf};

use coterie_files::FileError;
use coterie_types::{LogIndex, Revision};

use crate::snapshot::Snapshot;

/// A pair of files of a backup. Ordered by the age of the state it begins with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair {
    pub(super) revision: Revision,
    pub(super) index: LogIndex,
    pub(super) member: u64,
    pub(super) dir: PathBuf,
    /// The files' name without its extension.
    pub(super) stem: String,
}

impl Pair {
    /// The pair that begins with this state.
    pub(super) fn new(dir: &Path, state: &Snapshot, member: u64) -> Self {
        let (revision, index) = state.age();
        Self {
            revision,
            index,
            member,
            dir: dir.to_path_buf(),
            stem: format!("meta-{:020}-{:020}-m{member}", revision.0, index.0),
        }
    }

    pub(super) fn snapshot(&self) -> PathBuf {
        self.file("snapshot")
    }

    pub(super) fn tail(&self) -> PathBuf {
        self.file("tail")
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.dir.join(format!("{}.{extension}", self.stem))
    }

    /// The pair whose snapshot has this name; `None` if it names no snapshot.
    pub(super) fn parse(dir: &Path, name: &str) -> Option<Self> {
        let stem = name.strip_suffix(".snapshot")?;
        let (numbers, member) = stem.strip_prefix("meta-")?.split_once("-m")?;
        let (revision, index) = match numbers.split_once('-') {
            Some((revision, index)) => (Some(revision.parse().ok()?), index),
            None => (None, numbers),
        };
        let mut pair = Self {
            revision: Revision(revision.unwrap_or_default()),
            index: LogIndex(index.parse().ok()?),
            member: member.parse().ok()?,
            dir: dir.to_path_buf(),
            stem: stem.to_owned(),
        };
        if revision.is_none()
            && let Ok(Some(state)) = Snapshot::read(&pair.snapshot())
        {
            // The age of an unreadable snapshot is unknown: it counts as the oldest.
            pair.revision = state.age().0;
        }
        Some(pair)
    }
}

/// The pairs in a directory, the oldest first.
pub(super) fn pairs(dir: &Path) -> Result<Vec<Pair>, FileError> {
    let io = || FileError::io("read the backup directory", dir);
    let mut pairs = Vec::new();
    for entry in fs::read_dir(dir).map_err(io())? {
        let name = entry.map_err(io())?.file_name();
        pairs.extend(name.to_str().and_then(|name| Pair::parse(dir, name)));
    }
    pairs.sort();
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use coterie_protocol::meta::Command;

    use super::*;

    fn state(revision: u64, index: u64) -> Snapshot {
        let mut state = Snapshot::default();
        state.state.apply(Command::Birth { cluster_id: 7 });
        state.state.catalog.revision = Revision(revision);
        state.index = LogIndex(index);
        state
    }

    #[test]
    fn the_names_are_pinned() {
        let dir = Path::new("d");
        let pair = Pair::new(dir, &state(100_007, 2), 3);
        let name = "meta-00000000000000100007-00000000000000000002-m3";
        assert_eq!(pair.snapshot(), dir.join(format!("{name}.snapshot")));
        assert_eq!(pair.tail(), dir.join(format!("{name}.tail")));
        let parsed = Pair::parse(dir, &format!("{name}.snapshot"));
        assert_eq!(parsed, Some(pair));
        for name in ["meta-1-2-3-m4.snapshot", "meta-1-m2.tail", "meta-1-m2", "x"] {
            assert_eq!(Pair::parse(dir, name), None, "{name}");
        }
    }

    #[test]
    fn pairs_of_before_take_their_place_among_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let old = |index: u64| format!("meta-{index:020}-m1");
        // Named by the index of the log alone, as earlier versions did: the second was restored
        // from the first.
        for (revision, index) in [(40, 900), (100_041, 2)] {
            let path = dir.path().join(format!("{}.snapshot", old(index)));
            state(revision, index).write(&path).unwrap();
        }
        fs::write(dir.path().join(format!("{}.snapshot", old(950))), "damaged").unwrap();
        let new = Pair::new(dir.path(), &state(200_050, 1), 2);
        state(200_050, 1).write(&new.snapshot()).unwrap();
        let stems: Vec<String> = pairs(dir.path())
            .unwrap()
            .into_iter()
            .map(|p| p.stem)
            .collect();
        assert_eq!(stems, [old(950), old(900), old(2), new.stem]);
    }
}
