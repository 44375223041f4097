//! Closes clients that hold memory (`client_memory`) and neither read nor send, while others wait
//! for it, as Redis closes clients when `maxmemory-clients` is reached.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::client_memory::{ClientMemory, SHORT_BYTES};
use crate::clients::{Client, Clients};
use crate::metrics::Metrics;

/// How often to check whether somebody waits for memory.
const PERIOD: Duration = Duration::from_millis(500);
/// A client may be closed after others have waited for this long, if it has read or sent less than
/// `MOVED_BYTES_MIN` in that time.
const STALLED_AFTER: Duration = Duration::from_secs(4);
const MOVED_BYTES_MIN: u64 = 64 << 10;

/// The use of a memory: each has a [`ClientMemory`] of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Use {
    Replies,
    Requests,
}

impl Use {
    /// Bytes that a client holds and would give back by making progress, and the bytes that it has
    /// moved so far.
    fn of(self, client: &Client) -> (usize, u64) {
        let (held, moved, pushed) = match self {
            Use::Replies => (
                &client.reply_bytes_held,
                &client.reply_bytes_taken,
                client.pushes.bytes(),
            ),
            Use::Requests => (&client.request_bytes_held, &client.request_bytes_sent, 0),
        };
        // A short queue is no reason to close a client.
        let pushed = if pushed > SHORT_BYTES { pushed } else { 0 };
        let held = held.load(Ordering::Relaxed) + pushed;
        (held, moved.load(Ordering::Relaxed))
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
    use super::*;

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
