//! Comment lines of Rust files end by column 100: a ratchet.
//!
//! rustfmt wraps code and leaves comments as they are, so an edited paragraph stays ragged unless
//! its author wraps it anew. `xtask/tidy-columns.txt` lists the files with longer comment lines,
//! and how many each has. Table rows and link targets cannot be wrapped and are not counted.

use std::collections::BTreeMap;

use super::ratchet::{Counts, Mode, Ratchet};
use super::{File, rust, scan};
use crate::Result;

const COLUMNS_MAX: usize = 100;
const RATCHET: Ratchet = Ratchet {
    list: "xtask/tidy-columns.txt",
    head: "\
# Files with comment lines over 100 columns, and how many. A count may fall, never rise.
# `cargo xtask fix` lowers counts; `cargo xtask tidy --accept` writes them as they are.
",
};

/// The files with more long comment lines than they may have.
pub(super) fn check(files: &[File], mode: Mode) -> Result<Vec<String>> {
    let long: BTreeMap<&str, Vec<usize>> = rust(files)
        .map(|file| (file.path.as_str(), long_comments(&file.text)))
        .filter(|(_, lines)| !lines.is_empty())
        .collect();
    let counts: Counts = long
        .iter()
        .map(|(path, lines)| ((*path).to_owned(), lines.len()))
        .collect();
    let grown = RATCHET.settle(&counts, mode)?;
    let findings = grown.iter().map(|count| {
        let lines: Vec<String> = long[count.name].iter().map(ToString::to_string).collect();
        format!(
            "{}:{}: comments over {COLUMNS_MAX} columns in lines {}; listed: {}. Wrap them",
            count.name,
            lines[0],
            lines.join(", "),
            count.before.unwrap_or(0),
        )
    });
    Ok(findings.collect())
}

/// The numbers of the lines that a comment makes too long.
fn long_comments(source: &str) -> Vec<usize> {
    let lines: Vec<&str> = source.lines().collect();
    let long = scan::comments(source).into_iter().filter(|(number, text)| {
        let line = lines.get(number - 1).copied().unwrap_or("");
        line.chars().count() > COLUMNS_MAX && can_be_wrapped(text)
    });
    long.map(|(number, _)| number).collect()
}

/// Whether a comment line is more than a table row, a link target or a single long word.
fn can_be_wrapped(comment: &str) -> bool {
    let text = comment.trim_start_matches(['/', '!']).trim();
    let is_link_target = text.starts_with('[') && text.contains("]: ");
    !text.starts_with('|') && !is_link_target && text.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_comments_are_found_and_long_code_is_not() {
        let words = "word ".repeat(30);
        let word = "w".repeat(120);
        let fits = "é".repeat(48);
        let source = format!(
            "/// {words}\n\
             let a = \"// {words}\";\n\
             let b = \"{word}\"; // Why so.\n\
             // {fits} {fits}\n\
             // <https://{word}>\n\
             //! [a]: https://{word}\n\
             /// | {words} |\n"
        );
        assert_eq!(long_comments(&source), [1, 3]);
    }
}
