//! The layers of ARCHITECTURE.md: the crates that each crate may import, read from the manifests.
//!
//! Only `crates/raft` names openraft and only `crates/storage` names rocksdb, so that each can be
//! replaced. Pure crates have no runtime, so that their decisions can be simulated. A crate of the
//! workspace imports only the crates that its row in [`LAYERS`] names; a new crate needs a row, and
//! a place in the drawing. Dependencies of tests are free.

use super::File;

/// A dependency and the only manifests that may name it.
const ONLY_IN: [(&str, &[&str]); 3] = [
    ("openraft", &["crates/raft"]),
    ("raft-engine", &["crates/raft"]),
    ("rocksdb", &["crates/storage"]),
];

/// The folders of the pure crates.
const PURE: [&str; 4] = [
    "crates/types",
    "crates/protocol",
    "crates/group",
    "redis-compat",
];

/// Packages that a pure crate must not import.
const IMPURE: [&str; 5] = ["tokio", "tokio-util", "getrandom", "rand", "tracing"];

/// The prefix of the workspace's packages.
const PACKAGES: &str = "coterie-";

/// A folder of the workspace, and the packages of the workspace (without [`PACKAGES`]) that it may
/// import; bottom up, as ARCHITECTURE.md draws them.
#[rustfmt::skip]
const LAYERS: [(&str, &[&str]); 23] = [
    // Pure.
    ("crates/types",       &[]),
    ("crates/protocol",    &["types"]),
    ("redis-compat",       &["types"]),
    ("crates/group",       &["types", "protocol", "redis-compat"]),
    // Plumbing.
    ("crates/budget",      &[]),
    ("crates/config",      &[]),
    ("crates/files",       &[]),
    ("crates/lua",         &[]),
    ("crates/telemetry",   &[]),
    // Adapters.
    ("crates/rpc",         &["budget"]),
    ("crates/storage",     &["types", "budget"]),
    ("crates/meta-client", &["types", "protocol", "rpc"]),
    ("crates/raft",        &["types", "protocol", "rpc", "budget", "config", "files"]),
    // Edge.
    ("proxy",              &["types", "protocol", "budget", "config", "files", "telemetry",
                             "lua", "rpc", "meta-client", "redis-compat"]),
    ("controller",         &["types", "protocol", "budget", "config", "files", "telemetry",
                             "rpc", "meta-client"]),
    ("server",             &["types", "protocol", "budget", "config", "files", "telemetry",
                             "lua", "rpc", "meta-client", "redis-compat", "group", "raft",
                             "storage"]),
    ("meta",               &["types", "protocol", "budget", "config", "files", "telemetry",
                             "rpc", "raft"]),
    // The binary, and the tools beside it: tests and benches see the product as processes. Tests
    // also make commands from the command table.
    ("",                   &["types", "protocol", "budget", "config", "files", "telemetry",
                             "rpc", "meta-client", "proxy", "controller", "server", "meta"]),
    ("crates/fuzz",        &[]),
    ("crates/grammar",     &["redis-compat"]),
    ("tests",              &["redis-compat", "grammar"]),
    ("bench",              &["tests"]),
    ("xtask",              &[]),
];

/// Dependencies against the order of the layers.
pub(super) fn check(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files {
        let Some(folder) = file.path.strip_suffix("Cargo.toml") else {
            continue;
        };
        let folder = folder.trim_end_matches('/');
        let Some((_, layer)) = LAYERS.iter().find(|(known, _)| *known == folder) else {
            findings.push(format!(
                "{}: no row in LAYERS of tidy's layers.rs",
                file.path
            ));
            continue;
        };
        let mut finding = |number: usize, text: String| {
            findings.push(format!("{}:{number}: {text}", file.path));
        };
        for (number, dependency) in dependencies(&file.text) {
            let owner = ONLY_IN.iter().find(|(name, _)| *name == dependency);
            if let Some((_, owners)) = owner.filter(|(_, owners)| !owners.contains(&folder)) {
                let owners = owners.join(", ");
                finding(number, format!("only {owners} may import {dependency}"));
            }
            if PURE.contains(&folder) && IMPURE.contains(&dependency) {
                finding(number, format!("a pure crate does not import {dependency}"));
            }
            let package = dependency.strip_prefix(PACKAGES);
            if package.is_some_and(|package| !layer.contains(&package)) {
                finding(
                    number,
                    format!("the layers of ARCHITECTURE.md do not let it import {dependency}"),
                );
            }
        }
    }
    findings
}

/// The dependencies of a manifest with their lines, without those of tests and build scripts.
fn dependencies(manifest: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_dependencies = false;
    for (number, line) in (1..).zip(manifest.lines()) {
        let line = line.trim();
        if let Some(section) = line.strip_prefix('[') {
            let section = section.split(']').next().unwrap_or("");
            in_dependencies = is_dependencies(section);
            // `[dependencies.name]` is a dependency of its own.
            let parent = section.rsplit_once('.');
            if let Some((_, name)) = parent.filter(|(parent, _)| is_dependencies(parent)) {
                found.push((number, name));
            }
        } else if in_dependencies && !line.starts_with('#') {
            let name = line.split(['.', ' ', '=']).next().unwrap_or("");
            found.extend(Some((number, name)).filter(|(_, name)| !name.is_empty()));
        }
    }
    found
}

/// Whether a section lists dependencies of the product, for all targets or for some.
fn is_dependencies(section: &str) -> bool {
    let of_a_target = section.starts_with("target.") && section.ends_with(".dependencies");
    section == "dependencies" || of_a_target
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(folder: &str, name: &str) -> File {
        let path = format!("{folder}/Cargo.toml");
        File {
            path: path.trim_start_matches('/').to_owned(),
            text: format!("[dependencies]\n# why\n{name}.workspace = true\n[lints]\nx = 1\n"),
        }
    }

    fn count(folder: &str, name: &str) -> usize {
        check(&[manifest(folder, name)]).len()
    }

    #[test]
    fn a_dependency_in_the_wrong_crate_is_found() {
        assert_eq!(count("crates/raft", "openraft"), 0);
        assert_eq!(count("server", "openraft"), 1);
        assert_eq!(count("crates/group", "tokio"), 1);
        assert_eq!(count("server", "tokio"), 0);
    }

    #[test]
    fn a_role_imports_only_the_layers_below_it() {
        for (folder, allowed, refused) in [
            ("proxy", "redis-compat", "group"),
            ("proxy", "meta-client", "storage"),
            ("controller", "rpc", "raft"),
            ("controller", "protocol", "storage"),
            ("controller", "protocol", "redis-compat"),
            ("meta", "raft", "storage"),
            ("server", "group", "meta"),
            ("crates/protocol", "types", "rpc"),
            ("crates/group", "redis-compat", "storage"),
            ("crates/rpc", "budget", "protocol"),
            ("", "server", "storage"),
            ("bench", "tests", "proxy"),
        ] {
            assert_eq!(count(folder, &format!("coterie-{allowed}")), 0, "{folder}");
            assert_eq!(count(folder, &format!("coterie-{refused}")), 1, "{folder}");
        }
    }

    #[test]
    fn a_crate_without_a_row_is_found() {
        assert_eq!(count("crates/new", "bytes"), 1);
    }

    #[test]
    fn a_finding_names_the_line() {
        let findings = check(&[manifest("proxy", "coterie-raft")]);
        assert!(
            findings[0].starts_with("proxy/Cargo.toml:3: "),
            "{findings:?}"
        );
    }

    #[test]
    fn all_sections_of_dependencies_are_read_but_those_of_tests() {
        let text = "[package]\nname = \"a\"\n[dependencies]\nb = { path = \"b\" }\n\
                    [dev-dependencies]\nc = \"1\"\n[target.'cfg(unix)'.dependencies]\nd.path = \"d\"\n\
                    [dependencies.e]\nversion = \"1\"\n[workspace.dependencies]\nf = \"1\"\n";
        let names: Vec<&str> = dependencies(text)
            .into_iter()
            .map(|(_, name)| name)
            .collect();
        assert_eq!(names, ["b", "d", "e"]);
    }
}
