//! The connection of an unruly client: it can have a small receive buffer, stop reading, and end in
//! a reset.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use socket2::{Domain, Socket, Type};

use crate::skim::{Came, Skim};

/// Time limit for a due reply: longer than a proxy retries.
pub(super) const REPLY_TIMEOUT: Duration = Duration::from_secs(60);

/// The receive buffer of a client with little room, in bytes.
const LITTLE: usize = 4 << 10;

/// The connection of an unruly client.
#[derive(Debug)]
pub(super) struct Unread {
    socket: Socket,
    skim: Skim,
    /// The number of complete replies, and the error lines among them.
    pub(super) replies: u64,
    pub(super) errors: Vec<String>,
}

impl Unread {
    /// Connects; with `little`, the kernel has hardly room for unread replies.
    pub(super) fn open(addr: &str, little: bool) -> anyhow::Result<Self> {
        let addr: SocketAddr = addr.parse().context("an address")?;
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        if little {
            // Before connecting: otherwise the kernel would buffer megabytes of replies.
            socket.set_recv_buffer_size(LITTLE)?;
        }
        socket.connect(&addr.into())?;
        socket.set_tcp_nodelay(true)?;
        socket.set_read_timeout(Some(REPLY_TIMEOUT))?;
        // A server may stop reading while its replies are not read: sending then times out soon.
        socket.set_write_timeout(Some(Duration::from_secs(2)))?;
        Ok(Self {
            socket,
            skim: Skim::default(),
            replies: 0,
            errors: Vec::new(),
        })
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.socket.write_all(bytes).context("send")
    }

    /// Reads up to `piece` bytes; false if the other side has closed.
    pub(super) fn read(&mut self, piece: &mut [u8]) -> anyhow::Result<bool> {
        let read = self.socket.read(piece).context("read")?;
        let (replies, errors) = (&mut self.replies, &mut self.errors);
        self.skim.feed(&piece[..read], |came| {
            *replies += 1;
            if let Came::Error(line) = came {
                errors.push(line);
            }
        })?;
        Ok(read > 0)
    }

    /// Reads until `replies` replies have come; false if the other side closed before.
    pub(super) fn read_replies(&mut self, replies: u64) -> anyhow::Result<bool> {
        let mut piece = vec![0; 64 << 10];
        let began = Instant::now();
        while self.replies < replies {
            ensure!(began.elapsed() < 2 * REPLY_TIMEOUT, "replies trickle");
            if !self.read(&mut piece)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends `bytes` and reads `replies` replies meanwhile; closes the sending half after `bytes`
    /// if `half`.
    pub(super) fn exchange(
        &mut self,
        bytes: &[u8],
        replies: u64,
        half: bool,
    ) -> anyhow::Result<bool> {
        let mut sender = self.socket.try_clone()?;
        sender.set_write_timeout(Some(REPLY_TIMEOUT))?;
        std::thread::scope(|scope| {
            let sending = scope.spawn(move || {
                sender.write_all(bytes)?;
                if half {
                    sender.shutdown(Shutdown::Write)?;
                }
                std::io::Result::Ok(())
            });
            let had = self.read_replies(replies);
            if !matches!(had, Ok(true)) {
                // Otherwise the sender would wait for room until its own timeout.
                let _ = self.socket.shutdown(Shutdown::Both);
            }
            let sent = sending.join().map_err(|_| anyhow!("the sender panicked"))?;
            let had = had?;
            if had {
                sent.context("send")?;
            }
            Ok(had)
        })
    }

    /// Reads for `time`, or until the other side closes.
    pub(super) fn read_for(&mut self, time: Duration) -> anyhow::Result<()> {
        let mut piece = vec![0; 16 << 10];
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.socket.set_read_timeout(Some(left))?;
            match self.read(&mut piece) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => {
                    let io = error
                        .downcast_ref::<std::io::Error>()
                        .map(std::io::Error::kind);
                    let silent = matches!(io, Some(ErrorKind::WouldBlock | ErrorKind::TimedOut));
                    return if silent { Ok(()) } else { Err(error) };
                }
            }
        }
    }

    /// Closes the sending half.
    pub(super) fn finish_sending(&self) -> anyhow::Result<()> {
        self.socket.shutdown(Shutdown::Write).context("shut down")
    }

    /// Ends the connection with a reset even with bytes in flight, as when a client is killed.
    pub(super) fn reset(self) -> anyhow::Result<()> {
        self.socket
            .set_linger(Some(Duration::ZERO))
            .context("have the end be a reset")
    }
}
