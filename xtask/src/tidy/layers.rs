//! Who may depend on what, read from the manifests.
//!
//! openraft is named in one crate, rocksdb in one, so that each can be replaced; pure crates have
//! no runtime, so that what they decide can be simulated. See ARCHITECTURE.md.

use super::File;

/// A dependency and the only manifests that may name it.
const ONLY_IN: [(&str, &[&str]); 3] = [
    ("openraft", &["crates/raft"]),
    ("raft-engine", &["crates/raft"]),
    ("rocksdb", &["crates/storage"]),
];

/// Crates that decide and do nothing else, and what they therefore must not import.
const PURE: [&str; 4] = [
    "crates/types",
    "crates/protocol",
    "crates/group",
    "redis-compat",
];
const IMPURE: [&str; 9] = [
    "tokio",
    "tokio-util",
    "getrandom",
    "rand",
    "tracing",
    "coterie-rpc",
    "coterie-raft",
    "coterie-storage",
    "coterie-server",
];

/// Dependencies against the order of the layers.
pub(super) fn check(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files {
        let Some(folder) = file.path.strip_suffix("/Cargo.toml") else {
            continue;
        };
        for dependency in dependencies(&file.text) {
            let kept = ONLY_IN.iter().find(|(name, _)| *name == dependency);
            if let Some((_, allowed)) = kept.filter(|(_, allowed)| !allowed.contains(&folder)) {
                let allowed = allowed.join(", ");
                findings.push(format!(
                    "{}: only {allowed} may name {dependency}",
                    file.path
                ));
            }
            if PURE.contains(&folder) && IMPURE.contains(&dependency) {
                findings.push(format!("{}: a pure crate without {dependency}", file.path));
            }
        }
    }
    findings
}

/// The names in `[dependencies]` of a manifest; what only tests use may be impure.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let lines = manifest
        .lines()
        .skip_while(|line| line.trim() != "[dependencies]")
        .skip(1);
    lines
        .take_while(|line| !line.trim_start().starts_with('['))
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_in_the_wrong_crate_is_found() {
        let manifest = |path: &str, name: &str| File {
            path: format!("{path}/Cargo.toml"),
            text: format!("[dependencies]\n# why\n{name}.workspace = true\n[lints]\nx = 1\n"),
        };
        assert!(check(&[manifest("crates/raft", "openraft")]).is_empty());
        assert_eq!(check(&[manifest("server", "openraft")]).len(), 1);
        assert_eq!(check(&[manifest("crates/group", "tokio")]).len(), 1);
        assert!(check(&[manifest("server", "tokio")]).is_empty());
    }
}
