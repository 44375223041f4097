//! Bytes that a directory takes on disk.

use std::path::Path;

/// The sum of the lengths of all files under `dir` whose names pass `counts`.
pub(crate) fn bytes(dir: &Path, counts: &dyn Fn(&str) -> bool) -> std::io::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sum += bytes(&entry.path(), counts)?;
        } else if kind.is_file() && counts(&entry.file_name().to_string_lossy()) {
            sum += entry.metadata()?.len();
        }
    }
    Ok(sum)
}
