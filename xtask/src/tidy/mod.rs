//! `cargo xtask tidy`: what rustfmt and clippy do not see.
//!
//! Long files and long functions (a ratchet: what is long already may not grow, see `sizes`),
//! words and paths that must not stand in the tree, a head comment on every Rust file, who may
//! depend on what, and links of the documents. Reads the files git knows or would add.

mod heads;
mod layers;
mod links;
mod scan;
mod sizes;
mod words;

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{Result, paths, shell};

/// One file of the tree, as text.
struct File {
    /// Relative to the root, with `/`.
    path: String,
    text: String,
}

/// Checks the tree. `--accept` writes the sizes as they are now, `--shrink` only smaller ones.
pub(crate) fn run(args: &[String]) -> Result {
    let files = files()?;
    let mut findings = Vec::new();
    findings.extend(words::check(&files));
    findings.extend(heads::check(&files));
    findings.extend(layers::check(&files));
    findings.extend(links::check(&files, &paths::root()));
    let accept = args.iter().any(|arg| arg == "--accept");
    let shrink = args.iter().any(|arg| arg == "--shrink");
    findings.extend(if accept || shrink {
        sizes::write(&files, accept)?
    } else {
        sizes::check(&files)?
    });
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        count => Err(format!("tidy has {count} findings").into()),
    }
}

/// The text files that are tracked or would be.
fn files() -> Result<Vec<File>> {
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
fn rust(files: &[File]) -> impl Iterator<Item = &File> {
    files.iter().filter(|file| file.path.ends_with(".rs"))
}
