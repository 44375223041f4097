//! The files of the tree that tidy reads: the text files that git tracks or would add.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{Result, paths, shell};

/// A file of the tree, as text.
pub(super) struct File {
    /// Relative to the root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

/// The text files that are tracked or would be.
pub(super) fn files() -> Result<Vec<File>> {
    let root = paths::root();
    let mut git = Command::new("git");
    git.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ])
    .current_dir(&root);
    let listed = shell::output(&mut git)?;
    let mut files = Vec::new();
    for path in listed.split('\0').filter(|path| !path.is_empty()) {
        // Gone from the tree but not from the index, or no text: nothing to read.
        if let Some(text) = read(&root.join(path)) {
            files.push(File {
                path: path.to_owned(),
                text,
            });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    Ok(files)
}

fn read(path: &Path) -> Option<String> {
    if path.is_symlink() {
        None
    } else {
        fs::read_to_string(path).ok()
    }
}

/// The Rust files among `files`.
pub(super) fn rust(files: &[File]) -> impl Iterator<Item = &File> {
    files.iter().filter(|file| file.path.ends_with(".rs"))
}
