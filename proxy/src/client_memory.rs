//! Memory for long replies and long requests: replies that clients have not taken yet, and requests
//! that groups have not answered. Each of the two has a bound for all clients together.
//!
//! Short replies and requests need no permit: a client has few of them in flight. For a long reply,
//! bytes are taken before the group is asked; for a long argument, before it is read; clients take
//! turns. The bytes are given back as the client reads, or when the request is answered. So a reply
//! that a slow client does not take stays unread in the store, and an argument that has no room
//! stays in the client's socket.
//!
//! A reply or request in several parts (a reply combined from groups' replies, a request of several
//! arguments) could run out of memory half-way and wait for others that do the same. To avoid this
//! deadlock, a single reply and a single request may go beyond the bound at a time ([`Beyond`]).
//!
//! Clients that hold memory and neither read nor send, while others wait for it, are closed
//! ([`close_stalled`]), as Redis closes clients when `maxmemory-clients` is reached.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use coterie_budget::{Budget, Permit};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

use crate::clients::{Client, Clients};
use crate::metrics::Metrics;

/// Most bytes that need no permit: of a request, or of a frame's replies. Each lane always has room
/// for this much.
pub(crate) const SHORT_BYTES: usize = 64 << 10;
/// How often to check whether somebody waits for memory.
const PERIOD: Duration = Duration::from_millis(500);
/// A client may be closed after others have waited for this long, if it has read or sent less than
/// `MOVED_BYTES_MIN` in that time.
const STALLED_AFTER: Duration = Duration::from_secs(4);
const MOVED_BYTES_MIN: u64 = 64 << 10;

/// See the module's head. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct ClientMemory {
    pub(crate) budget: Budget,
    /// Bytes that a client may hold; a single longer reply may take as much as it needs.
    pub(crate) client_bytes: usize,
    beyond: Arc<Mutex<()>>,
}

/// The right to go beyond the bound. Held until the reply was taken, or the request answered.
pub(crate) type Beyond = OwnedMutexGuard<()>;

/// Memory for a reply or request that comes in parts.
#[derive(Debug)]
pub(crate) struct Gathering {
    memory: ClientMemory,
    permit: Permit,
    beyond: Option<Beyond>,
}

impl ClientMemory {
    /// Memory of `bytes` for all clients together, and `client_bytes` for each.
    pub(crate) fn new(bytes: usize, client_bytes: usize) -> Self {
        Self {
            budget: Budget::new(bytes),
            client_bytes: client_bytes.max(SHORT_BYTES),
            beyond: Arc::default(),
        }
    }

    /// Starts a reply or request in parts, once there is memory for `bytes`.
    pub(crate) async fn gather(&self, bytes: usize) -> Gathering {
        Gathering {
            permit: self.budget.take(bytes).await,
            memory: self.clone(),
            beyond: None,
        }
    }
}

impl Gathering {
    /// Waits until it has memory for `bytes` in all, or its turn to go beyond the bound.
    pub(crate) async fn reach(&mut self, bytes: usize) {
        let more = bytes.saturating_sub(self.permit.bytes());
        if more == 0 {
            return;
        }
        if self.beyond.is_none() {
            let budget = &self.memory.budget;
            let beyond = Arc::clone(&self.memory.beyond);
            tokio::select! {
                biased;
                permit = budget.take(more) => self.permit.merge(permit),
                beyond = beyond.lock_owned() => self.beyond = Some(beyond),
            }
        }
        let more = bytes.saturating_sub(self.permit.bytes());
        self.permit.grow(more);
    }

    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.permit.bytes()
    }

    /// Gives back all but `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        self.permit.shrink_to(bytes);
    }

    /// Ends with the complete reply, which the client's own memory now accounts for. Returns the
    /// right to go beyond the bound, if it was used.
    pub(crate) fn finish(self) -> Option<Beyond> {
        self.beyond
    }
}

/// Which of the two memories, and how clients make use of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Use {
    Replies,
    Requests,
}

impl Use {
    /// Bytes that a client holds and would give back by making progress, and the bytes that it has
    /// moved so far.
    fn of(self, client: &Client) -> (usize, u64) {
        let (held, moved) = match self {
            Use::Replies => (&client.reply_bytes_held, &client.reply_bytes_taken),
            Use::Requests => (&client.request_bytes_held, &client.request_bytes_sent),
        };
        (held.load(Ordering::Relaxed), moved.load(Ordering::Relaxed))
    }

    fn show(self, metrics: &Metrics, used: usize, waiting: usize) {
        let (bytes, waits) = match self {
            Use::Replies => (&metrics.reply_bytes, &metrics.replies_waiting),
            Use::Requests => (&metrics.request_bytes, &metrics.requests_waiting),
        };
        bytes.set(used as i64);
        waits.set(waiting as i64);
    }
}

/// Closes clients that hold memory and make no progress, while others wait for it. Runs until
/// `stop`.
pub(crate) async fn close_stalled(
    memory: ClientMemory,
    kind: Use,
    clients: Arc<Clients>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let mut holders = Holders::default();
    while stop
        .run_until_cancelled(tokio::time::sleep(PERIOD))
        .await
        .is_some()
    {
        let (used, waiting) = (memory.budget.used(), memory.budget.waiting());
        kind.show(&metrics, used, waiting);
        if waiting == 0 {
            holders = Holders::default();
            continue;
        }
        let seen = clients.all().into_iter().filter_map(|client| {
            let (held, moved) = kind.of(&client);
            (held > 0).then_some((client.id, held, moved))
        });
        let wanted = memory.budget.bytes_waited_for();
        let stalled = holders.stalled(Instant::now(), seen, wanted);
        for client in stalled.into_iter().filter_map(|id| clients.get(id)) {
            tracing::warn!(
                client = client.id,
                addr = %client.addr,
                memory = ?kind,
                "closed: it neither reads nor sends, and others wait for the memory it holds"
            );
            metrics.stalled_disconnections.inc();
            client.kill();
        }
    }
}

/// The progress of clients that hold memory: bytes moved so far, and since when.
#[derive(Debug, Default)]
struct Holders(BTreeMap<u64, (u64, Instant)>);

impl Holders {
    /// The clients that have hardly moved for [`STALLED_AFTER`], the largest first, until they hold
    /// the `wanted` bytes together. Clients are given as id, bytes held, and bytes moved so far.
    fn stalled(
        &mut self,
        now: Instant,
        clients: impl Iterator<Item = (u64, usize, u64)>,
        wanted: usize,
    ) -> Vec<u64> {
        let mut seen = BTreeMap::new();
        let mut stalled = Vec::new();
        for (id, held, moved) in clients {
            let (before, since) = self.0.get(&id).copied().unwrap_or((moved, now));
            if moved.saturating_sub(before) >= MOVED_BYTES_MIN {
                seen.insert(id, (moved, now));
                continue;
            }
            seen.insert(id, (before, since));
            if now.duration_since(since) >= STALLED_AFTER {
                stalled.push((held, id));
            }
        }
        self.0 = seen;
        stalled.sort_unstable_by(|a, b| b.cmp(a));
        let mut missing = wanted;
        let is_needed = |(held, id): (usize, u64)| {
            let needed = missing > 0;
            missing = missing.saturating_sub(held);
            needed.then_some(id)
        };
        stalled.into_iter().map_while(is_needed).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn one_reply_at_a_time_goes_beyond_the_bound() {
        let memory = ClientMemory::new(100, 0);
        let mut one = memory.gather(10).now_or_never().unwrap();
        let mut two = memory.gather(10).now_or_never().unwrap();
        one.reach(500).now_or_never().unwrap();
        assert_eq!(memory.budget.used(), 510);
        assert!(two.reach(90).now_or_never().is_none(), "not both");
        assert_eq!(memory.budget.waiting(), 0, "it was given up");
        let mut reaching = Box::pin(two.reach(90));
        assert!((&mut reaching).now_or_never().is_none());
        assert_eq!(memory.budget.waiting(), 1);
        // By then its memory is free, and so is the right to go beyond.
        drop(one.finish());
        reaching.now_or_never().unwrap();
        assert_eq!(memory.budget.used(), 90);
    }

    #[test]
    fn the_largest_of_those_that_do_not_read_are_closed() {
        let mut holders = Holders::default();
        let begin = Instant::now();
        let clients = |read| [(1, 500, 0), (2, 900, read), (3, 700, 9)].into_iter();
        let none: [u64; 0] = [];
        assert_eq!(holders.stalled(begin, clients(0), 100), none);
        let later = begin + STALLED_AFTER;
        let reads = || clients(MOVED_BYTES_MIN);
        assert_eq!(holders.stalled(later, reads(), 700), [3]);
        assert_eq!(
            holders.stalled(later, reads(), 701),
            [3, 1],
            "as many as hold it"
        );
        let later = later + STALLED_AFTER;
        assert_eq!(holders.stalled(later, reads(), 10_000), [2, 3, 1]);
        assert_eq!(holders.stalled(later, reads(), 0), none);
    }
}
