//! A plain blocking RESP connection that returns replies as the bytes that arrived.
//!
//! For tests that compare bytes, or send bytes that no client library sends. Every read has a
//! deadline.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::resp::{self, Reply};

/// A connection to a server or proxy.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Connection {
    /// Connects; `timeout` then bounds each read and write.
    pub fn open(addr: &str, timeout: Duration) -> anyhow::Result<Self> {
        let resolved = addr.to_socket_addrs()?.next().context("no address")?;
        let stream = TcpStream::connect_timeout(&resolved, timeout)
            .with_context(|| format!("connect to {addr}"))?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            unread: Vec::new(),
        })
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(bytes).context("send")
    }

    /// Sends a command.
    pub fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        resp::encode(&mut bytes, args);
        self.send_raw(&bytes)
    }

    /// The bytes of the next reply.
    pub fn receive_raw(&mut self) -> anyhow::Result<Vec<u8>> {
        loop {
            if let Some(len) = resp::reply_len(&self.unread)? {
                return Ok(self.unread.drain(..len).collect());
            }
            let mut chunk = [0; 64 * 1024];
            let n = self.stream.read(&mut chunk).context("wait for a reply")?;
            ensure!(n > 0, "the server closed the connection");
            self.unread.extend_from_slice(&chunk[..n]);
        }
    }

    /// The next reply.
    pub fn receive(&mut self) -> anyhow::Result<Reply> {
        Ok(Reply::parse(&self.receive_raw()?)?.0)
    }

    /// Sends a command and returns its reply.
    pub fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> anyhow::Result<Reply> {
        self.send(args)?;
        self.receive()
    }

    /// Closes the sending half.
    pub fn finish_sending(&mut self) -> anyhow::Result<()> {
        self.stream.shutdown(Shutdown::Write).context("shut down")
    }

    /// Reads until the server closes; true if it did within the timeout.
    pub fn closed_by_server(&mut self) -> bool {
        let mut chunk = [0; 64 * 1024];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return true,
                Ok(_) => {}
                // A reset is a close as well; a timeout is not.
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    }
}
