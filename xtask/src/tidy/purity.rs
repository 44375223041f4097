//! Pure folders: code that only decides, in crates that also do IO.
//!
//! The planner and the catalog take values and return values: the planner can be simulated, and
//! replicas of the catalog that apply the same commands agree. A pure crate is pure by its manifest
//! and its clippy.toml. These folders share theirs with code that does IO, so tidy reads their
//! source: no runtime, clock, chance, file, socket or environment, and no collection whose order
//! differs per process. Their tests may use anything.

use super::{File, rust, scan};

/// The pure folders, each with the modules of its own crate that do IO.
const FOLDERS: [(&str, &[&str]); 2] = [
    (
        "controller/src/planner",
        &["executor", "ports", "run", "lease", "metrics"],
    ),
    (
        "meta/src/catalog",
        &["backup", "service", "run", "machine", "metrics"],
    ),
];

/// Paths that no pure folder names.
const IMPURE: [&str; 16] = [
    "tokio",
    "tokio_util",
    "tracing",
    "rand",
    "getrandom",
    "coterie_rpc",
    "coterie_raft",
    "coterie_meta_client",
    "coterie_files",
    "coterie_telemetry",
    "Instant::now",
    "SystemTime",
    "HashMap",
    "HashSet",
    "RandomState",
    "thread_local",
];

/// Modules of `std` that no pure folder names.
const IMPURE_STD: [&str; 6] = ["env", "fs", "io", "net", "process", "thread"];

/// Impure names in the pure folders.
pub(super) fn check(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    for (folder, own) in FOLDERS {
        let prefix = format!("{folder}/");
        let root = format!("{folder}.rs");
        let inside = rust(files).filter(|file| file.path.starts_with(&prefix) || file.path == root);
        let mut product = inside.filter(|file| !is_test(&file.path)).peekable();
        if product.peek().is_none() {
            findings.push(format!("{folder}: no such folder; see tidy's purity.rs"));
        }
        for file in product {
            for (number, name) in impure(&file.text, own) {
                let path = &file.path;
                findings.push(format!("{path}:{number}: `{name}`, but {folder} is pure"));
            }
        }
    }
    findings
}

/// Whether the file is a module of tests: `tests.rs`, or in `tests/`.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// The impure names in the code of `source` before its tests, with their lines.
fn impure(source: &str, own: &[&str]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let code = scan::blanked(source);
    let lines = code.lines().take(scan::lines_without_tests(source));
    // `use std::{` and `use crate::{` may spread over lines.
    let mut group = None;
    for (number, line) in (1..).zip(lines) {
        let trimmed = line.trim_start();
        let names = IMPURE.iter().filter(|name| stands(line, name));
        found.extend(names.map(|name| (number, (*name).to_owned())));
        for (root, modules) in [("std", &IMPURE_STD[..]), ("crate", own)] {
            if trimmed.contains(&format!("use {root}::{{")) {
                group = Some(root);
            }
            let named = modules.iter().filter(|module| {
                let path = format!("{root}::{module}");
                stands(line, &path) || (group == Some(root) && stands(line, module))
            });
            found.extend(named.map(|module| (number, format!("{root}::{module}"))));
        }
        if line.contains(';') {
            group = None;
        }
    }
    found
}

/// Whether `name` stands in `code` as whole path segments.
fn stands(code: &str, name: &str) -> bool {
    let continues = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + name.len()..].chars().next();
        !before.is_some_and(continues) && !after.is_some_and(continues)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(source: &str) -> Vec<(usize, String)> {
        impure(source, &["executor"])
    }

    #[test]
    fn impure_names_are_found_in_code_alone() {
        for (source, name) in [
            ("let now = std::time::Instant::now();", "Instant::now"),
            ("use tokio::sync::Mutex;", "tokio"),
            ("use std::collections::{BTreeMap, HashMap};", "HashMap"),
            ("let text = std::fs::read(path);", "std::fs"),
            ("use std::{fmt, net};", "std::net"),
            ("use crate::executor::Stop;", "crate::executor"),
        ] {
            assert_eq!(names(source), [(1, name.to_owned())], "{source}");
        }
        assert_eq!(
            names("use std::{\n    fmt,\n    fs,\n};\nlet fs = 1;\n"),
            [(3, "std::fs".to_owned())]
        );
        for source in [
            "// tokio, std::fs",
            "let a = \"HashMap\";",
            "use std::time::{Duration, Instant};",
            "let operand = branding;",
            "use crate::job::Step;",
            "#[cfg(test)]\nmod tests { use std::fs; }",
        ] {
            assert!(names(source).is_empty(), "{source}");
        }
    }

    #[test]
    fn only_the_product_of_pure_folders_is_checked() {
        let file = |path: &str| File {
            path: path.to_owned(),
            text: "use tokio::time;\n".to_owned(),
        };
        let pure = ["controller/src/planner/a.rs", "meta/src/catalog.rs"];
        let other = [
            "controller/src/planner/tests.rs",
            "controller/src/planner/tests/a.rs",
            "controller/src/executor/a.rs",
        ];
        let files: Vec<File> = pure.iter().chain(&other).copied().map(file).collect();
        let findings = check(&files);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].starts_with("controller/src/planner/a.rs:1: `tokio`"));
    }

    #[test]
    fn a_pure_folder_that_moved_is_found() {
        assert_eq!(check(&[]).len(), FOLDERS.len());
    }
}
