//! Words that stand where a noun should: a ratchet.
//!
//! A comment with many of the words in [`WORDS`] has to be read twice: it says "`what` is kept" for
//! "the cached value". Tidy counts them in the `//` comments of Rust files and in the text of
//! Markdown files, without code and link targets. `xtask/tidy-nouns.txt` lists the count of each
//! file above 1.0 per 100 words, and the rate of the whole tree per 10,000 words.
//!
//! A single hit in a short file is no finding. Generated tables and past releases are not read.

use super::ratchet::{Counts, Mode, Ratchet};
use super::{File, scan};
use crate::Result;

const WORDS: [&str; 6] = ["what", "who", "whom", "one", "ones", "such"];
/// Of 100 words in a file.
const HITS_MAX: usize = 1;
/// The tree's bound falls to this rate and stays: some hits are numbers and questions.
const TREE_RATE_MIN: usize = 80;
/// The tree's name in the list.
const TREE: &str = "(the whole tree, per 10,000 words)";
const RATCHET: Ratchet = Ratchet {
    list: "xtask/tidy-nouns.txt",
    head: "\
# Files with more than 1.0 of the words what, who, whom, one, ones, such per 100 words of comments,
# with the count, and the rate of the tree. Write the noun instead. A count may fall, never rise.
# `cargo xtask fix` lowers counts; `cargo xtask tidy --accept` writes them as they are.
",
};

/// The files with more of the words than they may have.
pub(super) fn check(files: &[File], mode: Mode) -> Result<Vec<String>> {
    let texts: Vec<(&File, Measured)> = files
        .iter()
        .filter(|file| has_prose(file))
        .map(|file| (file, measure(file)))
        .collect();
    let counts = counts(&texts);
    let grown = RATCHET.settle(&counts, mode)?;
    let findings = grown.iter().map(|count| {
        let text = texts.iter().find(|(file, _)| file.path == count.name);
        finding(
            count.name,
            count.now,
            count.before,
            text.map(|(_, text)| text),
        )
    });
    Ok(findings.collect())
}

/// The words of a file's comments, and the line of each hit.
#[derive(Debug, Default, PartialEq, Eq)]
struct Measured {
    words: usize,
    hits: Vec<usize>,
}

fn finding(name: &str, now: usize, before: Option<usize>, text: Option<&Measured>) -> String {
    let allowed = before.map_or("none".to_owned(), |before| before.to_string());
    let Some(text) = text else {
        return format!("{name}: {now} of the words what, who, one, such; listed: {allowed}");
    };
    let lines: Vec<String> = text.hits.iter().map(ToString::to_string).collect();
    format!(
        "{name}:{}: {now} of the words what, who, one, such in {} words of comments (lines {}); \
         listed: {allowed}. Say the noun, or see `{}`",
        lines.first().map_or("1", String::as_str),
        text.words,
        lines.join(", "),
        RATCHET.list,
    )
}

/// The hits of each file above its bound, and the rate of all files.
fn counts(texts: &[(&File, Measured)]) -> Counts {
    let above = texts
        .iter()
        .filter(|(_, text)| text.hits.len() > 1 && text.hits.len() * 100 > text.words * HITS_MAX);
    let mut counts: Counts = above
        .map(|(file, text)| (file.path.clone(), text.hits.len()))
        .collect();
    let words: usize = texts.iter().map(|(_, text)| text.words).sum();
    let hits: usize = texts.iter().map(|(_, text)| text.hits.len()).sum();
    let rate = (hits * 10_000).div_ceil(words.max(1));
    counts.insert(TREE.to_owned(), rate.max(TREE_RATE_MIN));
    counts
}

fn has_prose(file: &File) -> bool {
    file.path.ends_with(".rs") || file.path.ends_with(".md")
}

fn measure(file: &File) -> Measured {
    let mut measured = Measured::default();
    let mut in_code = false;
    for (number, line) in comments(file) {
        let line = line.trim_start_matches(['/', '!']).trim_start();
        if line.starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            let prose = without_code(line);
            measured.words += words(&prose).count();
            let hits = words(&prose).filter(|word| is_hit(word));
            measured.hits.extend(hits.map(|_| number));
        }
    }
    measured
}

/// The comments of a Rust file or the lines of a document, with their line numbers; without the
/// generated lines after a marker that says `do not edit`.
fn comments(file: &File) -> Vec<(usize, &str)> {
    if file.path.ends_with(".rs") {
        return scan::comments(&file.text);
    }
    let text = match file.path.as_str() {
        "CHANGELOG.md" => unreleased(&file.text),
        _ => &file.text,
    };
    let mut is_generated = false;
    let by_hand = (1..).zip(text.lines()).filter(|(_, line)| {
        let is_marker = line.starts_with("<!--");
        is_generated |= is_marker && line.contains("do not edit");
        is_generated &= !(is_marker && line.contains("The end of"));
        !is_generated
    });
    by_hand.collect()
}

/// The changelog up to its second heading: a past release is not rewritten.
fn unreleased(changelog: &str) -> &str {
    let mut headings = changelog.match_indices("\n## ");
    headings
        .nth(1)
        .map_or(changelog, |(at, _)| &changelog[..at])
}

/// `line` without the code between backticks and without the targets of links.
fn without_code(line: &str) -> String {
    let pieces: Vec<&str> = line.split('`').collect();
    // An unpaired backtick opens no code: the last piece counts always.
    let prose = pieces
        .iter()
        .enumerate()
        .filter(|(at, _)| at % 2 == 0 || at + 1 == pieces.len());
    let prose: Vec<&str> = prose.map(|(_, piece)| *piece).collect();
    let prose = prose.join("`");
    let mut links = prose.split("](");
    let mut text = links.next().unwrap_or("").to_owned();
    for link in links {
        text.push_str(link.split_once(')').map_or("", |(_, after)| after));
    }
    text
}

fn words(prose: &str) -> impl Iterator<Item = &str> {
    prose
        .split(|c: char| !c.is_ascii_alphabetic() && c != '\'')
        .filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// Whether `word` is in [`WORDS`], also with an apostrophe and an ending.
fn is_hit(word: &str) -> bool {
    let stem = word.split('\'').next().unwrap_or(word);
    WORDS.iter().any(|hit| hit.eq_ignore_ascii_case(stem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    fn measured(words: usize, hits: &[usize]) -> Measured {
        Measured {
            words,
            hits: hits.to_vec(),
        }
    }

    #[test]
    fn hits_are_found_in_comments_and_not_in_code() {
        let text = "//! What it is.\nlet who = \"// one\"; // One's own `what` such\n\
                    /// ```\n/// one\n/// ```\nfn ones() {}\n";
        let found = measure(&file("a.rs", text));
        assert_eq!(found, measured(6, &[1, 2, 2]));
    }

    #[test]
    fn hits_are_found_in_the_text_of_documents() {
        let text = "# Who\n\none-way `one` [such](one.md) a ` what\n```\none\n```\nsomeone\n";
        let found = measure(&file("a.md", text));
        assert_eq!(found, measured(7, &[1, 3, 3, 3]));
    }

    #[test]
    fn only_files_above_the_bound_are_listed_and_the_tree_always() {
        let (many, few, single) = (file("many", ""), file("few", ""), file("single", ""));
        let texts = [
            (&many, measured(199, &[1, 2])),
            (&few, measured(200, &[1, 2])),
            (&single, measured(10, &[1])),
        ];
        let expected = [("many".to_owned(), 2), (TREE.to_owned(), 123)];
        assert_eq!(counts(&texts), Counts::from(expected));
        let clean = [(&few, measured(1000, &[1]))];
        assert_eq!(counts(&clean)[TREE], TREE_RATE_MIN);
    }

    #[test]
    fn generated_lines_and_past_releases_are_left_out() {
        let text = "what\n<!-- Made by a.rs; do not edit. -->\nwhat\n\
                    <!-- The end of the tables. -->\nwho\n";
        assert_eq!(measure(&file("a.md", text)).hits, [1, 5]);
        let changelog = "# Changelog\n\n## Unreleased\n\nwhat\n\n## 0.1\n\nwho\n";
        assert_eq!(measure(&file("CHANGELOG.md", changelog)).hits, [5]);
        assert!(has_prose(&file("a.md", "")) && !has_prose(&file("a.toml", "# what\n")));
    }

    #[test]
    fn a_finding_names_the_lines() {
        let text = measured(50, &[3, 9]);
        let finding = finding("a.rs", 2, Some(1), Some(&text));
        assert!(finding.starts_with("a.rs:3: 2 of the words"), "{finding}");
        assert!(finding.contains("(lines 3, 9); listed: 1."), "{finding}");
    }
}
