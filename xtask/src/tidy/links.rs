//! Links of the documents: a linked file exists, and so does the linked heading.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::File;

/// Links in Markdown files to absent files or headings. Links to the web are not checked.
pub(super) fn check(files: &[File], root: &Path) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        for (number, target) in links(&file.text) {
            if !resolves(root, &file.path, &target) {
                findings.push(format!("{}:{number}: `{target}` leads nowhere", file.path));
            }
        }
    }
    findings
}

/// The targets of `[text](target)` outside of code, with their line numbers.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        // Every second piece between backticks is code.
        for prose in line.split('`').step_by(2) {
            for (at, _) in prose.match_indices("](") {
                if let Some((target, _)) = prose[at + 2..].split_once(')') {
                    found.push((number, target.to_owned()));
                }
            }
        }
    }
    found
}

fn resolves(root: &Path, from: &str, target: &str) -> bool {
    if target.contains("://") || target.starts_with("mailto:") {
        return true;
    }
    let (path, anchor) = match target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (target, None),
    };
    let folder = Path::new(from).parent().unwrap_or(Path::new(""));
    let file = if path.is_empty() {
        PathBuf::from(from)
    } else {
        normal(&folder.join(path))
    };
    match anchor {
        None => root.join(file).exists(),
        Some(anchor) => fs::read_to_string(root.join(file))
            .is_ok_and(|text| headings(&text).any(|slug| slug == anchor)),
    }
}

fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

/// The anchors that GitHub gives to the headings of a document.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let titles = text.lines().filter(|line| line.starts_with('#'));
    titles.map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_of_code() {
        let text = "see [a](a.md#one-two) and `[b](b.md)`\n```\n[c](c.md)\n```\n[d](d.md)\n";
        assert_eq!(
            links(text),
            [(1, "a.md#one-two".to_owned()), (5, "d.md".to_owned())]
        );
    }

    #[test]
    fn headings_become_anchors() {
        let text = "# The life of a write\n## 2. What, when?\n";
        let slugs: Vec<String> = headings(text).collect();
        assert_eq!(slugs, ["the-life-of-a-write", "2-what-when"]);
    }

    #[test]
    fn a_link_resolves_from_the_folder_of_its_file() {
        let dir = std::env::temp_dir().join(format!("coterie-tidy-{}", std::process::id()));
        fs::create_dir_all(dir.join("docs")).unwrap();
        fs::write(dir.join("docs/a.md"), "# One\n").unwrap();
        fs::write(dir.join("README.md"), "").unwrap();
        for (from, target, good) in [
            ("README.md", "docs/a.md", true),
            ("README.md", "docs/a.md#one", true),
            ("README.md", "docs/a.md#two", false),
            ("docs/a.md", "../README.md", true),
            ("docs/a.md", "README.md", false),
            ("docs/a.md", "https://example.org/x", true),
        ] {
            assert_eq!(resolves(&dir, from, target), good, "{from} {target}");
        }
        fs::remove_dir_all(dir).unwrap();
    }
}
