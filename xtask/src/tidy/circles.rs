//! Circles between the files of a crate: a ratchet.
//!
//! Files in a circle can only be understood, tested and moved together, because each of them needs
//! all others. A file is in a circle when it uses an item of another file that uses, directly or
//! over further files, an item of the first. Methods of a type may stand in several files; calls of
//! methods are not followed, paths are. `xtask/tidy-circles.txt` lists the files in circles, each
//! with the number of files in its circle. To break a circle, move the item that both need to
//! a file below both.

mod imports;
mod modules;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use self::modules::Modules;
use super::ratchet::{Counts, Mode, Ratchet};
use super::{File, rust};
use crate::Result;

const RATCHET: Ratchet = Ratchet {
    list: "xtask/tidy-circles.txt",
    head: "\
# Files of a crate that use each other in a circle, with the number of files in the circle.
# A count may fall, never rise. `cargo xtask fix` lowers counts; `cargo xtask tidy --accept` adds.
",
};

/// Each file with the files of its crate that it uses.
type Graph<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// The files in circles that are not listed, or larger than listed.
pub(super) fn check(files: &[File], mode: Mode) -> Result<Vec<String>> {
    let mut graph = Graph::new();
    for sources in sources(files) {
        graph.extend(uses(files, sources));
    }
    let counts: Counts = circles(&graph)
        .iter()
        .map(|(file, circle)| ((*file).to_owned(), circle.len()))
        .collect();
    let grown = RATCHET.settle(&counts, mode)?;
    let findings = grown.iter().map(|count| {
        let way = way(&graph, count.name, count.name).join(" -> ");
        let (name, now, before) = (count.name, count.now, count.before.unwrap_or(0));
        format!("{name}: in a circle of {now} files; listed: {before}. {way}")
    });
    Ok(findings.collect())
}

/// The folder of the sources of each crate, with a `/` at its end.
fn sources(files: &[File]) -> impl Iterator<Item = String> {
    let folders = files
        .iter()
        .filter_map(|file| file.path.strip_suffix("Cargo.toml"));
    folders.map(|folder| format!("{folder}src/"))
}

/// The uses between the files below `sources`.
fn uses(files: &[File], sources: String) -> Graph<'_> {
    let inside = || {
        rust(files).filter_map(|file| {
            let path = file.path.strip_prefix(&sources)?;
            Some((file, path))
        })
    };
    let modules = Modules::of(inside().map(|(file, path)| (path, file.text.as_str())));
    let paths: BTreeMap<_, &str> = inside()
        .map(|(file, path)| (modules::module_of(path), file.path.as_str()))
        .collect();
    let uses = modules.uses().into_iter().map(|(module, used)| {
        let used = used.into_iter().map(|module| paths[module]);
        (paths[module], used.collect())
    });
    uses.collect()
}

/// Each file in a circle, with the files that it reaches and that reach it.
fn circles<'a>(graph: &Graph<'a>) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> = graph
        .keys()
        .map(|file| (*file, reached_from(graph, file)))
        .collect();
    let circles = reached.iter().map(|(file, far)| {
        let both_ways = far.iter().filter(|other| reached[*other].contains(file));
        (*file, both_ways.copied().collect::<BTreeSet<&str>>())
    });
    circles.filter(|(_, circle)| !circle.is_empty()).collect()
}

fn reached_from<'a>(graph: &Graph<'a>, file: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = graph[file].iter().copied().collect();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(&graph[next]);
        }
    }
    reached
}

/// The shortest way over uses between two files.
fn way<'a>(graph: &Graph<'a>, from: &'a str, to: &str) -> Vec<&'a str> {
    let mut ways = VecDeque::from([vec![from]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        let last = way[way.len() - 1];
        for next in &graph[last] {
            let longer = [way.as_slice(), &[*next]].concat();
            if *next == to {
                return longer;
            }
            if seen.insert(*next) {
                ways.push_back(longer);
            }
        }
    }
    Vec::new()
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

    #[test]
    fn a_circle_over_three_files_is_found() {
        let files = [
            file("a/Cargo.toml", ""),
            file(
                "a/src/lib.rs",
                "mod one; mod two; mod three; mod four; use one::One;",
            ),
            file("a/src/one.rs", "use crate::two::Two; struct One;"),
            file(
                "a/src/two.rs",
                "use super::three; struct Two(three::Three);",
            ),
            file("a/src/three.rs", "struct Three(crate::one::One);"),
            file("a/src/four.rs", "use super::one::One;"),
            file("b/src/one.rs", "use crate::one::One;"),
        ];
        assert_eq!(sources(&files).collect::<Vec<_>>(), ["a/src/"]);
        let graph = uses(&files, "a/src/".to_owned());
        let circles = circles(&graph);
        let circle = ["a/src/one.rs", "a/src/three.rs", "a/src/two.rs"];
        assert_eq!(circles.keys().copied().collect::<Vec<_>>(), circle);
        assert!(circles.values().all(|files| files.len() == 3));
        assert_eq!(
            way(&graph, circle[0], circle[0]),
            [circle[0], circle[2], circle[1], circle[0]]
        );
    }
}
