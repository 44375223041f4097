//! The connected clients, as `CLIENT LIST` shows and `CLIENT KILL` finds them.
//!
//! A connection owns its state; what others may see of it is copied into its [`Client`] once per
//! batch of commands. Others act on a connection by a flag and a wake-up.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use dashmap::DashMap;
use futures_util::task::AtomicWaker;

use crate::reply_memory::Beyond;

/// One connection, as others see it.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) addr: SocketAddr,
    pub(crate) local_addr: SocketAddr,
    pub(crate) connected_at: Instant,
    /// Wakes the connection's task.
    pub(crate) waker: AtomicWaker,
    /// Memory for replies that it holds, bytes (`reply_memory`).
    pub(crate) reply_bytes_held: AtomicUsize,
    /// Bytes of replies that it has taken so far.
    pub(crate) reply_bytes_taken: AtomicU64,
    beyond: Mutex<Option<Beyond>>,
    killed: AtomicBool,
    details: Mutex<Details>,
}

/// What changes while a client is connected.
#[derive(Debug, Clone)]
pub(crate) struct Details {
    pub(crate) name: Bytes,
    pub(crate) lib_name: Bytes,
    pub(crate) lib_ver: Bytes,
    /// The full name of the last command.
    pub(crate) command: &'static str,
    pub(crate) active_at: Instant,
    pub(crate) authenticated: bool,
    pub(crate) table: u32,
    pub(crate) resp: u8,
    /// Commands queued by MULTI.
    pub(crate) queued: Option<usize>,
    pub(crate) watches: usize,
    pub(crate) read_only: bool,
    pub(crate) no_evict: bool,
    pub(crate) no_touch: bool,
    pub(crate) input_bytes: usize,
    pub(crate) input_free_bytes: usize,
    pub(crate) queued_bytes: usize,
    pub(crate) output_bytes: usize,
    pub(crate) output_pieces: usize,
    /// When the output went over the soft limit.
    pub(crate) over_soft_since: Option<Instant>,
    /// It waits for a group, for others to finish, or for the end of a pause.
    pub(crate) waits: bool,
}

impl Details {
    /// `RESET`.
    pub(crate) fn reset(&mut self) {
        self.name = Bytes::new();
        self.no_evict = false;
        self.no_touch = false;
    }
}

impl Client {
    /// Looks at, or changes, what others see.
    pub(crate) fn details(&self) -> MutexGuard<'_, Details> {
        // Nothing panics while holding it.
        self.details.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the connection, whatever it is doing.
    pub(crate) fn kill(&self) {
        self.killed.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Keeps the right to go beyond the bound of memory until its replies are taken; `None` ends it.
    pub(crate) fn keep_beyond(&self, beyond: Option<Beyond>) {
        // Nothing panics while holding it.
        *self.beyond.lock().unwrap_or_else(PoisonError::into_inner) = beyond;
    }

    /// Whether the connection is to be closed.
    pub(crate) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    /// The line of `CLIENT LIST`.
    pub(crate) fn line(&self) -> Vec<u8> {
        let details = self.details().clone();
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let mut flags = String::new();
        let letters = [
            (details.queued.is_some(), 'x'),
            (details.read_only, 'r'),
            (details.waits, 'b'),
            (details.no_evict, 'e'),
            (details.no_touch, 'T'),
        ];
        flags.extend(
            letters
                .iter()
                .filter(|(set, _)| *set)
                .map(|(_, letter)| *letter),
        );
        if flags.is_empty() {
            flags.push('N');
        }
        let total = details.input_bytes
            + details.input_free_bytes
            + details.queued_bytes
            + details.output_bytes
            + size_of::<Self>();
        let events = if details.output_bytes > 0 { "rw" } else { "r" };
        let mut line = format!(
            "id={} addr={} laddr={} fd=-1 name={} age={} idle={} flags={flags} db={} sub=0 psub=0 \
             ssub=0 multi={} watch={} qbuf={} qbuf-free={} argv-mem=0 multi-mem={} rbs=0 rbp=0 \
             obl=0 oll={} omem={} tot-mem={total} events={events} cmd={} user={} redir=-1 resp={}",
            self.id,
            self.addr,
            self.local_addr,
            text(&details.name),
            self.connected_at.elapsed().as_secs(),
            details.active_at.elapsed().as_secs(),
            details.table,
            details.queued.map_or(-1, |count| count as i64),
            details.watches,
            details.input_bytes,
            details.input_free_bytes,
            details.queued_bytes,
            details.output_pieces,
            details.output_bytes,
            details.command,
            if details.authenticated {
                "default"
            } else {
                "(superuser)"
            },
            details.resp,
        );
        line.push_str(&format!(
            " lib-name={} lib-ver={}",
            text(&details.lib_name),
            text(&details.lib_ver)
        ));
        line.into_bytes()
    }
}

/// All clients of the process.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    by_id: DashMap<u64, Arc<Client>>,
    last_id: AtomicU64,
}

impl Clients {
    /// A new client; it is listed until [`Clients::remove`].
    pub(crate) fn add(&self, addr: SocketAddr, local_addr: SocketAddr) -> Arc<Client> {
        let client = Arc::new(Client {
            id: self.last_id.fetch_add(1, Ordering::Relaxed) + 1,
            addr,
            local_addr,
            connected_at: Instant::now(),
            waker: AtomicWaker::new(),
            reply_bytes_held: AtomicUsize::new(0),
            reply_bytes_taken: AtomicU64::new(0),
            beyond: Mutex::default(),
            killed: AtomicBool::new(false),
            details: Mutex::new(Details {
                name: Bytes::new(),
                lib_name: Bytes::new(),
                lib_ver: Bytes::new(),
                command: "NULL",
                active_at: Instant::now(),
                authenticated: true,
                table: 0,
                resp: 2,
                queued: None,
                watches: 0,
                read_only: false,
                no_evict: false,
                no_touch: false,
                input_bytes: 0,
                input_free_bytes: 0,
                queued_bytes: 0,
                output_bytes: 0,
                output_pieces: 0,
                over_soft_since: None,
                waits: false,
            }),
        });
        self.by_id.insert(client.id, Arc::clone(&client));
        client
    }

    /// The client is gone.
    pub(crate) fn remove(&self, id: u64) {
        self.by_id.remove(&id);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The client with this id.
    pub(crate) fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.by_id.get(&id).map(|entry| Arc::clone(entry.value()))
    }

    /// All of them, by id.
    pub(crate) fn all(&self) -> Vec<Arc<Client>> {
        let mut all: Vec<_> = self
            .by_id
            .iter()
            .map(|entry| Arc::clone(entry.value()))
            .collect();
        all.sort_by_key(|client| client.id);
        all
    }
}
