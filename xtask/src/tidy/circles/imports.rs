//! The paths that a Rust file names, and the names that it defines.
//!
//! Read from its code without comments, strings and items under `#[cfg(test)]`, as `scan` reads it:
//! no parser, only words and `::`. Enough to see which modules a file needs.

use std::collections::BTreeSet;

use super::super::scan;

/// A path as its segments, `crate`, `self` and `super` among them.
pub(super) type Segments = Vec<String>;

/// A name that a `use` brings into a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) path: Segments,
    /// The name in this file, after `as` if there is one; `*` for a glob.
    pub(super) name: String,
    /// Whether the file passes the name on: `pub use`, `pub(crate) use`.
    pub(super) reexport: bool,
}

/// The names of a file.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) uses: Vec<Use>,
    /// Paths of two segments or more outside of `use`.
    pub(super) paths: Vec<Segments>,
    /// Words outside of `use`, heads of paths among them.
    pub(super) words: BTreeSet<String>,
    /// Items that the file defines, its modules among them.
    pub(super) defines: BTreeSet<String>,
    /// Modules in files of their own that only tests have.
    pub(super) test_modules: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    PathSeparator,
    Other(u8),
}

const ITEMS: [&str; 10] = [
    "fn",
    "struct",
    "enum",
    "trait",
    "type",
    "const",
    "static",
    "union",
    "mod",
    "macro_rules",
];

/// The names of `source`.
pub(super) fn names(source: &str) -> Names {
    let mut names = Names::default();
    let tokens = without_tests(tokens(&scan::blanked(source)), &mut names.test_modules);
    let mut at = 0;
    while at < tokens.len() {
        let Token::Word(word) = &tokens[at] else {
            at += 1;
            continue;
        };
        let next = tokens.get(at + 1);
        if word == "use" && next != Some(&Token::Other(b'<')) {
            let reexport = at > 0 && is_visibility(&tokens[at - 1]);
            at += 1;
            use_tree(&tokens, &mut at, &[], reexport, &mut names.uses);
            continue;
        }
        if ITEMS.contains(&word.as_str()) {
            let named = tokens[at + 1..].iter().take(2);
            names.defines.extend(named.filter_map(word_of).next());
        }
        if word == "mod" {
            // The name of a module is no use of an item that is called like it.
            at += 2;
            continue;
        }
        let path = path_at(&tokens, &mut at);
        names.words.insert(path[0].clone());
        if path.len() > 1 {
            names.paths.push(path);
        }
    }
    names
}

fn is_visibility(before: &Token) -> bool {
    *before == Token::Other(b')') || word_of(before).is_some_and(|word| word == "pub")
}

fn word_of(token: &Token) -> Option<String> {
    match token {
        Token::Word(word) => Some(word.clone()),
        Token::PathSeparator | Token::Other(_) => None,
    }
}

/// The path that begins with the word at `at`, which moves past it.
fn path_at(tokens: &[Token], at: &mut usize) -> Segments {
    let mut path = Segments::new();
    while let Some(Token::Word(word)) = tokens.get(*at) {
        path.push(word.clone());
        *at += 1;
        match tokens.get(*at) {
            Some(Token::PathSeparator) => *at += 1,
            _ => break,
        }
    }
    path
}

/// Reads `a::{b, c as d, e::*}` at `at`, below the path `parent`, up to its `,`, `}` or `;`.
fn use_tree(
    tokens: &[Token],
    at: &mut usize,
    parent: &[String],
    reexport: bool,
    uses: &mut Vec<Use>,
) {
    if tokens.get(*at) == Some(&Token::PathSeparator) {
        *at += 1;
    }
    let mut path = parent.to_vec();
    path.extend(path_at(tokens, at));
    match tokens.get(*at) {
        Some(Token::Other(b'{')) => {
            while !matches!(tokens.get(*at), None | Some(Token::Other(b'}' | b';'))) {
                *at += 1;
                if tokens.get(*at) != Some(&Token::Other(b'}')) {
                    use_tree(tokens, at, &path, reexport, uses);
                }
            }
            *at += 1;
            return;
        }
        Some(Token::Other(b'*')) => {
            *at += 1;
            let name = "*".to_owned();
            uses.push(Use {
                path,
                name,
                reexport,
            });
            return;
        }
        _ => {}
    }
    // `a as b` is read as the path `a`, then two words.
    let renamed = tokens.get(*at).and_then(word_of).filter(|w| w == "as");
    let name = match renamed {
        Some(_) => {
            *at += 2;
            tokens.get(*at - 1).and_then(word_of)
        }
        None => path
            .iter()
            .rev()
            .find(|segment| *segment != "self")
            .cloned(),
    };
    if path.len() > 1 {
        path.pop_if(|last| last == "self");
    }
    uses.extend(name.map(|name| Use {
        path,
        name,
        reexport,
    }));
}

fn tokens(code: &str) -> Vec<Token> {
    let bytes = code.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let word = rest.iter().take_while(|byte| scan::is_name(**byte)).count();
        if word > 0 {
            tokens.push(Token::Word(code[at..at + word].to_owned()));
            at += word;
        } else if rest.starts_with(b"::") {
            tokens.push(Token::PathSeparator);
            at += 2;
        } else {
            tokens.extend((!rest[0].is_ascii_whitespace()).then_some(Token::Other(rest[0])));
            at += 1;
        }
    }
    tokens
}

/// `tokens` without the items under `#[cfg(test)]`; their modules go to `modules`.
fn without_tests(tokens: Vec<Token>, modules: &mut Vec<String>) -> Vec<Token> {
    let attribute = self::tokens("#[cfg(test)]");
    let mut kept = Vec::with_capacity(tokens.len());
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        kept.push(token);
        if kept.ends_with(&attribute) {
            kept.truncate(kept.len() - attribute.len());
            let item = item(&mut tokens);
            let words: Vec<String> = item.iter().filter_map(word_of).collect();
            let module = words.iter().position(|word| word == "mod");
            modules.extend(module.and_then(|at| words.get(at + 1).cloned()));
        }
    }
    kept
}

/// The tokens of the next item: up to its `;`, or the end of its braces.
fn item(tokens: &mut impl Iterator<Item = Token>) -> Vec<Token> {
    let mut item = Vec::new();
    let mut nested = 0_i32;
    for token in tokens {
        let ends = match token {
            Token::Other(b'{' | b'(' | b'[') => {
                nested += 1;
                false
            }
            Token::Other(b'}') => {
                nested -= 1;
                nested == 0
            }
            Token::Other(b')' | b']') => {
                nested -= 1;
                false
            }
            Token::Other(b';') => nested == 0,
            Token::Word(_) | Token::PathSeparator | Token::Other(_) => false,
        };
        item.push(token);
        if ends {
            break;
        }
    }
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Segments {
        text.split("::").map(str::to_owned).collect()
    }

    #[test]
    fn trees_of_use_are_read() {
        let source = "use std::fmt;\npub(crate) use self::a::B;\n\
                      use super::{c, d::{self, E as F}, g::*};\nuse ::h::I;\n";
        let found: Vec<(Segments, String, bool)> = names(source)
            .uses
            .into_iter()
            .map(|used| (used.path, used.name, used.reexport))
            .collect();
        let expected = [
            ("std::fmt", "fmt", false),
            ("self::a::B", "B", true),
            ("super::c", "c", false),
            ("super::d", "d", false),
            ("super::d::E", "F", false),
            ("super::g", "*", false),
            ("h::I", "I", false),
        ];
        assert_eq!(
            found,
            expected.map(|(text, name, reexport)| (path(text), name.to_owned(), reexport))
        );
    }

    #[test]
    fn paths_and_definitions_are_read_outside_of_tests_and_comments() {
        let source = "/// [`crate::doc::Link`]\nstruct A;\n\
                      const fn b() -> C {\n  d::e(\"x::y\");\n}\n\
                      #[cfg(test)]\nmod checks;\n#[cfg(test)]\n#[path = \"x\"]\nfn f() { g::h(); }\n\
                      impl Trait + use<'_> for i::J {}\nmacro_rules! k { () => {} }\n\
                      #[cfg(test)]\nmod tests { use l::M; }\nmod n;\n";
        let names = names(source);
        assert_eq!(names.paths, [path("d::e"), path("i::J")]);
        assert!(names.uses.is_empty(), "{:?}", names.uses);
        for defined in ["A", "b", "k", "n"] {
            assert!(names.defines.contains(defined), "{defined}");
        }
        assert_eq!(names.test_modules, ["checks", "tests"]);
        assert!(names.words.contains("C") && !names.words.contains("M"));
    }
}
