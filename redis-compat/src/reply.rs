//! Replies, and their bytes in RESP2 and RESP3.
//!
//! A command builds a [`Reply`] once; [`Reply::encode`] writes it in the version the connection
//! speaks. Where RESP2 lacks a type it falls back as Redis does: a map is a flat array, a double a
//! bulk string, a null `$-1` or `*-1` (`networking.c`, `addReply*`).

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{CommandError, number};

/// The protocol version of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resp {
    /// RESP2, which every connection starts with.
    #[default]
    V2,
    /// RESP3, after `HELLO 3`.
    V3,
}

/// The reply of a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// A line without CR or LF.
    Simple(Cow<'static, str>),
    /// An error line, without `-`; CR and LF are blanked.
    Error(Bytes),
    /// An integer.
    Integer(i64),
    /// Any bytes.
    Bulk(Bytes),
    /// No value.
    Null,
    /// No array: differs from [`Reply::Null`] in RESP2 only.
    NullArray,
    /// A list.
    Array(Vec<Reply>),
    /// Pairs.
    Map(Vec<(Reply, Reply)>),
    /// Pairs in their order: a flat list in RESP2, a list of lists of two in RESP3.
    Pairs(Vec<(Reply, Reply)>),
    /// Pairs: in RESP2 a list of lists of two.
    PairMap(Vec<(Reply, Reply)>),
    /// A list without order.
    Set(Vec<Reply>),
    /// A floating point number.
    Double(f64),
    /// A floating point number of more digits than a double has, in decimal.
    Decimal(Bytes),
    /// Yes or no; 1 or 0 in RESP2.
    Boolean(bool),
    /// An integer of any size, in decimal.
    BigNumber(Bytes),
    /// Text with a format of three letters, like `txt`.
    Verbatim {
        /// The format.
        format: [u8; 3],
        /// The text.
        text: Bytes,
    },
    /// An out-of-band message; an array in RESP2.
    Push(Vec<Reply>),
    /// Bytes that are replies already, encoded for this connection.
    Raw(Bytes),
    /// A list of so many elements, which are encoded already, in these parts.
    Spliced {
        /// How many elements.
        len: usize,
        /// Their bytes in order, split anywhere.
        parts: Vec<Bytes>,
    },
}

impl Reply {
    /// `+OK`.
    pub const OK: Reply = Reply::Simple(Cow::Borrowed("OK"));

    /// A bulk string of text that never changes.
    #[must_use]
    pub const fn text(text: &'static str) -> Self {
        Reply::Bulk(Bytes::from_static(text.as_bytes()))
    }

    /// The value, or null.
    #[must_use]
    pub fn bulk_or_null(value: Option<Bytes>) -> Self {
        value.map_or(Reply::Null, Reply::Bulk)
    }

    /// A line that never changes, as `+OK` is.
    #[must_use]
    pub const fn simple(text: &'static str) -> Self {
        Reply::Simple(Cow::Borrowed(text))
    }

    /// Help as Redis prints it: a line of syntax, then an indented line of text, for each entry.
    #[must_use]
    pub fn help(command: &str, lines: &[&'static str]) -> Self {
        let first = format!("{command} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
        let last = ["HELP", "    Print this help."];
        let rest = lines.iter().chain(&last).map(|line| Reply::simple(line));
        Reply::Array(
            std::iter::once(Reply::Simple(first.into()))
                .chain(rest)
                .collect(),
        )
    }

    /// Appends the reply as bytes.
    pub fn encode(&self, resp: Resp, out: &mut BytesMut) {
        let v3 = resp == Resp::V3;
        match self {
            Reply::Simple(line) => put_line(b'+', line.as_bytes(), out),
            Reply::Error(line) => put_error(line, out),
            Reply::Integer(value) => put_number(b':', *value, out),
            Reply::Bulk(bytes) => put_bulk(bytes, out),
            Reply::Null if v3 => out.put_slice(b"_\r\n"),
            Reply::Null => out.put_slice(b"$-1\r\n"),
            Reply::NullArray if v3 => out.put_slice(b"_\r\n"),
            Reply::NullArray => out.put_slice(b"*-1\r\n"),
            Reply::Array(items) => put_items(b'*', items, resp, out),
            Reply::Set(items) => put_items(if v3 { b'~' } else { b'*' }, items, resp, out),
            Reply::Push(items) => put_items(if v3 { b'>' } else { b'*' }, items, resp, out),
            Reply::Map(pairs) => put_pairs(pairs, resp, out),
            Reply::Pairs(pairs) if v3 => put_lists_of_two(pairs, resp, out),
            // Flat, as a map is.
            Reply::Pairs(pairs) => put_pairs(pairs, resp, out),
            Reply::PairMap(pairs) if v3 => put_pairs(pairs, resp, out),
            Reply::PairMap(pairs) => put_lists_of_two(pairs, resp, out),
            Reply::Double(value) if v3 => put_line(b',', number::double(*value).as_bytes(), out),
            Reply::Double(value) => put_bulk(number::double(*value).as_bytes(), out),
            Reply::Decimal(text) if v3 => put_line(b',', text, out),
            Reply::Decimal(text) => put_bulk(text, out),
            Reply::Boolean(value) if v3 => {
                out.put_slice(if *value { b"#t\r\n" } else { b"#f\r\n" })
            }
            Reply::Boolean(value) => put_number(b':', i64::from(*value), out),
            Reply::BigNumber(digits) if v3 => put_line(b'(', digits, out),
            Reply::BigNumber(digits) => put_bulk(digits, out),
            Reply::Verbatim { format, text } if v3 => {
                put_number(b'=', text.len() as i64 + 4, out);
                out.put_slice(format);
                out.put_u8(b':');
                out.put_slice(text);
                out.put_slice(b"\r\n");
            }
            Reply::Verbatim { text, .. } => put_bulk(text, out),
            Reply::Raw(bytes) => out.put_slice(bytes),
            Reply::Spliced { len, parts } => {
                put_number(b'*', *len as i64, out);
                parts.iter().for_each(|part| out.put_slice(part));
            }
        }
    }
}

impl From<CommandError> for Reply {
    fn from(error: CommandError) -> Self {
        Reply::Error(error.line())
    }
}

fn put_line(sign: u8, line: &[u8], out: &mut BytesMut) {
    out.reserve(line.len() + 3);
    out.put_u8(sign);
    out.put_slice(line);
    out.put_slice(b"\r\n");
}

/// A client's words may be part of the line, so CR and LF are blanked, as in `addReplyErrorFormat`.
fn put_error(line: &[u8], out: &mut BytesMut) {
    let is_end = |byte: &u8| *byte == b'\r' || *byte == b'\n';
    let len = line
        .iter()
        .rposition(|byte| !is_end(byte))
        .map_or(0, |last| last + 1);
    out.put_u8(b'-');
    out.extend(
        line[..len]
            .iter()
            .map(|byte| if is_end(byte) { b' ' } else { *byte }),
    );
    out.put_slice(b"\r\n");
}

fn put_number(sign: u8, value: i64, out: &mut BytesMut) {
    put_line(sign, itoa::Buffer::new().format(value).as_bytes(), out);
}

fn put_bulk(bytes: &[u8], out: &mut BytesMut) {
    out.reserve(bytes.len() + 16);
    put_number(b'$', bytes.len() as i64, out);
    out.put_slice(bytes);
    out.put_slice(b"\r\n");
}

fn put_items(sign: u8, items: &[Reply], resp: Resp, out: &mut BytesMut) {
    put_number(sign, items.len() as i64, out);
    for item in items {
        item.encode(resp, out);
    }
}

fn put_pairs(pairs: &[(Reply, Reply)], resp: Resp, out: &mut BytesMut) {
    match resp {
        Resp::V2 => put_number(b'*', pairs.len() as i64 * 2, out),
        Resp::V3 => put_number(b'%', pairs.len() as i64, out),
    }
    for (key, value) in pairs {
        key.encode(resp, out);
        value.encode(resp, out);
    }
}

fn put_lists_of_two(pairs: &[(Reply, Reply)], resp: Resp, out: &mut BytesMut) {
    put_number(b'*', pairs.len() as i64, out);
    for (first, second) in pairs {
        put_number(b'*', 2, out);
        first.encode(resp, out);
        second.encode(resp, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(reply: &Reply, resp: Resp) -> String {
        let mut out = BytesMut::new();
        reply.encode(resp, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn each_type_has_its_bytes_in_both_versions() {
        let one = || Reply::Integer(1);
        let cases = [
            (Reply::OK, "+OK\r\n", "+OK\r\n"),
            (Reply::Integer(-7), ":-7\r\n", ":-7\r\n"),
            (Reply::text("ab"), "$2\r\nab\r\n", "$2\r\nab\r\n"),
            (Reply::Null, "$-1\r\n", "_\r\n"),
            (Reply::NullArray, "*-1\r\n", "_\r\n"),
            (
                Reply::Array(vec![one(), Reply::Null]),
                "*2\r\n:1\r\n$-1\r\n",
                "*2\r\n:1\r\n_\r\n",
            ),
            (
                Reply::Map(vec![(one(), Reply::OK)]),
                "*2\r\n:1\r\n+OK\r\n",
                "%1\r\n:1\r\n+OK\r\n",
            ),
            (
                Reply::Pairs(vec![(one(), Reply::OK)]),
                "*2\r\n:1\r\n+OK\r\n",
                "*1\r\n*2\r\n:1\r\n+OK\r\n",
            ),
            (
                Reply::PairMap(vec![(one(), Reply::OK)]),
                "*1\r\n*2\r\n:1\r\n+OK\r\n",
                "%1\r\n:1\r\n+OK\r\n",
            ),
            (Reply::Set(vec![one()]), "*1\r\n:1\r\n", "~1\r\n:1\r\n"),
            (Reply::Push(vec![one()]), "*1\r\n:1\r\n", ">1\r\n:1\r\n"),
            (Reply::Double(0.5), "$3\r\n0.5\r\n", ",0.5\r\n"),
            (
                Reply::Decimal(Bytes::from_static(b"0.5")),
                "$3\r\n0.5\r\n",
                ",0.5\r\n",
            ),
            (Reply::Boolean(true), ":1\r\n", "#t\r\n"),
            (
                Reply::BigNumber(Bytes::from_static(b"12")),
                "$2\r\n12\r\n",
                "(12\r\n",
            ),
            (
                Reply::Verbatim {
                    format: *b"txt",
                    text: Bytes::from_static(b"hi"),
                },
                "$2\r\nhi\r\n",
                "=6\r\ntxt:hi\r\n",
            ),
        ];
        for (reply, v2, v3) in cases {
            assert_eq!(encoded(&reply, Resp::V2), v2);
            assert_eq!(encoded(&reply, Resp::V3), v3);
        }
    }

    #[test]
    fn an_error_line_stays_one_line() {
        let reply = Reply::Error("ERR a\r\nb\r\n".into());
        assert_eq!(encoded(&reply, Resp::V2), "-ERR a  b\r\n");
    }
}
