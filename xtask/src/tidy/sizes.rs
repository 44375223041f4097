//! Lengths of files and functions: a ratchet, not a rule.
//!
//! A file of more than 500 lines before its tests, or a function of more than 70, is written down
//! in `xtask/tidy-sizes.txt` with its length and may shrink, never grow. A new one is a finding:
//! make it smaller, or, when it reads best so (a long flat table does), accept it by
//! `cargo xtask tidy --accept` and say why in the commit.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use super::{File, rust, scan};
use crate::{Result, paths};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const LIST: &str = "xtask/tidy-sizes.txt";
const LIST_HEAD: &str = "\
# What is longer than 500 lines (file, tests at its foot left out) or 70 (function), and how long.
# It may shrink, never grow. Written by `cargo xtask fix`; new lines by `cargo xtask tidy --accept`.
";

/// `path` or `path::function` to its lines.
type Sizes = BTreeMap<String, usize>;

/// What is longer than it may be.
pub(super) fn check(files: &[File]) -> Result<Vec<String>> {
    Ok(grown(&measured(files), &listed()?))
}

/// Writes the list: what shrank, and what is new or grew too when `accept`; gives what is left.
pub(super) fn write(files: &[File], accept: bool) -> Result<Vec<String>> {
    let (now, before) = (measured(files), listed()?);
    let mut list = Sizes::new();
    for (name, lines) in &now {
        match before.get(name) {
            _ if accept => list.insert(name.clone(), *lines),
            Some(allowed) => list.insert(name.clone(), *lines.min(allowed)),
            None => None,
        };
    }
    let mut text = LIST_HEAD.to_owned();
    for (name, lines) in &list {
        writeln!(text, "{lines} {name}")?;
    }
    fs::write(paths::root().join(LIST), text)?;
    Ok(grown(&now, &list))
}

fn grown(now: &Sizes, allowed: &Sizes) -> Vec<String> {
    let too_long = now
        .iter()
        .filter(|(name, lines)| allowed.get(*name).is_none_or(|allowed| *lines > allowed));
    too_long
        .map(|(name, lines)| match allowed.get(name) {
            Some(before) => format!("{name}: grew from {before} lines to {lines}"),
            None => format!("{name}: {lines} lines are long; split it, or see `{LIST}`"),
        })
        .collect()
}

/// All that is over the bounds.
fn measured(files: &[File]) -> Sizes {
    let mut sizes = Sizes::new();
    for file in rust(files) {
        let lines = scan::lines_without_tests(&file.text);
        if lines > FILE_LINES_MAX {
            sizes.insert(file.path.clone(), lines);
        }
        for function in scan::functions(&file.text) {
            if function.lines > FUNCTION_LINES_MAX {
                // Two of one name in a file: the longer counts.
                let size = sizes
                    .entry(format!("{}::{}", file.path, function.name))
                    .or_default();
                *size = function.lines.max(*size);
            }
        }
    }
    sizes
}

fn listed() -> Result<Sizes> {
    let text = fs::read_to_string(paths::root().join(LIST))?;
    let mut sizes = Sizes::new();
    for line in text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let (lines, name) = line
            .split_once(' ')
            .ok_or_else(|| format!("{LIST}: `{line}`"))?;
        sizes.insert(name.to_owned(), lines.parse()?);
    }
    Ok(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_may_shrink_and_not_grow() {
        let sizes = |lines| Sizes::from([("a.rs".to_owned(), lines)]);
        assert!(grown(&sizes(600), &sizes(600)).is_empty());
        assert!(grown(&sizes(550), &sizes(600)).is_empty());
        assert_eq!(grown(&sizes(601), &sizes(600)).len(), 1);
        assert_eq!(grown(&sizes(501), &Sizes::new()).len(), 1);
    }
}
