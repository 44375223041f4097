//! A list of counts in a file of the tree: each may fall, never rise.
//!
//! A measure that the tree does not meet yet gets such a list. `sizes`, `nouns` and `columns` each
//! count per name (a path, a function) and pass only counts above their bound. A count above the
//! listed count is a finding, and so is a name that the list does not have.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::{Result, paths};

/// A name to its count.
pub(super) type Counts = BTreeMap<String, usize>;

/// How a run of tidy treats the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Compare, write nothing.
    Check,
    /// Lower the counts that fell and drop the names that are within bounds.
    Shrink,
    /// Write the counts of the tree as they are.
    Accept,
}

/// A list and its place.
pub(super) struct Ratchet {
    /// Relative to the root.
    pub(super) list: &'static str,
    /// Comment lines that the written list begins with.
    pub(super) head: &'static str,
}

/// A count above its listed count.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Grown<'a> {
    pub(super) name: &'a str,
    /// The listed count; none for a name that is not listed.
    pub(super) before: Option<usize>,
    pub(super) now: usize,
}

impl Ratchet {
    /// Writes the list if `mode` says so; returns the counts that are still above it.
    pub(super) fn settle<'a>(&self, now: &'a Counts, mode: Mode) -> Result<Vec<Grown<'a>>> {
        self.settle_in(&paths::root(), now, mode)
    }

    fn settle_in<'a>(&self, root: &Path, now: &'a Counts, mode: Mode) -> Result<Vec<Grown<'a>>> {
        let path = root.join(self.list);
        let before = self.parse(&fs::read_to_string(&path)?)?;
        let list = match mode {
            Mode::Check => return Ok(grown(now, &before)),
            Mode::Shrink => shrunk(now, &before),
            Mode::Accept => now.clone(),
        };
        let mut text = self.head.to_owned();
        for (name, count) in &list {
            writeln!(text, "{count} {name}")?;
        }
        fs::write(path, text)?;
        Ok(grown(now, &list))
    }

    fn parse(&self, text: &str) -> Result<Counts> {
        let lines = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty());
        let mut counts = Counts::new();
        for line in lines {
            let (count, name) = line
                .split_once(' ')
                .ok_or_else(|| format!("{}: `{line}`", self.list))?;
            counts.insert(name.to_owned(), count.parse()?);
        }
        Ok(counts)
    }
}

/// The listed names that are still counted, each with its lower count.
fn shrunk(now: &Counts, before: &Counts) -> Counts {
    let still = now
        .iter()
        .filter_map(|(name, count)| Some((name.clone(), *count.min(before.get(name)?))));
    still.collect()
}

fn grown<'a>(now: &'a Counts, allowed: &Counts) -> Vec<Grown<'a>> {
    let compared = now.iter().map(|(name, now)| Grown {
        name,
        before: allowed.get(name).copied(),
        now: *now,
    });
    compared
        .filter(|count| count.before.is_none_or(|before| count.now > before))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(&str, usize)]) -> Counts {
        let owned = pairs
            .iter()
            .map(|(name, count)| (String::from(*name), *count));
        owned.collect()
    }

    #[test]
    fn a_listed_count_may_fall_and_not_rise() {
        let listed = counts(&[("a.rs", 600)]);
        assert!(grown(&listed, &listed).is_empty());
        assert!(grown(&counts(&[("a.rs", 550)]), &listed).is_empty());
        let risen = counts(&[("a.rs", 601), ("b.rs", 501)]);
        let found: Vec<_> = grown(&risen, &listed)
            .iter()
            .map(|grown| (grown.name, grown.before))
            .collect();
        assert_eq!(found, [("a.rs", Some(600)), ("b.rs", None)]);
    }

    #[test]
    fn shrinking_lowers_and_drops_and_adds_nothing() {
        let before = counts(&[("fell", 9), ("gone", 9), ("rose", 9)]);
        let now = counts(&[("fell", 8), ("new", 7), ("rose", 10)]);
        assert_eq!(shrunk(&now, &before), counts(&[("fell", 8), ("rose", 9)]));
    }

    #[test]
    fn a_list_is_written_as_it_is_read() {
        let dir = std::env::temp_dir().join(format!("coterie-ratchet-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("list"), "# old head\n9 a file.md\n").unwrap();
        let ratchet = Ratchet {
            list: "list",
            head: "# head\n",
        };
        let text = || fs::read_to_string(dir.join("list")).unwrap();
        let now = counts(&[("a file.md", 7), ("b.rs", 3)]);
        let settle = |mode| ratchet.settle_in(&dir, &now, mode).unwrap().len();
        assert_eq!(settle(Mode::Check), 1);
        assert_eq!(text(), "# old head\n9 a file.md\n");
        assert_eq!(settle(Mode::Shrink), 1);
        assert_eq!(text(), "# head\n7 a file.md\n");
        assert_eq!(settle(Mode::Accept), 0);
        assert_eq!(text(), "# head\n7 a file.md\n3 b.rs\n");
        assert!(ratchet.parse("nonsense").is_err());
        fs::remove_dir_all(dir).unwrap();
    }
}
