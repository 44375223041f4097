//! Reads replies of any size and keeps none: counts replies, errors, and the bytes of values.
//!
//! For clients that read gigabytes on the machine of the measured servers, and must take neither
//! memory nor time. Reads RESP2 and RESP3; arrays nest to any depth, without recursion.

use anyhow::{Context, bail, ensure};

/// The longest first line of a reply; a longer line is an error.
const LINE_MAX: usize = 64 << 10;

/// A complete reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came {
    /// A value.
    Value {
        /// Bytes of all its strings, without RESP's framing.
        bytes: u64,
        /// Elements of the outermost array; 0 if the reply is no array.
        elements: u64,
    },
    /// A null.
    Null,
    /// An error, or a value that contains an error.
    Error(String),
}

/// The position in the stream of replies.
#[derive(Debug, Default)]
pub struct Skim {
    /// The first line of an element, as far as it has arrived.
    line: Vec<u8>,
    /// Bytes of a string still to come, its line end included.
    string: u64,
    /// Elements still to come; 0 between two replies.
    open: u64,
    /// The reply in progress: bytes of its strings so far.
    bytes: u64,
    elements: u64,
    error: Option<String>,
    null: bool,
}

impl Skim {
    /// Reads the next bytes of the stream, and passes each reply that ends in them to `seen`.
    pub fn feed(&mut self, mut input: &[u8], mut seen: impl FnMut(Came)) -> anyhow::Result<()> {
        while !input.is_empty() {
            if self.string > 0 {
                let here = self.string.min(input.len() as u64);
                self.string -= here;
                input = &input[here as usize..];
                if self.string == 0 {
                    self.ended(&mut seen);
                }
                continue;
            }
            let end = input.iter().position(|&byte| byte == b'\n');
            let here = end.map_or(input.len(), |at| at + 1);
            self.line.extend_from_slice(&input[..here]);
            input = &input[here..];
            ensure!(self.line.len() <= LINE_MAX, "a line without an end");
            if end.is_some() {
                self.first_line(&mut seen)?;
            }
        }
        Ok(())
    }

    /// Whether a reply has arrived in part.
    #[must_use]
    pub fn is_midway(&self) -> bool {
        self.open > 0 || !self.line.is_empty()
    }

    fn first_line(&mut self, seen: &mut impl FnMut(Came)) -> anyhow::Result<()> {
        let whole = std::mem::take(&mut self.line);
        let line = whole.trim_ascii_end();
        let (kind, rest) = line.split_first().context("an empty line")?;
        let outermost = self.open == 0;
        if outermost {
            self.open = 1;
        }
        match kind {
            b'$' | b'=' | b'!' if rest != b"-1" => {
                let len = length(rest)?;
                self.bytes += len;
                self.string = len + 2;
                return Ok(());
            }
            b'*' | b'~' | b'>' | b'%' | b'|' if rest != b"-1" => {
                let elements = match kind {
                    b'%' => 2 * length(rest)?,
                    // An attribute precedes the element that it describes.
                    b'|' => 2 * length(rest)? + 1,
                    _ => length(rest)?,
                };
                if outermost {
                    self.elements = elements;
                }
                self.open += elements;
            }
            b'-' => self.error = Some(String::from_utf8_lossy(rest).into_owned()),
            b'+' | b':' | b',' | b'#' | b'(' => {}
            b'_' | b'$' | b'*' => self.null = outermost,
            other => bail!("no reply begins with {:?}", char::from(*other)),
        }
        self.ended(seen);
        Ok(())
    }

    /// Counts a complete element; if it completes the reply, passes the reply to `seen`.
    fn ended(&mut self, seen: &mut impl FnMut(Came)) {
        self.open -= 1;
        if self.open > 0 {
            return;
        }
        let reply = std::mem::take(self);
        seen(match reply.error {
            Some(text) => Came::Error(text),
            None if reply.null => Came::Null,
            None => Came::Value {
                bytes: reply.bytes,
                elements: reply.elements,
            },
        });
    }
}

fn length(text: &[u8]) -> anyhow::Result<u64> {
    let text = std::str::from_utf8(text).context("a length that is no text")?;
    text.parse().with_context(|| format!("length {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(bytes: u64, elements: u64) -> Came {
        Came::Value { bytes, elements }
    }

    #[test]
    fn replies_are_told_apart_however_they_are_cut() {
        let stream = b"+OK\r\n$3\r\na\r\n\r\n*2\r\n$1\r\nx\r\n*1\r\n:1\r\n$-1\r\n_\r\n*0\r\n\
            -ERR no\r\n*2\r\n-BAD\r\n$1\r\ny\r\n%1\r\n+a\r\n$2\r\nbb\r\n$0\r\n\r\n*-1\r\n";
        let whole = vec![
            value(0, 0),
            value(3, 0),
            value(1, 2),
            Came::Null,
            Came::Null,
            value(0, 0),
            Came::Error("ERR no".to_owned()),
            Came::Error("BAD".to_owned()),
            value(2, 2),
            value(0, 0),
            Came::Null,
        ];
        for piece in [1, 2, 3, 7, stream.len()] {
            let (mut skim, mut came) = (Skim::default(), Vec::new());
            for part in stream.chunks(piece) {
                skim.feed(part, |reply| came.push(reply)).expect("valid");
            }
            assert_eq!(came, whole, "in pieces of {piece}");
            assert!(!skim.is_midway());
        }
    }

    #[test]
    fn a_part_is_not_a_reply_and_nonsense_is_refused() {
        for part in [&b"$3\r\nab"[..], b"*2\r\n:1\r\n", b"+O", b"$3\r\nabc"] {
            let mut skim = Skim::default();
            let mut count = 0;
            skim.feed(part, |_| count += 1).expect("valid so far");
            assert!(count == 0 && skim.is_midway(), "{}", part.escape_ascii());
        }
        for bad in [&b"?\r\n"[..], b"$x\r\n", b"\r\n", b"*-2\r\n"] {
            assert!(Skim::default().feed(bad, |_| ()).is_err());
        }
        let endless = vec![b'x'; LINE_MAX + 2];
        assert!(Skim::default().feed(&endless, |_| ()).is_err());
    }
}
