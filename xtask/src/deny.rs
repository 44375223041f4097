//! `cargo xtask deny`: licences and sources of the dependencies.
//!
//! Runs cargo-deny where it is installed. Building cargo-deny takes minutes, so without it this
//! module makes the two checks that stop a release, from the same `deny.toml`: every package's
//! licence is allowed, and every package comes from crates.io. Advisories and bans need cargo-deny.

mod spdx;

use std::collections::BTreeSet;
use std::fs;

use crate::{Result, cargo, paths, shell};

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Checks the dependencies of the whole workspace.
pub(crate) fn run() -> Result {
    if cargo::has("deny") {
        return shell::run(cargo::plain().args(["deny", "check", "licenses", "bans", "sources"]));
    }
    eprintln!("xtask: cargo-deny is not installed: licences and sources are checked, bans are not");
    let root = paths::root();
    let lock = fs::read_to_string(root.join("Cargo.lock"))?;
    let deny = fs::read_to_string(root.join("deny.toml"))?;
    let mut findings = foreign_sources(&lock);
    findings.extend(licences(&deny)?);
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        count => Err(format!("{count} dependencies are refused").into()),
    }
}

fn foreign_sources(lock: &str) -> Vec<String> {
    let sources = lock
        .lines()
        .filter_map(|line| line.strip_prefix("source = "));
    let foreign = sources
        .map(|source| source.trim_matches('"'))
        .filter(|s| *s != CRATES_IO);
    foreign
        .map(|source| format!("Cargo.lock: a package comes from {source}"))
        .collect()
}

fn licences(deny: &str) -> Result<Vec<String>> {
    let allowed = allowed(deny);
    let mut tree = cargo::plain();
    tree.args([
        "tree",
        "--locked",
        "--workspace",
        "--target",
        "all",
        "--prefix",
        "none",
    ]);
    tree.args(["--edges", "normal,build", "--format", "{p}|{l}"]);
    let listed = shell::output(&mut tree)?;
    // cargo marks a repeated package with ` (*)`.
    let packages: BTreeSet<&str> = listed
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .collect();
    let refused = packages.into_iter().filter_map(|line| {
        let (package, licence) = line.split_once('|')?;
        (!spdx::satisfied(licence, &allowed))
            .then(|| format!("{package}: the licence `{licence}` is not in deny.toml"))
    });
    Ok(refused.collect())
}

/// The strings of `allow = [ … ]` below `[licenses]`.
fn allowed(deny: &str) -> Vec<String> {
    let section = deny.lines().skip_while(|line| line.trim() != "[licenses]");
    let list = section.skip_while(|line| !line.starts_with("allow = ["));
    let mut names = Vec::new();
    for line in list {
        let line = line.split('#').next().unwrap_or_default();
        names.extend(line.split('"').skip(1).step_by(2).map(str::to_owned));
        if line.contains(']') {
            break;
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read() {
        let deny = "[bans]\nallow = [\"x\"]\n[licenses]\nallow = [\n  \"MIT\", # \"no\"\n  \"ISC\",\n]\n[z]\n";
        assert_eq!(allowed(deny), ["MIT", "ISC"]);
    }

    #[test]
    fn a_source_elsewhere_is_found() {
        let lock = format!("source = \"{CRATES_IO}\"\nsource = \"git+https://example.org/x\"\n");
        assert_eq!(foreign_sources(&lock).len(), 1);
    }
}
