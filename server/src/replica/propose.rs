//! Gathers frames into entries: all that wait go into the next entry, up to a bound, while the
//! entries before it are being replicated. Batches grow by themselves under load; nothing waits
//! for company.
//!
//! Two entries are under way at most (measured: more gains nothing; one at a time costs a tenth of the
//! writes of 50 clients, and more CPU for each). The queue is bounded in frames
//! and bytes; what does not fit is refused as `Overloaded`, and the proxy sends it again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use coterie_group::{Arrival, Body};
use coterie_protocol::Refusal;
use coterie_raft::{Group, PendingAnswer, ProposeError};
use coterie_rpc::Responder;
use coterie_types::varint;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use super::{refusal_of, refuse};

/// Frames that wait at most.
const QUEUE_FRAMES_MAX: usize = 16 * 1024;
/// Bytes that wait at most; one frame more may make it.
const QUEUE_BYTES_MAX: usize = 64 << 20;
/// Frames of an entry at most.
const ENTRY_FRAMES_MAX: usize = 1024;
/// Bytes after which an entry takes no more frames.
const ENTRY_BYTES_MAX: usize = 256 << 10;
/// Entries proposed and not yet applied.
const ENTRIES_IN_FLIGHT: usize = 2;

struct Pending {
    frame: Bytes,
    /// Records of keys that the frame names, if they come from another group.
    arrivals: Vec<Arrival>,
    /// When the proxy stops waiting.
    deadline: Instant,
    responder: Responder,
}

/// Where frames that go through the log are handed in. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Proposer {
    queue: mpsc::Sender<Pending>,
    queued_bytes: Arc<AtomicUsize>,
}

impl Proposer {
    /// Starts the task that makes entries.
    pub(super) fn start(
        group: Group,
        shared: Arc<Shared>,
        stop: CancellationToken,
    ) -> (Self, JoinHandle<()>) {
        let (queue, waiting) = mpsc::channel(QUEUE_FRAMES_MAX);
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let batcher = Batcher {
            group,
            shared,
            waiting,
            queued_bytes: Arc::clone(&queued_bytes),
        };
        let task = tokio::spawn(batcher.run(stop));
        (
            Self {
                queue,
                queued_bytes,
            },
            task,
        )
    }

    /// Takes a frame and what has to be in the log before it, to be answered through `responder`.
    pub(crate) fn submit(
        &self,
        frame: Bytes,
        arrivals: Vec<Arrival>,
        deadline: Instant,
        responder: Responder,
    ) {
        let bytes = frame.len() + arrival_bytes(&arrivals);
        if self.queued_bytes.load(Ordering::Relaxed) > QUEUE_BYTES_MAX {
            return refuse(responder, Refusal::Overloaded);
        }
        self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Err(refused) = self.queue.try_send(Pending {
            frame,
            arrivals,
            deadline,
            responder,
        }) {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            refuse(refused.into_inner().responder, Refusal::Overloaded);
        }
    }
}

/// What goes into one entry.
#[derive(Default)]
struct Gathered {
    frames: Vec<Bytes>,
    arrivals: Vec<Arrival>,
    responders: Vec<Responder>,
}

fn arrival_bytes(arrivals: &[Arrival]) -> usize {
    let bytes =
        |arrival: &Arrival| arrival.key.len() + arrival.record.as_ref().map_or(0, Bytes::len);
    arrivals.iter().map(bytes).sum()
}

struct Batcher {
    group: Group,
    shared: Arc<Shared>,
    waiting: mpsc::Receiver<Pending>,
    queued_bytes: Arc<AtomicUsize>,
}

impl Batcher {
    async fn run(mut self, stop: CancellationToken) {
        let in_flight = Arc::new(Semaphore::new(ENTRIES_IN_FLIGHT));
        while let Some(Some(first)) = stop.run_until_cancelled(self.waiting.recv()).await {
            // What arrives while this waits is in the entry too.
            let permit = stop.run_until_cancelled(Arc::clone(&in_flight).acquire_owned());
            let Some(Ok(permit)) = permit.await else {
                return;
            };
            let Gathered {
                frames,
                arrivals,
                responders,
            } = self.gather(first);
            if frames.is_empty() {
                continue;
            }
            let body = match arrivals.is_empty() {
                true => Body::Frames(frames),
                false => Body::Fetched { arrivals, frames },
            };
            let entry = self.shared.entry(body);
            let proposing = self.group.start_proposal(entry);
            let Some(proposal) = stop.run_until_cancelled(proposing).await else {
                return;
            };
            let (group, shared) = (self.group.clone(), Arc::clone(&self.shared));
            tokio::spawn(async move {
                answer(&group, &shared, proposal, responders).await;
                drop(permit);
            });
        }
    }

    fn gather(&mut self, first: Pending) -> Gathered {
        let (mut gathered, mut bytes) = (Gathered::default(), 0);
        let now = Instant::now();
        let mut next = Some(first);
        while let Some(pending) = next {
            bytes += pending.frame.len() + arrival_bytes(&pending.arrivals);
            // Given up by its proxy: it sends the frame again, or has told its client.
            if pending.deadline > now && !pending.responder.is_abandoned() {
                gathered.frames.push(pending.frame);
                gathered.arrivals.extend(pending.arrivals);
                gathered.responders.push(pending.responder);
            }
            let full = gathered.frames.len() >= ENTRY_FRAMES_MAX || bytes >= ENTRY_BYTES_MAX;
            next = if full {
                None
            } else {
                self.waiting.try_recv().ok()
            };
        }
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        gathered
    }
}

/// Waits for an entry's answer and hands each frame its part.
async fn answer(
    group: &Group,
    shared: &Shared,
    proposal: Result<PendingAnswer, ProposeError>,
    responders: Vec<Responder>,
) {
    let answered = match proposal {
        Ok(pending) => pending.await.map_err(|error| group.with_term(error)),
        Err(error) => Err(error),
    };
    match answered {
        Ok(mut answers) => {
            shared
                .writes_total
                .fetch_add(responders.len() as u64, Ordering::Relaxed);
            for responder in responders {
                match varint::take_bytes(&mut answers) {
                    Some(reply) => responder.send(reply),
                    None => responder.fail("the entry had fewer answers than frames"),
                }
            }
        }
        Err(error) => {
            let refusal = refusal_of(error);
            for responder in responders {
                refuse(responder, refusal.clone());
            }
        }
    }
}
