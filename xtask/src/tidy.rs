//! `cargo xtask tidy`: checks that rustfmt and clippy lack.
//!
//! Words and paths that must not stand in the tree (`words`), a head comment on every Rust file
//! (`heads`), the names of module files (`modules`), the imports that the layers allow (`layers`)
//! and pure folders without clock or IO (`purity`), links of the documents (`links`). Four measures
//! have a ratchet (`ratchet`), a list of counts that may only fall: long files and functions
//! (`sizes`), words that stand where a noun should (`nouns`), long comment lines (`columns`), files
//! that use each other in a circle (`circles`). `file` reads the tree.

mod circles;
mod columns;
mod file;
mod heads;
mod layers;
mod links;
mod modules;
mod nouns;
mod purity;
mod ratchet;
mod scan;
mod sizes;
mod words;

use self::file::{File, rust};
use self::ratchet::Mode;
use crate::{Result, paths};

/// Checks the tree. `--shrink` lowers the counts in the lists that fell, `--accept` writes all.
pub(crate) fn run(args: &[String]) -> Result {
    let given = |flag: &str| args.iter().any(|arg| arg == flag);
    let mode = match (given("--accept"), given("--shrink")) {
        (true, _) => Mode::Accept,
        (false, true) => Mode::Shrink,
        (false, false) => Mode::Check,
    };
    let files = file::files()?;
    let mut findings = Vec::new();
    findings.extend(words::check(&files));
    findings.extend(heads::check(&files));
    findings.extend(modules::check(&files));
    findings.extend(layers::check(&files));
    findings.extend(purity::check(&files));
    findings.extend(links::check(&files, &paths::root()));
    findings.extend(sizes::check(&files, mode)?);
    findings.extend(nouns::check(&files, mode)?);
    findings.extend(columns::check(&files, mode)?);
    findings.extend(circles::check(&files, mode)?);
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        count => Err(format!("tidy has {count} findings").into()),
    }
}
