//! One convention for module files: `name.rs` beside `name/`. A `mod.rs` stands only in folders of
//! integration tests, where `name.rs` would be a test of its own.

use super::{File, rust};

/// Files named `mod.rs` in source folders.
pub(super) fn check(files: &[File]) -> Vec<String> {
    let paths = rust(files).map(|file| &file.path);
    let found = paths.filter_map(|path| path.strip_suffix("/mod.rs").filter(|_| is_source(path)));
    found
        .map(|folder| format!("{folder}/mod.rs:1: name it {folder}.rs"))
        .collect()
}

fn is_source(path: &str) -> bool {
    path.starts_with("src/") || path.contains("/src/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_source_folders_are_checked() {
        let file = |path: &str| File {
            path: path.to_owned(),
            text: String::new(),
        };
        let files = [
            "a/src/b/mod.rs",
            "src/c/mod.rs",
            "a/src/b.rs",
            "a/tests/common/mod.rs",
        ];
        let found = check(&files.map(file));
        assert_eq!(
            found,
            [
                "a/src/b/mod.rs:1: name it a/src/b.rs",
                "src/c/mod.rs:1: name it src/c.rs"
            ]
        );
    }
}
