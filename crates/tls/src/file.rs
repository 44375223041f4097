//! A file that a flag names.

use std::path::PathBuf;

/// A file, and the flag that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The flag, with its dashes: for errors.
    pub flag: &'static str,
    /// The file.
    pub path: PathBuf,
}
