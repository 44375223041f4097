//! Lines split into words, and words written so that splitting finds them again.
//!
//! Source: Redis `sds.c`, `sdssplitargs`: words stand between blanks; a part of a word may stand in
//! quotes.

use bytes::Bytes;

/// The words of a line; `None` if a quote is not closed, or stands before the end of a word.
#[must_use]
pub fn line_words(line: &[u8]) -> Option<Vec<Bytes>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Some(words);
        }
        let mut word = Vec::new();
        loop {
            match rest {
                [] => break,
                [blank, ..] if blank.is_ascii_whitespace() => break,
                [b'"', quoted @ ..] => {
                    rest = after_quote(double_quoted(quoted, &mut word)?)?;
                    break;
                }
                [b'\'', quoted @ ..] => {
                    rest = after_quote(single_quoted(quoted, &mut word)?)?;
                    break;
                }
                [byte, after @ ..] => {
                    word.push(*byte);
                    rest = after;
                }
            }
        }
        words.push(word.into());
    }
}

/// A closing quote ends the word.
fn after_quote(rest: &[u8]) -> Option<&[u8]> {
    let ends = rest.first().is_none_or(u8::is_ascii_whitespace);
    ends.then_some(rest)
}

fn double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, after) = match rest {
            [] => return None,
            [b'"', after @ ..] => return Some(after),
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (hex(*high) << 4 | hex(*low), after)
            }
            [b'\\', escaped, after @ ..] => (unescaped(*escaped), after),
            [byte, after @ ..] => (*byte, after),
        };
        word.push(byte);
        rest = after;
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, after) = match rest {
            [] => return None,
            [b'\\', b'\'', after @ ..] => (b'\'', after),
            [b'\'', after @ ..] => return Some(after),
            [byte, after @ ..] => (*byte, after),
        };
        word.push(byte);
        rest = after;
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.to_ascii_lowercase() - b'a' + 10,
    }
}

fn unescaped(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        byte => byte,
    }
}

/// Appends a rule within parentheses: quoted where it would not be found again as it is, because it
/// has quotes, or looks like the end of the parentheses.
pub(super) fn push_inner(out: &mut Vec<u8>, rule: &[u8]) {
    let is_plain = !rule.iter().any(|byte| b"\"'".contains(byte)) && !rule.ends_with(b")");
    if is_plain {
        return out.extend(rule);
    }
    out.push(b'"');
    for byte in rule {
        if b"\"\\".contains(byte) {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// Rules of `ACL SETUSER` with each selector in a single word. A word that begins with `(` goes on
/// to the next that ends with `)`. Errors: the word whose parenthesis is not closed.
pub(super) fn merge_selectors(words: &[Bytes]) -> Result<Vec<Bytes>, &Bytes> {
    let mut merged = Vec::new();
    let mut open: Option<(&Bytes, Vec<u8>)> = None;
    for word in words {
        if let Some((first, mut text)) = open.take() {
            if word.first() == Some(&b'(') && word.last() != Some(&b')') {
                return Err(first);
            }
            text.push(b' ');
            text.extend_from_slice(word);
            match word.last() {
                Some(b')') => merged.push(text.into()),
                _ => open = Some((first, text)),
            }
        } else if word.first() == Some(&b'(') && word.last() != Some(&b')') {
            open = Some((word, word.to_vec()));
        } else {
            merged.push(word.clone());
        }
    }
    match open {
        Some((first, _)) => Err(first),
        None => Ok(merged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Option<Vec<Bytes>> {
        line_words(line.as_bytes())
    }

    #[test]
    fn words_are_split_as_redis_splits_them() {
        assert_eq!(split("  a  b\t"), Some(vec!["a".into(), "b".into()]));
        assert_eq!(split(""), Some(vec![]));
        assert_eq!(split("~\"a b\" c"), Some(vec!["~a b".into(), "c".into()]));
        assert_eq!(split("'a\\'b'"), Some(vec!["a'b".into()]));
        assert_eq!(split("\"\\x41\\n\\\\\""), Some(vec!["A\n\\".into()]));
        for broken in ["\"a", "'a", "\"a\"b", "'a'b"] {
            assert_eq!(split(broken), None, "{broken}");
        }
    }

    #[test]
    fn inner_rules_are_found_again() {
        for rule in ["~a", "~a)", "~\"a", "~'", "~\\)", "~\\a", "&x\\\")"] {
            let mut out = b"( ".to_vec();
            push_inner(&mut out, rule.as_bytes());
            let last = out.last().copied();
            assert_ne!(last, Some(b')'), "{rule}");
            assert_eq!(line_words(&out[2..]), Some(vec![rule.into()]), "{rule}");
        }
    }

    fn merged(line: &str) -> Result<Vec<String>, String> {
        let words: Vec<_> = line.split(' ').map(|w| Bytes::from(w.to_owned())).collect();
        let text = |word: &Bytes| String::from_utf8_lossy(word).into_owned();
        match merge_selectors(&words) {
            Ok(words) => Ok(words.iter().map(text).collect()),
            Err(word) => Err(text(word)),
        }
    }

    #[test]
    fn selectors_may_be_spread_over_words() {
        let ok = |words: &[&str]| Ok(words.iter().map(ToString::to_string).collect());
        assert_eq!(
            merged("on (+get ~a) (~b)"),
            ok(&["on", "(+get ~a)", "(~b)"])
        );
        assert_eq!(merged("( ~a )"), ok(&["( ~a )"]));
        assert_eq!(merged("()"), ok(&["()"]));
        assert_eq!(merged("a)"), ok(&["a)"]));
        assert_eq!(merged("(~a on"), Err("(~a".to_owned()));
        assert_eq!(merged("("), Err("(".to_owned()));
        assert_eq!(
            merged("(~a (~b )"),
            Err("(~a".to_owned()),
            "nothing is dropped"
        );
    }
}
