//! Words that must not stay in the tree: marks of unfinished work, and paths of a developer's
//! machine.

use super::File;

/// Marks of unfinished work in Rust. Clippy sees some of them, but not in macros and scripts.
const LEFTOVERS: [&str; 3] = ["todo!", "dbg!", "unimplemented!"];

/// Paths that exist only on the machine of the line's author; searched in all files.
const MACHINE_PATHS: [&str; 3] = ["/root/", "/work/", "/home/"];

/// This file names the forbidden words.
const OWN: &str = "xtask/src/tidy/words.rs";

/// Lines with a forbidden word.
pub(super) fn check(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files
        .iter()
        .filter(|file| file.path != OWN && file.path != "Cargo.lock")
    {
        let leftovers: &[&str] = if file.path.ends_with(".rs") {
            &LEFTOVERS
        } else {
            &[]
        };
        for (number, line) in (1..).zip(file.text.lines()) {
            for word in leftovers
                .iter()
                .chain(&MACHINE_PATHS)
                .filter(|word| stands(line, word))
            {
                findings.push(format!("{}:{number}: `{word}` must not stay", file.path));
            }
        }
    }
    findings
}

/// Whether `line` has `word` as a word of its own, not as the end of a longer name or path.
fn stands(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '}' | '/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_words_and_absolute_paths_are_found() {
        assert!(stands("    todo!(\"later\")", "todo!"));
        assert!(!stands("mastodo!()", "todo!"));
        assert!(stands("cd /work/main", "/work/"));
        assert!(!stands("see docs/work/plan.md", "/work/"));
    }
}
