//! A client that sends bytes and reads replies as text.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Client {
        let stream = TcpStream::connect(addr)
            .await
            .expect("connect to the proxy");
        Client {
            stream,
            buffer: Vec::new(),
        }
    }

    /// A client that is this user, whose password is `pw`.
    pub(crate) async fn log_in(addr: SocketAddr, user: &str) -> Client {
        let mut client = Client::connect(addr).await;
        let reply = client.run(&format!("AUTH {user} pw")).await;
        assert_eq!(reply, "+OK\r\n", "{user}");
        client
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("send");
    }

    /// Sends a command; words are split at blanks.
    pub(crate) async fn put(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').map(str::as_bytes).collect();
        self.send(command(&words)).await;
    }

    /// Sends a command and reads its reply.
    pub(crate) async fn run(&mut self, line: &str) -> String {
        self.put(line).await;
        self.reply().await
    }

    /// The next reply, as text.
    pub(crate) async fn reply(&mut self) -> String {
        loop {
            if let Some(end) = end_of(&self.buffer) {
                let reply: Vec<u8> = self.buffer.drain(..end).collect();
                return String::from_utf8_lossy(&reply).into_owned();
            }
            assert!(
                self.read().await > 0,
                "closed after {:?}",
                String::from_utf8_lossy(&self.buffer)
            );
        }
    }

    /// Waits until the proxy closes; returns the text received before that.
    pub(crate) async fn rest(&mut self) -> String {
        while self.read().await > 0 {}
        String::from_utf8_lossy(&std::mem::take(&mut self.buffer)).into_owned()
    }

    async fn read(&mut self) -> usize {
        // A reset is an end, too.
        self.stream.read_buf(&mut self.buffer).await.unwrap_or(0)
    }
}

/// The reply to a command with a key that the user may not use so.
pub(crate) const NO_KEY: &str =
    "-NOPERM this user has no permissions to access one of the keys used as arguments\r\n";

/// Sends commands one after another, each with its expected reply.
pub(crate) async fn expect(client: &mut Client, exchange: &[(&str, &str)]) {
    for (line, expected) in exchange {
        assert_eq!(client.run(line).await, *expected, "{line}");
    }
}

/// The bulk strings of a reply.
pub(crate) fn bulks(reply: &str) -> Vec<String> {
    let lines = reply.split("\r\n");
    let texts = lines.filter(|line| !line.starts_with(['$', '*', '%', '~', ':']));
    texts
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The bytes of a command.
pub(crate) fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend(format!("${}\r\n", word.len()).bytes());
        out.extend_from_slice(word);
        out.extend(b"\r\n");
    }
    out
}

/// Where the first reply ends, if it is complete.
fn end_of(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut left) = (0, 1u64);
    while left > 0 {
        left -= 1;
        let line_end = at
            + bytes
                .get(at..)?
                .windows(2)
                .position(|pair| pair == b"\r\n")?;
        let number = || {
            std::str::from_utf8(&bytes[at + 1..line_end])
                .ok()?
                .parse::<i64>()
                .ok()
        };
        let kind = bytes[at];
        let count = number();
        at = line_end + 2;
        match kind {
            b'$' | b'=' if count? >= 0 => {
                at += count? as usize + 2;
                bytes.get(..at)?;
            }
            b'*' | b'~' | b'>' => left += count?.max(0) as u64,
            b'%' => left += 2 * count?.max(0) as u64,
            _ => {}
        }
    }
    Some(at)
}
