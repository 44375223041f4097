//! Bytes from the client on their way to commands: the read buffer, its parser, and whether more
//! bytes are to come.
//!
//! `reading` fills the buffer, `connection` takes commands out of it.

use bytes::{Bytes, BytesMut};
use coterie_redis_compat::CommandError;

use super::codec::{Cut, Limits, Parser};

/// Room for the first read: most clients are idle, or send little.
const READ_BYTES_FIRST: usize = 2 << 10;
/// Most room for a read; a client that fills its reads gets there.
pub(super) const READ_BYTES: usize = 32 << 10;
/// Room for a read within a large argument.
const READ_BYTES_LARGE: usize = 1 << 20;

/// See the module's head.
pub(super) struct Input {
    pub(super) bytes: BytesMut,
    parser: Parser,
    /// There may be whole commands in `bytes`.
    pub(super) unparsed: bool,
    /// The client sends no more, or its bytes are no longer read.
    pub(super) ended: bool,
    /// The proxy stops, and has read from this client for the last time.
    pub(super) last_read: bool,
    /// `bytes` has room for a large argument.
    is_large: bool,
    /// Room for the next read; grows with the bytes that come.
    read_bytes: usize,
}

impl Default for Input {
    fn default() -> Self {
        Self {
            bytes: BytesMut::new(),
            parser: Parser::default(),
            unparsed: false,
            ended: false,
            last_read: false,
            is_large: false,
            read_bytes: READ_BYTES_FIRST,
        }
    }
}

impl Input {
    /// Takes the words of the next command, or notes that no whole command is left.
    pub(super) fn next(
        &mut self,
        limits: &Limits,
        args: &mut Vec<Bytes>,
    ) -> Result<bool, CommandError> {
        let is_whole = self.parser.next(&mut self.bytes, limits, args)?;
        self.unparsed = is_whole;
        Ok(is_whole)
    }

    /// Why the command taken last was cut short, if it was.
    pub(super) fn take_cut(&mut self) -> Option<Cut> {
        self.parser.take_cut()
    }

    /// How many bytes are still to come of the incoming argument; 0 if none is incomplete.
    pub(super) fn wanted(&self) -> usize {
        self.parser.wanted(self.bytes.len())
    }

    /// Makes room for the next read, with `wanted` bytes to come of the incoming argument.
    pub(super) fn reserve(&mut self, wanted: usize) {
        if wanted > READ_BYTES {
            self.is_large = true;
            self.bytes.reserve(wanted.min(READ_BYTES_LARGE));
        } else if self.bytes.capacity() - self.bytes.len() < self.read_bytes / 2 {
            self.bytes.reserve(self.read_bytes);
        }
    }

    /// Notes that `len` bytes have come.
    pub(super) fn grew(&mut self, len: usize) {
        self.unparsed = true;
        if len >= self.read_bytes / 2 {
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES);
        }
    }

    /// Reads and begins nothing more.
    pub(super) fn end(&mut self) {
        self.ended = true;
        self.unparsed = false;
        self.bytes.clear();
    }

    /// An idle client keeps no buffer that was made for a large argument.
    pub(super) fn give_back(&mut self) {
        if self.is_large && self.bytes.is_empty() {
            self.bytes = BytesMut::new();
            self.is_large = false;
        }
    }
}
