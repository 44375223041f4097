//! Lengths of files and functions: a ratchet, not a rule.
//!
//! `xtask/tidy-sizes.txt` lists each file of more than 500 lines before its tests, and each
//! function of more than 70, with its length. A listed length may shrink, never grow. An unlisted
//! file or function above the bound is a finding: make it smaller, or, when it reads best so (a
//! long flat table does), accept it by `cargo xtask tidy --accept` and say why in the commit.

use super::ratchet::{Counts, Mode, Ratchet};
use super::{File, rust, scan};
use crate::Result;

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const RATCHET: Ratchet = Ratchet {
    list: "xtask/tidy-sizes.txt",
    head: "\
# Files over 500 lines (tests at the foot left out) and functions over 70, with their lines.
# A count may shrink, never grow. `cargo xtask fix` lowers counts; `cargo xtask tidy --accept` adds.
",
};

/// The files and functions that are longer than they may be.
pub(super) fn check(files: &[File], mode: Mode) -> Result<Vec<String>> {
    let sizes = measured(files);
    let grown = RATCHET.settle(&sizes, mode)?;
    let findings = grown.iter().map(|size| {
        let (name, now, list) = (size.name, size.now, RATCHET.list);
        match size.before {
            Some(before) => format!("{name}: grew from {before} lines to {now}"),
            None => format!("{name}: {now} lines are long; split it, or see `{list}`"),
        }
    });
    Ok(findings.collect())
}

/// The lines of each file (`path`) and function (`path::function`) above its bound.
fn measured(files: &[File]) -> Counts {
    let mut sizes = Counts::new();
    for file in rust(files) {
        let lines = scan::lines_without_tests(&file.text);
        if lines > FILE_LINES_MAX {
            sizes.insert(file.path.clone(), lines);
        }
        for function in scan::functions(&file.text) {
            if function.lines > FUNCTION_LINES_MAX {
                // Of two functions of the same name in a file, the longer counts.
                let size = sizes
                    .entry(format!("{}::{}", file.path, function.name))
                    .or_default();
                *size = function.lines.max(*size);
            }
        }
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_files_and_functions_are_counted() {
        let function = |name: &str, lines: usize| {
            format!("fn {name}() {{\n{}}}\n", "    x;\n".repeat(lines - 2))
        };
        let file = |path: &str, text: String| File {
            path: path.to_owned(),
            text,
        };
        let long = "x;\n".repeat(501);
        let files = [
            file("a.rs", function("short", 70) + &function("long", 71)),
            file("b.rs", long.clone()),
            file("b.md", long),
        ];
        let expected = [("a.rs::long".to_owned(), 71), ("b.rs".to_owned(), 501)];
        assert_eq!(measured(&files), Counts::from(expected));
    }
}
