//! Commands see the handles of types, and no record: read from the source.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::{Path, PathBuf};

/// Files and folders below `src` that know records. A type's handle is its `value.rs`.
const BELOW_COMMANDS: &[&str] = &[
    "changes.rs",
    "context.rs",
    "lib.rs",
    "mem_view.rs",
    "record.rs",
    "txn",
    "txn.rs",
    "value.rs",
    "view.rs",
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Whether code outside of comments has the word `Record`.
fn names_records(source: &str) -> bool {
    let code = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let mut words = code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
    words.any(|word| word == "Record")
}

#[test]
fn no_command_sees_a_record() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&src, &mut found);
    let (mut below, mut above) = (0, 0);
    for path in found {
        let inside = path.strip_prefix(&src).unwrap();
        let mut parts = inside.components();
        let is_below =
            parts.any(|part| BELOW_COMMANDS.contains(&part.as_os_str().to_str().unwrap()));
        let names = names_records(&std::fs::read_to_string(&path).unwrap());
        below += usize::from(is_below && names);
        above += usize::from(!is_below);
        assert!(is_below || !names, "{} names records", inside.display());
    }
    assert!(below > 5 && above > 30, "the source was not read");
}
