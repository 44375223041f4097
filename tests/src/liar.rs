//! A server that misbehaves on purpose, to show that each judge in this crate catches the fault it
//! looks for: a relay in front of a real redis-server that breaks a promise now and then.
//!
//! Each connection has a thread, which relays a command at a time. Dropping the liar stops it.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::connection::Connection;
use crate::resp::{self, Reply};

/// The promise that the liar breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// `GET` returns the reply of an earlier `GET` of the key.
    StaleRead,
    /// `SET` is acknowledged and not executed.
    LostWrite,
    /// `INCR` is executed twice.
    DoubleIncrement,
    /// An integer reply has a wrong first digit.
    WrongReply,
}

/// The liar lies to each 25th eligible command.
const EVERY: u64 = 25;

/// The relay.
#[derive(Debug)]
pub struct Liar {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    lie: Lie,
    upstream: String,
    ended: AtomicBool,
    eligible: AtomicU64,
    reads: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
}

impl Liar {
    /// Starts a liar in front of the redis-server at `upstream`.
    pub fn start(lie: Lie, upstream: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            lie,
            upstream: upstream.to_owned(),
            ended: AtomicBool::new(false),
            eligible: AtomicU64::new(0),
            reads: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if accepting.ended.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                // A broken connection ends its thread; its client sees it closed.
                std::thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Ok(Self { addr, shared })
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn addr(&self) -> String {
        self.addr.to_string()
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        drop(TcpStream::connect(self.addr));
    }
}

impl Shared {
    fn serve(&self, mut client: TcpStream) -> anyhow::Result<()> {
        let mut upstream = Connection::open(&self.upstream, Duration::from_secs(10))?;
        let mut unread = Vec::new();
        let mut chunk = [0; 16 * 1024];
        loop {
            let n = client.read(&mut chunk)?;
            if n == 0 {
                return Ok(());
            }
            unread.extend_from_slice(&chunk[..n]);
            // A command has the form of a reply: an array of bulk strings.
            while let Some(len) = resp::reply_len(&unread)? {
                let command: Vec<u8> = unread.drain(..len).collect();
                let reply = self.answer(&mut upstream, &command)?;
                client.write_all(&reply)?;
            }
        }
    }

    fn answer(&self, upstream: &mut Connection, command: &[u8]) -> anyhow::Result<Vec<u8>> {
        let (parsed, _) = Reply::parse(command)?;
        let word = |nth: usize| parsed.elements().get(nth).and_then(Reply::text);
        let name = word(0).unwrap_or_default().to_ascii_uppercase();
        let key = word(1).unwrap_or_default().into_bytes();
        match (self.lie, name.as_str()) {
            (Lie::LostWrite, "SET") if self.now() => return Ok(b"+OK\r\n".to_vec()),
            (Lie::DoubleIncrement, "INCR") if self.now() => {
                upstream.send_raw(command)?;
                upstream.receive_raw()?;
            }
            _ => {}
        }
        upstream.send_raw(command)?;
        let reply = upstream.receive_raw()?;
        match (self.lie, name.as_str()) {
            (Lie::StaleRead, "GET") => Ok(self.stale(key, reply)),
            (Lie::WrongReply, _) if reply.first() == Some(&b':') && self.now() => {
                Ok([b":4", &reply[1..]].concat())
            }
            _ => Ok(reply),
        }
    }

    /// Counts an eligible command; true if the reply to it must be a lie.
    fn now(&self) -> bool {
        self.eligible.fetch_add(1, Ordering::SeqCst) % EVERY == EVERY - 1
    }

    fn stale(&self, key: Vec<u8>, reply: Vec<u8>) -> Vec<u8> {
        let mut reads = self.reads.lock();
        match reads.get(&key) {
            Some(old) if *old != reply && self.now() => old.clone(),
            _ => {
                reads.insert(key, reply.clone());
                reply
            }
        }
    }
}
