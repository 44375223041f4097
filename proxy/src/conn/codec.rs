//! The parser of client requests: arrays of bulk strings, and inline commands (`inline`).
//!
//! Requests come from strangers, so everything is bounded and nothing recurses: the number of
//! arguments, the bytes of each, the bytes of a line without an end. The limits are tight until the
//! client has authenticated. A partial request is not parsed again from its start: the parser
//! remembers where it stopped. Arguments are slices of the read buffer; nothing is copied. An
//! argument that is longer than its command allows (`sizes`) is refused as soon as its length is
//! read: its bytes are dropped as they come, and the request comes out cut short (`cut`).
//!
//! Errors are Redis' own (`networking.c`, `processMultibulkBuffer`); after an error the connection
//! replies and is closed. Caller: `conn::connection`.

use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use coterie_redis_compat::CommandError;

use super::cut::Cutting;
use super::{inline, sizes};

pub use super::cut::Cut;

/// Most bytes of a line: an inline command, or the header of an array or a bulk string.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Most arguments of a command.
const ARGS_MAX: i64 = 1 << 20;
/// Most arguments of a command before authentication.
const ARGS_MAX_STRANGER: i64 = 10;
/// Most bytes of an argument before authentication.
const BULK_BYTES_MAX_STRANGER: i64 = 16 << 10;
/// Vectors that grew beyond this for a large command are shrunk after it.
const KEPT_ARGS: usize = 1024;
/// A buffer that held more than this of a command is freed when the command is cut short.
const KEPT_BYTES: usize = 64 << 10;

/// Limits on a client's requests.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most bytes of an argument: `proto-max-bulk-len`. Beyond this the connection is closed.
    pub bulk_bytes_max: u64,
    /// Most bytes of a value that may be stored.
    pub value_bytes_max: usize,
    /// Whether the client has authenticated, or need not.
    pub trusted: bool,
}

/// A parser of a connection's requests. It belongs to a single buffer: the owner only appends bytes
/// to it, and the parser takes whole commands off its front.
#[derive(Debug, Default)]
pub struct Parser {
    /// Arguments of the current command.
    words: usize,
    /// Arguments still to come; 0 between commands.
    missing: usize,
    /// The length of the current argument, once its header was read.
    bulk_len: Option<usize>,
    /// How far the current command is parsed.
    parsed: usize,
    /// How far the search for a line end has come; at least `parsed`.
    searched: usize,
    /// Positions of the arguments in the buffer.
    spans: Vec<Range<usize>>,
    /// The current command is too long: its bytes are dropped.
    cutting: Option<Box<Cutting>>,
    /// Why the command taken last was cut short.
    cut: Option<Cut>,
}

impl Parser {
    /// Takes a command off the front of `input` into `args`, which is emptied first. `false` if
    /// there is no whole command yet. A command that was too long has lost most of its words:
    /// [`Parser::take_cut`] reports it.
    ///
    /// # Errors
    /// When the bytes are no request, or exceed a limit. The parser must not be used again.
    pub fn next(
        &mut self,
        input: &mut BytesMut,
        limits: &Limits,
        args: &mut Vec<Bytes>,
    ) -> Result<bool, CommandError> {
        args.clear();
        if args.capacity() > KEPT_ARGS {
            args.shrink_to(KEPT_ARGS);
        }
        loop {
            while self.missing > 0 {
                if !self.argument(input, limits)? {
                    return Ok(false);
                }
                if self.missing == 0 {
                    self.take(input, args);
                    return Ok(true);
                }
            }
            match input.first() {
                None => return Ok(false),
                Some(b'*') => match self.array_header(input, limits)? {
                    None => return Ok(false),
                    // `*0` and `*-1` are neither commands nor errors.
                    Some(0) => self.reset(input),
                    Some(count) => (self.words, self.missing) = (count, count),
                },
                Some(_) => match self.inline(input, args)? {
                    None => return Ok(false),
                    Some(()) if args.is_empty() => {}
                    Some(()) => return Ok(true),
                },
            }
        }
    }

    /// Why the command taken last was cut short, if it was.
    pub fn take_cut(&mut self) -> Option<Cut> {
        self.cut.take()
    }

    /// How many bytes the buffer should have room for beyond its `len`, so that the incoming
    /// argument need not be moved often.
    #[must_use]
    pub fn wanted(&self, len: usize) -> usize {
        match self.bulk_len {
            Some(bulk) if self.cutting.is_none() => (self.parsed + bulk + 2).saturating_sub(len),
            _ => 0,
        }
    }

    /// Whether a command was read in part.
    #[must_use]
    pub fn is_within(&self, input: &BytesMut) -> bool {
        self.missing > 0 || !input.is_empty()
    }

    fn array_header(
        &mut self,
        input: &[u8],
        limits: &Limits,
    ) -> Result<Option<usize>, CommandError> {
        let Some(line) = self.line(input, "too big mbulk count string")? else {
            return Ok(None);
        };
        let invalid = || protocol("invalid multibulk length");
        let count = number(&input[line.start + 1..line.end]).ok_or_else(invalid)?;
        if count > ARGS_MAX {
            return Err(invalid());
        }
        if count > ARGS_MAX_STRANGER && !limits.trusted {
            return Err(protocol("unauthenticated multibulk length"));
        }
        Ok(Some(usize::try_from(count).unwrap_or(0)))
    }

    /// Reads the next argument; `false` if it is not complete yet.
    fn argument(&mut self, input: &mut BytesMut, limits: &Limits) -> Result<bool, CommandError> {
        let len = match self.bulk_len {
            Some(len) => len,
            None => {
                let Some(line) = self.line(input, "too big bulk count string")? else {
                    return Ok(false);
                };
                let len = bulk_header(&input[line], limits)?;
                self.bulk_len = Some(len);
                self.measure(input, len, limits.value_bytes_max);
                len
            }
        };
        if let Some(cutting) = &mut self.cutting {
            if !cutting.drop_argument(input, len) {
                return Ok(false);
            }
            self.bulk_len = None;
            self.missing -= 1;
            return Ok(true);
        }
        // The two bytes after it should be CR LF; like Redis, the parser does not check.
        if input.len() < self.parsed + len + 2 {
            return Ok(false);
        }
        self.spans.push(self.parsed..self.parsed + len);
        self.parsed += len + 2;
        self.searched = self.parsed;
        self.bulk_len = None;
        self.missing -= 1;
        Ok(true)
    }

    /// Called when an argument of `len` bytes is about to come. If it makes the command too long,
    /// the arguments read so far are dropped, and so is everything that follows.
    fn measure(&mut self, input: &mut BytesMut, len: usize, value_max: usize) {
        if let Some(cutting) = &mut self.cutting {
            cutting.add(len);
            return self.reset(input);
        }
        // `parsed` is slightly more than the bytes of the arguments.
        let fits = len <= sizes::argument_min(value_max);
        if fits && self.parsed.saturating_add(len) <= sizes::request_max(value_max) {
            return;
        }
        let total = self.spans.iter().map(Range::len).sum::<usize>() + len;
        let name = self
            .spans
            .first()
            .map_or(&[][..], |name| &input[name.clone()]);
        let at = if len > sizes::argument_max(name, self.words, value_max) {
            Some(self.words - self.missing)
        } else if total > sizes::request_max(value_max) {
            None
        } else {
            return;
        };
        let words = self.spans.iter().map(|span| &input[span.clone()]);
        let cutting = Cutting::new(Cut { total, at }, words);
        self.cutting = Some(Box::new(cutting));
        self.spans = Vec::new();
        let is_large = self.parsed > KEPT_BYTES;
        self.reset(input);
        if is_large {
            // Frees the memory of the dropped bytes, too.
            *input = BytesMut::from(input.as_ref());
        }
    }

    /// The line that begins at `parsed`, without its CR LF, once it is complete.
    fn line(
        &mut self,
        input: &[u8],
        too_long: &'static str,
    ) -> Result<Option<Range<usize>>, CommandError> {
        let found = input[self.searched..].iter().position(|&b| b == b'\r');
        let Some(end) = found.map(|at| self.searched + at) else {
            self.searched = input.len();
            if self.searched - self.parsed > LINE_BYTES_MAX {
                return Err(protocol(too_long));
            }
            return Ok(None);
        };
        self.searched = end;
        if input.len() < end + 2 {
            return Ok(None);
        }
        let line = self.parsed..end;
        self.parsed = end + 2;
        self.searched = self.parsed;
        Ok(Some(line))
    }

    fn inline(
        &mut self,
        input: &mut BytesMut,
        args: &mut Vec<Bytes>,
    ) -> Result<Option<()>, CommandError> {
        let found = input[self.searched..].iter().position(|&b| b == b'\n');
        let Some(end) = found.map(|at| self.searched + at) else {
            self.searched = input.len();
            if self.searched > LINE_BYTES_MAX {
                return Err(protocol("too big inline request"));
            }
            return Ok(None);
        };
        let line = input.split_to(end + 1).freeze();
        self.parsed = 0;
        self.searched = 0;
        let cut = if end > 0 && line[end - 1] == b'\r' {
            end - 1
        } else {
            end
        };
        inline::split(&line.slice(..cut), args)
            .ok_or_else(|| protocol("unbalanced quotes in request"))?;
        Ok(Some(()))
    }

    fn take(&mut self, input: &mut BytesMut, args: &mut Vec<Bytes>) {
        if let Some(cutting) = self.cutting.take() {
            self.cut = Some(cutting.cut);
            *args = cutting.into_words();
            return;
        }
        let whole = input.split_to(self.parsed).freeze();
        args.extend(self.spans.drain(..).map(|span| whole.slice(span)));
        self.spans.shrink_to(KEPT_ARGS);
        self.parsed = 0;
        self.searched = 0;
    }

    fn reset(&mut self, input: &mut BytesMut) {
        input.advance(self.parsed);
        self.parsed = 0;
        self.searched = 0;
    }
}

fn bulk_header(line: &[u8], limits: &Limits) -> Result<usize, CommandError> {
    let Some((b'$', digits)) = line.split_first() else {
        // An empty line: Redis quotes its CR, as a blank.
        let got = line.first().copied().unwrap_or(b'\r');
        return Err(CommandError::protocol(&format!(
            "expected '$', got '{}'",
            char::from(got)
        )));
    };
    let len = number(digits)
        .and_then(|len| u64::try_from(len).ok())
        .filter(|len| *len <= limits.bulk_bytes_max)
        .ok_or_else(|| protocol("invalid bulk length"))?;
    if len > BULK_BYTES_MAX_STRANGER as u64 && !limits.trusted {
        return Err(protocol("unauthenticated bulk length"));
    }
    usize::try_from(len).map_err(|_| protocol("invalid bulk length"))
}

fn number(digits: &[u8]) -> Option<i64> {
    // Nearly every header has one or two digits.
    match digits {
        [d @ b'0'..=b'9'] => Some(i64::from(d - b'0')),
        [t @ b'1'..=b'9', d @ b'0'..=b'9'] => Some(i64::from((t - b'0') * 10 + d - b'0')),
        _ => coterie_redis_compat::number::parse_int(digits),
    }
}

fn protocol(text: &'static str) -> CommandError {
    CommandError::protocol(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        bulk_bytes_max: 512 << 20,
        value_bytes_max: 1 << 20,
        trusted: true,
    };

    fn parse(input: &[u8], limits: &Limits) -> Result<Vec<Vec<Bytes>>, String> {
        let mut buffer = BytesMut::from(input);
        let (mut parser, mut args, mut commands) = (Parser::default(), Vec::new(), Vec::new());
        loop {
            match parser.next(&mut buffer, limits, &mut args) {
                Ok(true) => commands.push(args.clone()),
                Ok(false) => return Ok(commands),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    fn error(input: &[u8], limits: &Limits) -> String {
        let error = parse(input, limits).unwrap_err();
        error
            .strip_prefix("ERR Protocol error: ")
            .unwrap()
            .to_owned()
    }

    #[test]
    fn a_pipeline_is_taken_apart() {
        let commands = parse(
            b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n\r\n*0\r\n*-1\r\n*1\r\n$0\r\n\r\n*1\r\n$4\r\nPI",
            &LIMITS,
        );
        assert_eq!(
            commands.unwrap(),
            vec![
                vec![Bytes::from_static(b"GET"), Bytes::from_static(b"k")],
                vec![Bytes::from_static(b"PING")],
                vec![Bytes::new()],
            ]
        );
    }

    #[test]
    fn protocol_errors_are_in_redis_words() {
        assert_eq!(error(b"*x\r\n", &LIMITS), "invalid multibulk length");
        assert_eq!(error(b"*1048577\r\n", &LIMITS), "invalid multibulk length");
        assert_eq!(error(b"*1\r\nx1\r\n", &LIMITS), "expected '$', got 'x'");
        assert_eq!(error(b"*1\r\n$-1\r\n", &LIMITS), "invalid bulk length");
        assert_eq!(
            error(b"*1\r\n$536870913\r\n", &LIMITS),
            "invalid bulk length"
        );
        assert_eq!(
            error(b"get \"a\r\n", &LIMITS),
            "unbalanced quotes in request"
        );
        let endless = vec![b'*'; LINE_BYTES_MAX + 2];
        assert_eq!(error(&endless, &LIMITS), "too big mbulk count string");
        let endless = [b"*1\r\n".as_slice(), &[b'$'; LINE_BYTES_MAX + 1]].concat();
        assert_eq!(error(&endless, &LIMITS), "too big bulk count string");
        let endless = vec![b'a'; LINE_BYTES_MAX + 1];
        assert_eq!(error(&endless, &LIMITS), "too big inline request");
    }

    #[test]
    fn strangers_have_tight_limits() {
        let stranger = Limits {
            trusted: false,
            ..LIMITS
        };
        assert_eq!(
            error(b"*11\r\n", &stranger),
            "unauthenticated multibulk length"
        );
        assert_eq!(
            error(b"*1\r\n$16385\r\n", &stranger),
            "unauthenticated bulk length"
        );
        assert!(parse(b"*10\r\n$16384\r\n", &stranger).is_ok());
    }

    #[test]
    fn the_room_a_large_argument_wants_is_known() {
        let mut buffer = BytesMut::from(b"*1\r\n$1000\r\nabc".as_slice());
        let (mut parser, mut args) = (Parser::default(), Vec::new());
        assert!(!parser.next(&mut buffer, &LIMITS, &mut args).unwrap());
        assert_eq!(parser.wanted(buffer.len()), 999);
    }

    /// Feeds a request in pieces; returns its words and the largest size of the buffer.
    fn feed(parser: &mut Parser, pieces: impl Iterator<Item = Vec<u8>>) -> (Vec<Bytes>, usize) {
        let (mut buffer, mut args, mut most) = (BytesMut::new(), Vec::new(), 0);
        let mut whole = false;
        for piece in pieces {
            assert!(!whole, "whole before its end");
            buffer.extend_from_slice(&piece);
            whole = parser.next(&mut buffer, &LIMITS, &mut args).unwrap();
            most = most.max(buffer.capacity());
        }
        assert!(whole && buffer.is_empty());
        (args, most)
    }

    #[test]
    fn nothing_is_kept_of_an_argument_that_is_too_long() {
        let mut parser = Parser::default();
        let head = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$400000000\r\n".to_vec();
        let body = std::iter::repeat_n(vec![b'x'; 40_000], 10_000);
        let pieces = std::iter::once(head).chain(body).chain([b"\r\n".to_vec()]);
        let (args, most) = feed(&mut parser, pieces);
        assert!(most < 1 << 20, "{most}");
        assert_eq!(args[..2], ["SET", "k"]);
        assert_eq!(args[2], vec![b'x'; 128]);
        let cut = Cut {
            total: 400_000_004,
            at: Some(2),
        };
        assert_eq!(parser.take_cut(), Some(cut));
        assert_eq!(parser.take_cut(), None);
        let (args, _) = feed(
            &mut parser,
            std::iter::once(b"*1\r\n$4\r\nPING\r\n".to_vec()),
        );
        assert_eq!(args, ["PING"]);
        assert_eq!(parser.take_cut(), None);
    }

    #[test]
    fn arguments_that_are_too_many_are_dropped_with_those_before() {
        let mut parser = Parser::default();
        let argument = [b"$1000000\r\n".as_slice(), &vec![b'x'; 1_000_000], b"\r\n"].concat();
        let mut buffer = BytesMut::from(b"*101\r\n$4\r\nMSET\r\n".as_slice());
        let mut args = Vec::new();
        for at in 0..100 {
            assert!(
                !parser.next(&mut buffer, &LIMITS, &mut args).unwrap(),
                "{at}"
            );
            buffer.extend_from_slice(&argument);
            let kept = buffer.capacity() > 3 << 20;
            assert!(at < 4 || kept == (at < 68), "{at}: {}", buffer.capacity());
        }
        assert!(parser.next(&mut buffer, &LIMITS, &mut args).unwrap());
        assert_eq!(args.len(), 48);
        let cut = Cut {
            total: 100_000_004,
            at: None,
        };
        assert_eq!(parser.take_cut(), Some(cut));
    }

    #[test]
    fn a_command_that_nobody_knows_has_room_for_no_argument_that_is_long() {
        for name in ["NOSUCH", "GET"] {
            let mut parser = Parser::default();
            let long = vec![b'x'; (1 << 20) + 1];
            let mut request = format!("*3\r\n${}\r\n{name}\r\n", name.len()).into_bytes();
            for _ in 0..2 {
                request.extend(format!("${}\r\n", long.len()).bytes());
                request.extend_from_slice(&long);
                request.extend(b"\r\n");
            }
            let (args, _) = feed(&mut parser, std::iter::once(request));
            assert_eq!(
                args.iter().map(Bytes::len).collect::<Vec<_>>(),
                [name.len(), 128, 128]
            );
            assert_eq!(parser.take_cut().unwrap().at, Some(1));
        }
    }
}
