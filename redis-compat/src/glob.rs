//! Glob patterns as `KEYS`, `SCAN MATCH` and ACLs have them (`util.c`, `stringmatchlen`).
//!
//! `*` any bytes, `?` one byte, `[a-z]` `[^a]` one byte of a class, `\` takes the next byte as it
//! is. Unclosed classes and a final `\` are taken as Redis takes them. Works on bytes, never
//! panics, and takes at most (pattern x text) steps: where Redis recurses, this goes back to the
//! last `*` only.
//!
//! As in Redis the empty text fits the empty pattern alone, not even `*`; `KEYS` and `SCAN` take a
//! plain `*` for no pattern at all.

/// Whether `text` as a whole fits `pattern`.
#[must_use]
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    // Where to go on after the last star, if the pattern behind it does not fit here.
    let mut retry = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            retry = Some((p, t));
            continue;
        }
        if t == text.len() {
            // Text is left for no later try either: only stars may remain.
            return p == pattern.len();
        }
        match step(&pattern[p..], text[t]) {
            Some(used) => (p, t) = (p + used, t + 1),
            None => match retry {
                Some((after_star, from)) => {
                    retry = Some((after_star, from + 1));
                    (p, t) = (after_star, from + 1);
                }
                None => return false,
            },
        }
    }
}

/// The bytes every match begins with, so that a scan can be narrowed to them.
#[must_use]
pub fn literal_prefix(pattern: &[u8]) -> Vec<u8> {
    let mut prefix = Vec::new();
    let mut rest = pattern;
    loop {
        match rest {
            [] | [b'*' | b'?' | b'[', ..] => return prefix,
            [b'\\', byte, after @ ..] | [byte, after @ ..] => {
                prefix.push(*byte);
                rest = after;
            }
        }
    }
}

/// How many pattern bytes the one byte `byte` uses up, if it fits. The pattern does not begin with
/// a star.
fn step(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', class @ ..] => {
            let (fits, used) = class_step(class, byte);
            fits.then_some(used + 1)
        }
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [plain, ..] => (*plain == byte).then_some(1),
    }
}

/// Whether `byte` is of the class, and how long the class is, its `]` included.
fn class_step(class: &[u8], byte: u8) -> (bool, usize) {
    let not = class.first() == Some(&b'^');
    let mut at = usize::from(not);
    let mut found = false;
    loop {
        match &class[at..] {
            // Unclosed: the class ends with the pattern.
            [] => return (found != not, at),
            [b'\\', escaped, ..] => {
                found |= *escaped == byte;
                at += 2;
            }
            [b']', ..] => return (found != not, at + 1),
            [low, b'-', high, ..] => {
                found |= (*low.min(high)..=*low.max(high)).contains(&byte);
                at += 3;
            }
            [plain, ..] => {
                found |= *plain == byte;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_in_redis() {
        for (pattern, text, fits) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", false),
            ("**", "", false),
            ("**", "a", true),
            ("a**", "a", true),
            ("?", "", false),
            ("a*c", "abc", true),
            ("a*c*", "abcd", true),
            ("a*b*c", "aXbXbX", false),
            ("h?llo", "hello", true),
            ("h[ae]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("[a", "a", true),
            ("[a-", "-", true),
            ("[^", "x", true),
            ("[]", "]", false),
            ("[\\]]", "]", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("a\\", "a\\", true),
            ("x*", "", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                fits,
                "{pattern} on {text}"
            );
        }
    }

    #[test]
    fn many_stars_take_few_steps() {
        let pattern = "a*".repeat(50) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(10_000).as_bytes()));
    }

    #[test]
    fn the_prefix_ends_at_the_first_wildcard() {
        assert_eq!(literal_prefix(b"user:*"), b"user:");
        assert_eq!(literal_prefix(b"a\\*b?"), b"a*b");
        assert_eq!(literal_prefix(b"plain\\"), b"plain\\");
        assert_eq!(literal_prefix(b"[a]"), b"");
    }
}
