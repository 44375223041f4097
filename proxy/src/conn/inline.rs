//! Inline commands: words between blanks, with Redis' quoting (`sds.c`, `sdssplitargs`).
//!
//! `"..."` knows `\xHH`, `\n`, `\r`, `\t`, `\b`, `\a` and `\` before any other byte; `'...'` knows
//! only `\'`. A closing quote must be followed by a blank or the end. Words without quotes are
//! slices of the line.

use bytes::{Bytes, BytesMut};

/// Appends the words of `line` to `args`; `None` if quotes are unbalanced.
pub(crate) fn split(line: &Bytes, args: &mut Vec<Bytes>) -> Option<()> {
    let mut at = 0;
    loop {
        while line.get(at).copied().is_some_and(is_blank) {
            at += 1;
        }
        // Redis works on a C string here: a NUL ends the line.
        if matches!(line.get(at), None | Some(0)) {
            return Some(());
        }
        let plain = line[at..]
            .iter()
            .position(|&b| is_blank(b) || matches!(b, 0 | b'"' | b'\''))
            .map_or(line.len(), |len| at + len);
        match line.get(plain) {
            Some(b'"' | b'\'') => at = quoted(line, at, args)?,
            _ => {
                args.push(line.slice(at..plain));
                at = plain;
            }
        }
    }
}

/// Reads a word that has quotes in it; the position after it.
fn quoted(line: &[u8], mut at: usize, args: &mut Vec<Bytes>) -> Option<usize> {
    let mut word = BytesMut::new();
    loop {
        match line.get(at).copied() {
            None | Some(0) => break,
            Some(byte) if is_blank(byte) => break,
            Some(quote @ (b'"' | b'\'')) => {
                at = string(line, at + 1, quote, &mut word)?;
                if line.get(at).copied().is_some_and(|b| !is_blank(b)) {
                    return None;
                }
                break;
            }
            Some(byte) => {
                word.extend_from_slice(&[byte]);
                at += 1;
            }
        }
    }
    args.push(word.freeze());
    Some(at)
}

/// Reads up to the closing `quote`; the position after it.
fn string(line: &[u8], mut at: usize, quote: u8, word: &mut BytesMut) -> Option<usize> {
    loop {
        let byte = *line.get(at)?;
        if byte == quote {
            return Some(at + 1);
        }
        let next = line.get(at + 1).copied();
        let (byte, len) = match (byte, next) {
            (b'\\', Some(b'\'')) if quote == b'\'' => (b'\'', 2),
            (b'\\', Some(next)) if quote == b'"' => escape(next, &line[at + 2..]),
            _ => (byte, 1),
        };
        word.extend_from_slice(&[byte]);
        at += len;
    }
}

/// The byte that `\` and `next` stand for, and the length of the whole.
fn escape(next: u8, rest: &[u8]) -> (u8, usize) {
    let hex = |at: usize| rest.get(at).and_then(|&b| char::from(b).to_digit(16));
    match next {
        b'x' => match (hex(0), hex(1)) {
            (Some(high), Some(low)) => ((high * 16 + low) as u8, 4),
            _ => (b'x', 2),
        },
        b'n' => (b'\n', 2),
        b'r' => (b'\r', 2),
        b't' => (b'\t', 2),
        b'b' => (0x08, 2),
        b'a' => (0x07, 2),
        other => (other, 2),
    }
}

/// Whether C's `isspace` accepts the byte.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &'static str) -> Option<Vec<Vec<u8>>> {
        let mut args = Vec::new();
        split(&Bytes::from_static(line.as_bytes()), &mut args)?;
        Some(args.iter().map(|arg| arg.to_vec()).collect())
    }

    #[test]
    fn quotes_are_read_as_redis_reads_them() {
        let cases: [(&str, &[&[u8]]); 9] = [
            ("", &[]),
            ("  set  k\tv  ", &[b"set", b"k", b"v"]),
            (r#"set k "a b""#, &[b"set", b"k", b"a b"]),
            (r#"a"b c""#, &[b"ab c"]),
            (r#""\x41\n\"\q\xzz""#, &[b"A\n\"qxzz"]),
            (r"'it\'s \n'", &[br"it's \n"]),
            (r#""""#, &[b""]),
            ("a\0b c", &[b"a"]),
            (r#"x '' y"#, &[b"x", b"", b"y"]),
        ];
        for (line, expected) in cases {
            let expected: Vec<Vec<u8>> = expected.iter().map(|word| word.to_vec()).collect();
            assert_eq!(words(line), Some(expected), "{line:?}");
        }
    }

    #[test]
    fn unbalanced_quotes_are_refused() {
        for line in [r#"set "a"#, "set 'a", r#"set "a"b"#, "set 'a'b", r#""a\"#] {
            assert_eq!(words(line), None, "{line:?}");
        }
    }
}
