//! Memory for replies that clients have not taken yet: of one client, and of all of them.
//!
//! Short replies need no leave: a client has few of them under way. For long ones bytes are taken
//! before the group is asked, in turn with other clients, and given back as the client reads. So
//! what a slow client does not take stays unread in the store.
//!
//! A reply that is put together from several answers cannot wait for memory half-way: others that
//! did, too, would wait for it. One such reply at a time may go beyond the bound ([`Beyond`]).
//!
//! Clients that hold memory and read next to nothing, while others wait for it, are closed
//! ([`close_stalled`]), as Redis does when `maxmemory-clients` is reached.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use coterie_budget::{Budget, Permit};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

use crate::clients::Clients;
use crate::metrics::Metrics;

/// Replies of a frame that need no leave, and what each lane may always have room for.
pub(crate) const SHORT_BYTES: usize = 64 << 10;
/// How often it is looked whether somebody waits.
const PERIOD: Duration = Duration::from_millis(500);
/// How long others wait before a client may be closed for them, and the time in which it is to
/// have read `TAKEN_BYTES_MIN`.
const STALLED_AFTER: Duration = Duration::from_secs(4);
const TAKEN_BYTES_MIN: u64 = 64 << 10;

/// See the module's head. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct ReplyMemory {
    pub(crate) budget: Budget,
    /// Bytes of replies that one client may have under way, or waiting for it; one that is longer
    /// has what it needs.
    pub(crate) client_bytes: usize,
    beyond: Arc<Mutex<()>>,
    waiting_for_beyond: Arc<AtomicUsize>,
}

/// The right to go beyond the bound. Kept until the reply was taken.
pub(crate) type Beyond = OwnedMutexGuard<()>;

/// A reply that is put together, and the memory it takes.
#[derive(Debug)]
pub(crate) struct Gathering {
    memory: ReplyMemory,
    permit: Permit,
    beyond: Option<Beyond>,
}

impl ReplyMemory {
    /// Memory for all clients, and for each.
    pub(crate) fn new(bytes: usize, client_bytes: usize) -> Self {
        Self {
            budget: Budget::new(bytes),
            client_bytes: client_bytes.max(SHORT_BYTES),
            beyond: Arc::default(),
            waiting_for_beyond: Arc::default(),
        }
    }

    /// Begins to put a reply together, once there is memory for so many bytes.
    pub(crate) async fn gather(&self, bytes: usize) -> Gathering {
        Gathering {
            permit: self.budget.take(bytes).await,
            memory: self.clone(),
            beyond: None,
        }
    }

    /// How many wait for what others hold.
    fn waiting(&self) -> usize {
        self.budget.waiting() + self.waiting_for_beyond.load(Ordering::Relaxed)
    }
}

impl Gathering {
    /// Makes sure of memory for `bytes` in all: at once, or when it is its turn to go beyond.
    pub(crate) async fn reach(&mut self, bytes: usize) {
        let more = bytes.saturating_sub(self.permit.bytes());
        if more == 0 {
            return;
        }
        if let Some(permit) = self.memory.budget.try_take(more)
            && permit.bytes() == more
        {
            return self.permit.merge(permit);
        }
        if self.beyond.is_none() {
            let waiting = Waiting::new(&self.memory.waiting_for_beyond);
            self.beyond = Some(Arc::clone(&self.memory.beyond).lock_owned().await);
            drop(waiting);
        }
        self.permit.grow(more);
    }

    /// The reply is whole, and is its client's now; what it may have taken beyond the bound.
    pub(crate) fn finish(self) -> Option<Beyond> {
        self.beyond
    }
}

/// Counted for as long as it is there.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Closes clients that hold memory and do not read, while others wait for it. Ends with `stop`.
pub(crate) async fn close_stalled(
    memory: ReplyMemory,
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
        let (used, waiting) = (memory.budget.used(), memory.waiting());
        metrics.reply_bytes.set(used as i64);
        metrics.replies_waiting.set(waiting as i64);
        if waiting == 0 {
            holders = Holders::default();
            continue;
        }
        let seen = clients.all().into_iter().filter_map(|client| {
            let held = client.reply_bytes_held.load(Ordering::Relaxed);
            let taken = client.reply_bytes_taken.load(Ordering::Relaxed);
            (held > 0).then_some((client.id, held, taken))
        });
        let stalled = holders.stalled(Instant::now(), seen);
        if let Some(client) = stalled.and_then(|id| clients.get(id)) {
            tracing::warn!(
                client = client.id,
                addr = %client.addr,
                "closed: it does not read its replies, and others wait for their memory"
            );
            metrics.stalled_disconnections.inc();
            client.kill();
        }
    }
}

/// What clients that hold memory had read, and when.
#[derive(Debug, Default)]
struct Holders(BTreeMap<u64, (u64, Instant)>);

impl Holders {
    /// The one that holds most, of those that have read next to nothing for long. Clients are given
    /// as id, bytes held, and bytes read so far.
    fn stalled(
        &mut self,
        now: Instant,
        clients: impl Iterator<Item = (u64, usize, u64)>,
    ) -> Option<u64> {
        let mut seen = BTreeMap::new();
        let mut most = None;
        for (id, held, taken) in clients {
            let (before, since) = self.0.get(&id).copied().unwrap_or((taken, now));
            if taken.saturating_sub(before) >= TAKEN_BYTES_MIN {
                seen.insert(id, (taken, now));
                continue;
            }
            seen.insert(id, (before, since));
            if now.duration_since(since) >= STALLED_AFTER {
                most = most.max(Some((held, id)));
            }
        }
        self.0 = seen;
        most.map(|(_, id)| id)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn one_reply_at_a_time_goes_beyond_the_bound() {
        let memory = ReplyMemory::new(100, 0);
        let mut one = memory.gather(10).now_or_never().unwrap();
        let mut two = memory.gather(10).now_or_never().unwrap();
        one.reach(500).now_or_never().unwrap();
        assert_eq!(memory.budget.used(), 510);
        assert!(two.reach(90).now_or_never().is_none(), "not both");
        assert_eq!(memory.waiting(), 0, "it was given up");
        let mut reaching = Box::pin(two.reach(90));
        assert!((&mut reaching).now_or_never().is_none());
        assert_eq!(memory.waiting(), 1);
        let beyond = one.finish();
        assert!(
            (&mut reaching).now_or_never().is_none(),
            "it is not taken yet"
        );
        drop(beyond);
        reaching.now_or_never().unwrap();
        assert_eq!(memory.budget.used(), 90);
    }

    #[test]
    fn the_largest_of_those_that_do_not_read_is_closed() {
        let mut holders = Holders::default();
        let begin = Instant::now();
        let clients = |read| [(1, 500, 0), (2, 900, read), (3, 700, 9)].into_iter();
        assert_eq!(holders.stalled(begin, clients(0)), None);
        let later = begin + STALLED_AFTER;
        assert_eq!(holders.stalled(later, clients(TAKEN_BYTES_MIN)), Some(3));
        let later = later + STALLED_AFTER;
        assert_eq!(holders.stalled(later, clients(TAKEN_BYTES_MIN)), Some(2));
    }
}
