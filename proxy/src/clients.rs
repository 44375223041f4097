//! The connected clients, as `CLIENT LIST` shows and `CLIENT KILL` finds them.
//!
//! A connection owns its state, and copies the part that others may see into its [`Client`] once
//! per batch of commands. Others act on a connection through a flag and a wake-up. `client_line`
//! writes the line of CLIENT LIST.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use coterie_redis_compat::acl::Denial;
use dashmap::DashMap;
use futures_util::task::AtomicWaker;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use crate::client_memory::Beyond;
use crate::client_peaks::{Peak, Peaks};
use crate::pubsub::Subscriptions;
use crate::pushes::{Added, Forms, Push, PushRules, Pushes, Turn};

/// A connection, as others see it.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) addr: SocketAddr,
    pub(crate) local_addr: SocketAddr,
    /// The number of the thread that serves it.
    pub(crate) thread: usize,
    /// The file descriptor of its socket in this process.
    pub(crate) fd: i32,
    pub(crate) connected_at: Instant,
    /// Wakes the connection's task.
    pub(crate) waker: AtomicWaker,
    /// Bytes of memory that it holds for replies (`client_memory`).
    pub(crate) reply_bytes_held: AtomicUsize,
    /// Bytes of replies that it has taken so far.
    pub(crate) reply_bytes_taken: AtomicU64,
    /// Bytes of memory that it holds for a request of which a part is still to come.
    pub(crate) request_bytes_held: AtomicUsize,
    /// Bytes that it has sent so far.
    pub(crate) request_bytes_sent: AtomicU64,
    /// Messages that it did not ask for.
    pub(crate) pushes: Pushes,
    /// All replies before this one are on their way to the client.
    answered_below: AtomicU64,
    /// Client-side caching, while it is on.
    caching: Mutex<Option<Arc<Caching>>>,
    pub(crate) subscriptions: Mutex<Subscriptions>,
    /// How many names it subscribes to.
    subscribed: AtomicUsize,
    /// The number of the last message that it published.
    published: AtomicU64,
    beyond: Mutex<Option<Beyond>>,
    killed: AtomicBool,
    /// Ends the wait of its command.
    unblock: Mutex<Option<oneshot::Sender<Unblock>>>,
    details: Mutex<Details>,
}

/// The properties that change while a client is connected.
#[derive(Debug, Clone)]
pub(crate) struct Details {
    pub(crate) name: Bytes,
    pub(crate) lib_name: Bytes,
    pub(crate) lib_ver: Bytes,
    /// The full name of the last command.
    pub(crate) command: &'static str,
    pub(crate) active_at: Instant,
    pub(crate) authenticated: bool,
    /// The name of its user.
    pub(crate) user: Bytes,
    pub(crate) table: u32,
    pub(crate) resp: u8,
    /// Commands queued by MULTI.
    pub(crate) queued: Option<usize>,
    pub(crate) watches: usize,
    pub(crate) read_only: bool,
    pub(crate) no_evict: bool,
    pub(crate) no_touch: bool,
    /// MONITOR.
    pub(crate) watches_all: bool,
    pub(crate) memory: Memory,
    /// The largest sizes since the last tick.
    pub(crate) peak: Peak,
    /// Replies wait to be written.
    pub(crate) writes: bool,
    /// It will be closed when it has its replies.
    pub(crate) closes: bool,
    pub(crate) blocked: Option<Blocked>,
    /// When its output exceeded the soft limit.
    pub(crate) over_soft_since: Option<Instant>,
    /// It waits for a group, for others to finish, or for the end of a pause.
    pub(crate) waits: bool,
}

/// Bytes that a connection holds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// The connection itself.
    pub(crate) own_bytes: usize,
    /// Bytes read of commands that have not begun.
    pub(crate) input_bytes: usize,
    pub(crate) input_free_bytes: usize,
    /// Words of the command that waits or runs.
    pub(crate) argument_bytes: usize,
    /// Words queued by MULTI.
    pub(crate) queued_bytes: usize,
    pub(crate) watched_bytes: usize,
    /// Commands on their way to groups.
    pub(crate) frame_bytes: usize,
    /// The buffer of small replies: bytes in it, and its capacity.
    pub(crate) buffer: (usize, usize),
    /// All other replies: their bytes, and their number.
    pub(crate) listed_bytes: usize,
    pub(crate) listed: usize,
}

impl Memory {
    /// The read buffer, and the words taken from it.
    pub(crate) fn input(&self) -> usize {
        self.input_bytes + self.input_free_bytes + self.argument_bytes
    }

    /// Bytes of replies that were not written yet.
    pub(crate) fn output(&self) -> usize {
        self.buffer.0 + self.listed_bytes
    }

    /// The sum of all of them.
    pub(crate) fn total(&self) -> usize {
        self.own_bytes
            + self.input()
            + self.queued_bytes
            + self.watched_bytes
            + self.frame_bytes
            + self.buffer.1
            + self.listed_bytes
    }
}

/// Client-side caching, as CLIENT LIST shows it (`tracking`).
#[derive(Debug)]
pub(crate) struct Caching {
    /// The client that is told in its place.
    pub(crate) redirect: Option<u64>,
    /// It is told of all keys with its prefixes.
    pub(crate) bcast: bool,
    /// The client that is told in its place was not there.
    pub(crate) is_broken: AtomicBool,
}

/// Why a client's command waits for others, apart from its own work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// For the end of CLIENT PAUSE.
    Paused,
    /// For others, with a time limit.
    Timed,
}

/// How CLIENT UNBLOCK ends the wait of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unblock {
    /// As if its time were over.
    TimedOut,
    /// By an error.
    Error,
    /// By an error: its user may not run it any more.
    Denied(Denial),
}

impl Details {
    /// `RESET`.
    pub(crate) fn reset(&mut self) {
        self.name = Bytes::new();
        self.no_evict = false;
        self.no_touch = false;
        self.watches_all = false;
    }
}

impl Client {
    /// Locks the state that others see, to read or change it.
    pub(crate) fn details(&self) -> MutexGuard<'_, Details> {
        // Nothing panics while holding it.
        self.details.lock()
    }

    /// Closes the connection, whatever it is doing.
    pub(crate) fn kill(&self) {
        self.killed.store(true, Ordering::Release);
        self.pushes.close();
        self.waker.wake();
    }

    /// Sends the client a message that it did not ask for. A client that takes its messages too
    /// slowly is closed.
    pub(crate) fn push(&self, push: &Arc<Push>) {
        match self.pushes.add(push) {
            Added::First => self.waker.wake(),
            Added::More => {}
            Added::Overflow => self.close_for_pushes(),
        }
    }

    /// Closes the connection, as it takes its messages too slowly.
    pub(crate) fn close_for_pushes(&self) {
        tracing::warn!(
            client = self.id,
            addr = %self.addr,
            bytes = self.pushes.bytes(),
            "closed: it does not take its messages"
        );
        self.pushes.count_closed();
        self.kill();
    }

    /// The number of the first reply that is not on its way to the client, as its connection has
    /// published it.
    pub(crate) fn answered_below(&self) -> u64 {
        self.answered_below.load(Ordering::Acquire)
    }

    /// Publishes that all replies before this one are on their way.
    pub(crate) fn set_answered_below(&self, reply: u64) {
        self.answered_below.store(reply, Ordering::Release);
    }

    /// Its client-side caching, while it is on.
    pub(crate) fn caching(&self) -> Option<Arc<Caching>> {
        // Nothing panics while holding it.
        self.caching.lock().clone()
    }

    /// Turns client-side caching on or off.
    pub(crate) fn set_caching(&self, caching: Option<Arc<Caching>>) {
        // Nothing panics while holding it.
        *self.caching.lock() = caching;
    }

    /// Whether the client that was to be told in its place is gone.
    pub(crate) fn is_redirect_broken(&self) -> bool {
        let caching = self.caching();
        caching.is_some_and(|caching| caching.is_broken.load(Ordering::Relaxed))
    }

    /// Whether it subscribes to anything.
    pub(crate) fn is_subscriber(&self) -> bool {
        self.subscribed.load(Ordering::Acquire) > 0
    }

    /// Notes how many names it subscribes to.
    pub(crate) fn note_subscriptions(&self, subscriptions: &Subscriptions) {
        let total = subscriptions.total();
        self.subscribed.store(total, Ordering::Release);
    }

    /// The number of the message that it publishes now.
    pub(crate) fn next_message(&self) -> u64 {
        self.published.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Bytes that it holds: what its connection published, and the messages that wait now.
    pub(crate) fn memory(&self) -> Memory {
        let mut memory = self.details().memory;
        memory.own_bytes += self.subscriptions.lock().bytes();
        memory.listed += self.pushes.len();
        memory.listed_bytes += self.pushes.bytes();
        memory
    }

    /// Keeps the right to go beyond the memory bound until the client has taken its replies; `None`
    /// returns the right.
    pub(crate) fn keep_beyond(&self, beyond: Option<Beyond>) {
        // Nothing panics while holding it.
        *self.beyond.lock() = beyond;
    }

    /// Its command waits from now on, until it drops the receiver of this.
    pub(crate) fn may_be_unblocked(&self, sender: oneshot::Sender<Unblock>) {
        // Nothing panics while holding it.
        *self.unblock.lock() = Some(sender);
    }

    /// Ends the wait of its command; returns whether a command waited.
    pub(crate) fn unblock(&self, how: Unblock) -> bool {
        let sender = self.unblock.lock().take();
        sender.is_some_and(|sender| sender.send(how).is_ok())
    }

    /// Whether the connection is to be closed.
    pub(crate) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }
}

/// A message queue shorter than this is not closed for want of memory.
const LONG_QUEUE_BYTES: usize = 64 << 10;

/// How many bits of a client's id count the clients of a proxy; the bits above are the proxy's
/// number, so that ids are unique over all proxies.
const COUNT_BITS: u32 = 33;

/// The first id of the clients of the proxy with this number.
pub(crate) fn first_id(number: u32) -> u64 {
    (u64::from(number) << COUNT_BITS) + 1
}

/// All clients of the process.
#[derive(Debug)]
pub(crate) struct Clients {
    by_id: DashMap<u64, Arc<Client>>,
    last_id: AtomicU64,
    peaks: Peaks,
    pushes: Arc<PushRules>,
}

impl Clients {
    /// No clients yet; messages to them keep to these rules.
    pub(crate) fn new(pushes: Arc<PushRules>) -> Self {
        Self {
            by_id: DashMap::new(),
            last_id: AtomicU64::new(0),
            peaks: Peaks::default(),
            pushes,
        }
    }

    /// A message for any number of clients. If there is no memory for it, the client with the
    /// longest queue is closed.
    pub(crate) fn push_of(&self, forms: Forms, turn: Turn) -> Arc<Push> {
        let (budget, bytes) = (&self.pushes.budget, forms.bytes());
        loop {
            if let Some(held) = budget.try_take(bytes) {
                return Push::new(forms, turn, held);
            }
            let clients = self.by_id.iter().filter(|client| !client.is_killed());
            let slowest = clients.max_by_key(|client| client.pushes.bytes());
            match slowest {
                Some(client) if client.pushes.bytes() >= LONG_QUEUE_BYTES => {
                    client.close_for_pushes();
                }
                // Others hold the memory: clients that keep up must not lose messages for them.
                _ => return Push::new(forms, turn, budget.force(bytes)),
            }
        }
    }

    /// Adds a client; it is listed until [`Clients::remove`].
    pub(crate) fn add(
        &self,
        addr: SocketAddr,
        local_addr: SocketAddr,
        fd: i32,
        thread: usize,
    ) -> Arc<Client> {
        let client = Arc::new(Client {
            id: self.last_id.fetch_add(1, Ordering::Relaxed) + 1,
            addr,
            local_addr,
            thread,
            fd,
            connected_at: Instant::now(),
            waker: AtomicWaker::new(),
            reply_bytes_held: AtomicUsize::new(0),
            reply_bytes_taken: AtomicU64::new(0),
            request_bytes_held: AtomicUsize::new(0),
            request_bytes_sent: AtomicU64::new(0),
            pushes: Pushes::new(Arc::clone(&self.pushes)),
            answered_below: AtomicU64::new(0),
            caching: Mutex::default(),
            subscriptions: Mutex::default(),
            subscribed: AtomicUsize::new(0),
            published: AtomicU64::new(0),
            beyond: Mutex::default(),
            killed: AtomicBool::new(false),
            unblock: Mutex::default(),
            details: Mutex::new(Details {
                name: Bytes::new(),
                lib_name: Bytes::new(),
                lib_ver: Bytes::new(),
                command: "NULL",
                active_at: Instant::now(),
                authenticated: true,
                user: Bytes::new(),
                table: 0,
                resp: 2,
                queued: None,
                watches: 0,
                read_only: false,
                no_evict: false,
                no_touch: false,
                watches_all: false,
                memory: Memory::default(),
                peak: Peak::default(),
                writes: false,
                closes: false,
                blocked: None,
                over_soft_since: None,
                waits: false,
            }),
        });
        self.by_id.insert(client.id, Arc::clone(&client));
        client
    }

    /// The client in whose name another proxy asks: it is not listed.
    pub(crate) fn unlisted(&self) -> Arc<Client> {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let client = self.add(nowhere, nowhere, -1, 0);
        self.by_id.remove(&client.id);
        client
    }

    /// The ids of further clients are those of the proxy with this number.
    pub(crate) fn number_from(&self, number: u32) {
        self.last_id.store(first_id(number) - 1, Ordering::Relaxed);
    }

    /// Removes a client that is gone.
    pub(crate) fn remove(&self, id: u64) {
        if let Some((_, client)) = self.by_id.remove(&id) {
            self.peaks.add(client.details().peak);
        }
    }

    /// The largest buffers that any client had lately.
    pub(crate) fn recent_peak(&self) -> Peak {
        let now = self.by_id.iter().map(|client| client.details().peak);
        now.fold(self.peaks.most(), Peak::or)
    }

    /// Begins another second.
    pub(crate) fn tick(&self) {
        self.peaks.begin_second();
        for client in &self.by_id {
            let mut details = client.details();
            self.peaks.add(details.peak);
            // The sizes that it still has count in the next second, too.
            details.peak = Peak {
                input_bytes: details.memory.input(),
                output_bytes: details.memory.output(),
                buffer_bytes: details.memory.buffer.0,
            };
        }
    }

    /// Wakes every connection: they have something to look at.
    pub(crate) fn wake_all(&self) {
        for client in &self.by_id {
            client.waker.wake();
        }
    }

    /// The number of clients.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The client with this id.
    pub(crate) fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.by_id.get(&id).map(|entry| Arc::clone(entry.value()))
    }

    /// All clients, sorted by id.
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
