//! `cargo xtask tidy`: checks that rustfmt and clippy lack.
//!
//! Words and paths that must not stand in the tree (`words`), a head comment on every Rust file
//! (`heads`), the imports that the layers allow (`layers`) and pure folders without clock or IO
//! (`purity`), links of the documents (`links`). Three measures have a ratchet (`ratchet`), a list
//! of counts that may only fall: long files and functions (`sizes`), words that stand where a noun
//! should (`nouns`), long comment lines (`columns`). Reads the files that git tracks or would add.

mod columns;
mod heads;
mod layers;
mod links;
mod nouns;
mod purity;
mod ratchet;
mod scan;
mod sizes;
mod words;

use std::fs;
use std::path::Path;
use std::process::Command;

use self::ratchet::Mode;
use crate::{Result, paths, shell};

/// A file of the tree, as text.
struct File {
    /// Relative to the root, with `/`.
    path: String,
    text: String,
}

/// Checks the tree. `--shrink` lowers the counts in the lists that fell, `--accept` writes all.
pub(crate) fn run(args: &[String]) -> Result {
    let given = |flag: &str| args.iter().any(|arg| arg == flag);
    let mode = match (given("--accept"), given("--shrink")) {
        (true, _) => Mode::Accept,
        (false, true) => Mode::Shrink,
        (false, false) => Mode::Check,
    };
    let files = files()?;
    let mut findings = Vec::new();
    findings.extend(words::check(&files));
    findings.extend(heads::check(&files));
    findings.extend(layers::check(&files));
    findings.extend(purity::check(&files));
    findings.extend(links::check(&files, &paths::root()));
    findings.extend(sizes::check(&files, mode)?);
    findings.extend(nouns::check(&files, mode)?);
    findings.extend(columns::check(&files, mode)?);
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
