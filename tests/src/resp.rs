//! RESP on the wire: encodes commands, and finds the end of the next reply.
//!
//! Replies stay bytes, because the tests compare bytes. [`reply_len`] walks RESP2 and RESP3 alike
//! and never recurses; [`Reply`] is a tree for the tests that look inside. Both are written for
//! tests against servers that may misbehave: malformed input is an error, not a panic.

use anyhow::{Context, bail};

/// Appends `args` as an array of bulk strings, the form in which clients send commands.
pub fn encode<A: AsRef<[u8]>>(out: &mut Vec<u8>, args: &[A]) {
    out.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        let arg = arg.as_ref();
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

/// The length of the first reply in `input` in bytes; `None` if the reply is incomplete.
pub fn reply_len(input: &[u8]) -> anyhow::Result<Option<usize>> {
    let mut at = 0;
    // Elements still to come, the reply itself included.
    let mut open: u64 = 1;
    while open > 0 {
        let Some((kind, line, next)) = header(&input[at..])? else {
            return Ok(None);
        };
        at += next;
        open -= 1;
        match kind {
            b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => {}
            b'$' | b'=' | b'!' => {
                if let Some(len) = length(line)? {
                    let end = at + usize::try_from(len)? + 2;
                    if input.len() < end {
                        return Ok(None);
                    }
                    if &input[end - 2..end] != b"\r\n" {
                        bail!("a bulk string does not end where it said");
                    }
                    at = end;
                }
            }
            b'*' | b'~' | b'>' => open += length(line)?.unwrap_or(0),
            b'%' => open += 2 * length(line)?.unwrap_or(0),
            // An attribute precedes the element that it describes.
            b'|' => open += 2 * length(line)?.unwrap_or(0) + 1,
            other => bail!("no reply begins with {:?}", char::from(other)),
        }
    }
    Ok(Some(at))
}

/// A reply's first line: its kind, the rest of the line, and the length of the line in bytes.
fn header(input: &[u8]) -> anyhow::Result<Option<(u8, &[u8], usize)>> {
    let Some(end) = input.windows(2).position(|pair| pair == b"\r\n") else {
        return Ok(None);
    };
    let (kind, line) = input[..end].split_first().context("an empty line")?;
    Ok(Some((*kind, line, end + 2)))
}

/// A length; `None` for a null of RESP2.
fn length(line: &[u8]) -> anyhow::Result<Option<u64>> {
    let text = std::str::from_utf8(line).context("a length that is no text")?;
    if text == "-1" {
        return Ok(None);
    }
    let number = text.parse().with_context(|| format!("length {text:?}"))?;
    Ok(Some(number))
}

/// A reply as a tree. Kinds that only differ in name between RESP2 and RESP3 are the same here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A simple string.
    Simple(String),
    /// An error line.
    Error(String),
    /// An integer.
    Integer(i64),
    /// A bulk string, or any scalar of RESP3 as its text.
    Bulk(Vec<u8>),
    /// A null of either protocol.
    Null,
    /// An array, a set or a push; of a map, its keys and values in turn.
    Array(Vec<Reply>),
}

impl Reply {
    /// Parses the first reply in `input`, which must be complete; returns its length in bytes as
    /// well.
    pub fn parse(input: &[u8]) -> anyhow::Result<(Self, usize)> {
        Self::parse_nested(input, 0)
    }

    fn parse_nested(input: &[u8], depth: usize) -> anyhow::Result<(Self, usize)> {
        if depth > 32 {
            bail!("a reply nested too deep");
        }
        let (kind, line, mut at) = header(input)?.context("a reply cut short")?;
        let text = || String::from_utf8_lossy(line).into_owned();
        let count = match kind {
            b'*' | b'~' | b'>' => length(line)?,
            b'%' => length(line)?.map(|pairs| 2 * pairs),
            b'$' | b'=' | b'!' => {
                let Some(len) = length(line)? else {
                    return Ok((Self::Null, at));
                };
                let end = at + usize::try_from(len)?;
                let bytes = input.get(at..end).context("a bulk string cut short")?;
                return Ok((Self::Bulk(bytes.to_vec()), end + 2));
            }
            b'+' => return Ok((Self::Simple(text()), at)),
            b'-' => return Ok((Self::Error(text()), at)),
            b':' => return Ok((Self::Integer(text().parse()?), at)),
            b'_' => return Ok((Self::Null, at)),
            b',' | b'#' | b'(' => return Ok((Self::Bulk(line.to_vec()), at)),
            other => bail!("no reply begins with {:?}", char::from(other)),
        };
        let Some(count) = count else {
            return Ok((Self::Null, at));
        };
        let mut elements = Vec::new();
        for _ in 0..count {
            let (element, len) = Self::parse_nested(&input[at..], depth + 1)?;
            elements.push(element);
            at += len;
        }
        Ok((Self::Array(elements), at))
    }

    /// The text of any kind of string, or of an integer.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Simple(text) => Some(text.clone()),
            Self::Bulk(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            Self::Integer(number) => Some(number.to_string()),
            Self::Error(_) | Self::Null | Self::Array(_) => None,
        }
    }

    /// The elements of an array; no elements for any other kind.
    #[must_use]
    pub fn elements(&self) -> &[Reply] {
        match self {
            Self::Array(elements) => elements,
            _ => &[],
        }
    }

    /// The value after `name` in a map, or in an array that stands for a map.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Reply> {
        let mut pairs = self.elements().chunks_exact(2);
        let pair = pairs.find(|pair| pair[0].text().as_deref() == Some(name))?;
        Some(&pair[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: &[&[u8]] = &[
        b"+OK\r\n",
        b"-ERR no\r\n",
        b":-12\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b"_\r\n",
        b"#t\r\n",
        b",3.25\r\n",
        b"(123456789012345678901234567890\r\n",
        b"$0\r\n\r\n",
        b"$4\r\na\r\nb\r\n",
        b"=7\r\ntxt:abc\r\n",
        b"*0\r\n",
        b"*2\r\n*1\r\n:1\r\n$1\r\nx\r\n",
        b"%2\r\n+a\r\n:1\r\n+b\r\n*2\r\n:2\r\n:3\r\n",
        b"~1\r\n+a\r\n",
        b"|1\r\n+ttl\r\n:3\r\n+value\r\n",
    ];

    #[test]
    fn every_kind_is_measured_and_a_part_is_not_whole() {
        for sample in SAMPLES {
            let with_more = [sample, &b"+next\r\n"[..]].concat();
            assert_eq!(reply_len(&with_more).expect("valid"), Some(sample.len()));
            for cut in 0..sample.len() {
                assert_eq!(reply_len(&sample[..cut]).expect("a part"), None);
            }
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            &b"?\r\n"[..],
            b"$x\r\n",
            b"*-2\r\n",
            b"$1\r\nabc\r\n",
            b"\r\n",
        ] {
            assert!(reply_len(bad).is_err(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn deep_nesting_is_measured_without_recursion() {
        let deep = [b"*1\r\n".repeat(100_000), b":1\r\n".to_vec()].concat();
        assert_eq!(reply_len(&deep).expect("valid"), Some(deep.len()));
        assert!(Reply::parse(&deep).is_err());
    }

    #[test]
    fn maps_of_both_protocols_answer_by_name() {
        for map in [
            &b"%1\r\n+leader\r\n:3\r\n"[..],
            b"*2\r\n$6\r\nleader\r\n:3\r\n",
        ] {
            let (reply, len) = Reply::parse(map).expect("valid");
            assert_eq!(len, map.len());
            assert_eq!(reply.field("leader"), Some(&Reply::Integer(3)));
            assert_eq!(reply.field("term"), None);
        }
    }
}
