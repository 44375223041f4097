//! The comments, the code and the functions of a Rust file.
//!
//! No parser: comments, strings and characters are told apart from code by how they begin and end,
//! then `fn name … { … }` is followed by its braces. That is enough to measure, and it cannot fail
//! on code of a newer edition.

/// A function, by its name, and the lines from its signature to its closing brace.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) lines: usize,
}

/// All functions of `source`, outer before inner.
pub(super) fn functions(source: &str) -> Vec<Function> {
    let code = blanked(source);
    let bytes = code.as_bytes();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let word_before = at > 0 && is_name(bytes[at - 1]);
        let name: String = code[at + 3..]
            .chars()
            .take_while(|c| is_name(*c as u8))
            .collect();
        // `fn(u8)` is a type; `Xfn ` ends another word.
        if word_before || name.is_empty() {
            continue;
        }
        if let Some(end) = body_end(bytes, at) {
            let line = 1 + count_lines(&code[..at]);
            found.push(Function {
                name,
                line,
                lines: 1 + count_lines(&code[at..end]),
            });
        }
    }
    found
}

/// The lines of `source` that come before its own tests.
pub(super) fn lines_without_tests(source: &str) -> usize {
    let tests = source
        .lines()
        .position(|line| line.starts_with("#[cfg(test)]"));
    tests.unwrap_or_else(|| source.lines().count())
}

/// The end of the body of the function at `at`; none for a declaration without a body.
fn body_end(code: &[u8], at: usize) -> Option<usize> {
    let mut nested = 0_i32; // parentheses and brackets: `[u8; 4]` holds no end of a declaration
    let mut braces = 0_i32;
    for (offset, byte) in code[at..].iter().enumerate() {
        match byte {
            b'(' | b'[' => nested += 1,
            b')' | b']' => nested -= 1,
            b';' if nested == 0 && braces == 0 => return None,
            b'{' => braces += 1,
            b'}' => {
                braces -= 1;
                if braces == 0 {
                    return Some(at + offset + 1);
                }
            }
            _ => {}
        }
    }
    None
}

fn count_lines(code: &str) -> usize {
    code.bytes().filter(|byte| *byte == b'\n').count()
}

pub(super) fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The `//` comments of `source`, slashes and all, each with the number of its line.
pub(super) fn comments(source: &str) -> Vec<(usize, &str)> {
    let bytes = source.as_bytes();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < bytes.len() {
        let end = literal_end(bytes, at).map_or(at + 1, |end| end.min(bytes.len()));
        if bytes[at..end].starts_with(b"//") {
            found.push((line, &source[at..end]));
        }
        line += bytes[at..end].iter().filter(|b| **b == b'\n').count();
        at = end;
    }
    found
}

/// `source` with the inside of comments, strings and characters made blank, lines kept.
pub(super) fn blanked(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        match end {
            None => {
                // Code is ASCII outside of comments and strings, and those are blank.
                out.push(if bytes[at].is_ascii() {
                    bytes[at]
                } else {
                    b'_'
                });
                at += 1;
            }
            Some(end) => {
                let end = end.min(bytes.len());
                out.extend(
                    bytes[at..end]
                        .iter()
                        .map(|b| if *b == b'\n' { b'\n' } else { b' ' }),
                );
                at = end;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The end of the comment, string or character that starts at `at`, if one does.
fn literal_end(code: &[u8], at: usize) -> Option<usize> {
    let rest = &code[at..];
    if rest.starts_with(b"//") {
        return Some(at + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()));
    }
    if rest.starts_with(b"/*") {
        return Some(at + 2 + find(&rest[2..], b"*/").map_or(rest.len(), |end| end + 2));
    }
    let after_name = at > 0 && is_name(code[at - 1]);
    if !after_name && (rest[0] == b'r' || rest.starts_with(b"br")) {
        return raw_string_end(code, at);
    }
    match rest[0] {
        b'"' => Some(at + 1 + quoted(&rest[1..], b'"')),
        b'\'' => character_end(code, at),
        _ => None,
    }
}

/// The end of `r"…"` or `r#"…"#`: no escapes; it ends at the quote with as many hashes.
fn raw_string_end(code: &[u8], at: usize) -> Option<usize> {
    let start = at + code[at..].iter().position(|b| *b == b'r')? + 1;
    let hashes = code[start..].iter().take_while(|b| **b == b'#').count();
    let open = start + hashes;
    if code.get(open) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(hashes + 1, b'#');
    Some(open + 1 + find(&code[open + 1..], &close)? + close.len())
}

/// The end of `'x'` or `'\n'`; none for a lifetime.
fn character_end(code: &[u8], at: usize) -> Option<usize> {
    let rest = &code[at + 1..];
    if rest.first() == Some(&b'\\') {
        return Some(at + 1 + quoted(rest, b'\''));
    }
    // A character of up to four bytes, then the quote.
    let close = rest
        .iter()
        .take(5)
        .position(|b| *b == b'\'')
        .filter(|close| *close > 0)?;
    let one = std::str::from_utf8(&rest[..close]).is_ok_and(|text| text.chars().count() == 1);
    one.then_some(at + close + 2)
}

/// The length up to and with the closing quote, past escaped ones.
fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 0;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_measured_past_strings_and_comments() {
        let source = r##"
fn one() { "}" ; '}' ; }

/// A `{` in a comment.
fn two<'a>(x: &'a [u8; 4]) -> Option<&'a u8> {
    // }
    let raw = r#"}"}"#;
    fn inner() {}
    None
}

trait T { fn declared(&self); }
type F = fn (u8);
"##;
        let found: Vec<(String, usize, usize)> = functions(source)
            .into_iter()
            .map(|f| (f.name, f.line, f.lines))
            .collect();
        let expected = [("one", 2, 1), ("two", 5, 6), ("inner", 8, 1)];
        assert_eq!(
            found,
            expected.map(|(name, line, lines)| (name.to_owned(), line, lines))
        );
    }

    #[test]
    fn comments_are_told_from_strings() {
        let source = "//! Head.\nlet a = \"// no\\\" // no\"; // Yes.\n\
                      let b = r#\"\n// no\"#; /* // no */ let c = '\"'; /// Doc é.\n/ /";
        assert_eq!(
            comments(source),
            [(1, "//! Head."), (2, "// Yes."), (4, "/// Doc é.")]
        );
    }

    #[test]
    fn tests_at_the_foot_do_not_count() {
        assert_eq!(lines_without_tests("a\nb\n#[cfg(test)]\nmod tests {}\n"), 2);
        assert_eq!(lines_without_tests("a\nb\n"), 2);
    }
}
