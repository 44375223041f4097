//! Reads outside the log: under the leader's lease, after a read index, or on a follower.
//!
//! A read is served when everything acknowledged before it arrived is applied here (`raft::lease`,
//! `Group::read_barrier`). Short reads run where they arrive; those that walk an interval, or read
//! many keys, run on a thread of their own, as the disk may be slow.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use coterie_group::{Body, ReadOutcome};
use coterie_protocol::{Frame, FrameFlags, Refusal};
use coterie_raft::{Group, ProposeError};
use coterie_redis_compat::{Fault, Keys, resolve};
use coterie_rpc::Responder;
use coterie_storage::Engine;

use super::shared::{Shared, seed};
use super::view::StoreView;
use super::{refusal_of, refuse};

/// How a leader makes sure that it may serve a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ReadMode {
    /// By its lease: no message. Rests on clocks that run at nearly the same speed.
    Lease,
    /// By asking a quorum, one round for all reads that wait: rests on no clock.
    ReadIndex,
}

/// How long a follower waits to have applied what the leader has.
const FOLLOWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Keys of a read that runs where it arrives, at most.
const SHORT_KEYS_MAX: usize = 64;

/// Where reads are handed in. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reads {
    group: Group,
    shared: Arc<Shared>,
    mode: ReadMode,
}

impl Reads {
    pub(super) fn new(group: Group, shared: Arc<Shared>, mode: ReadMode) -> Self {
        Self {
            group,
            shared,
            mode,
        }
    }

    /// Takes a frame of reads, to be answered through `responder`.
    pub(crate) fn submit(&self, frame: Frame, responder: Responder) {
        let now = self.mode == ReadMode::Lease && self.group.lease_read_ready();
        if now && is_short(&frame) {
            match self.read(&frame, When::Now) {
                Ok(ReadOutcome::Reply(reply)) => return responder.send(reply),
                Ok(ReadOutcome::NeedsTick) => {}
                Err(fault) => return self.failed(&fault, responder),
            }
        }
        let reads = self.clone();
        tokio::spawn(async move {
            match reads.read_when_allowed(Arc::new(frame), now).await {
                Ok(reply) => responder.send(reply),
                Err(Refused::By(refusal)) => refuse(responder, refusal),
                Err(Refused::Fault(fault)) => reads.failed(&fault, responder),
            }
        });
    }

    async fn read_when_allowed(
        &self,
        frame: Arc<Frame>,
        allowed: bool,
    ) -> Result<bytes::Bytes, Refused> {
        if !allowed {
            self.barrier(&frame).await?;
        }
        if let ReadOutcome::Reply(reply) = self.read_apart(&frame, When::Now).await? {
            return Ok(reply);
        }
        // Read again as of the clock that was committed, not of a later one: one tick is enough,
        // whatever expires meanwhile.
        self.tick().await?;
        match self.read_apart(&frame, When::AsCommitted).await? {
            ReadOutcome::Reply(reply) => Ok(reply),
            ReadOutcome::NeedsTick => Err(Refused::By(Refusal::Overloaded)),
        }
    }

    /// Reads; what takes long, on a thread of its own.
    async fn read_apart(&self, frame: &Arc<Frame>, when: When) -> Result<ReadOutcome, Refused> {
        let outcome = if is_short(frame) {
            self.read(frame, when)
        } else {
            let (reads, frame) = (self.clone(), Arc::clone(frame));
            let task = tokio::task::spawn_blocking(move || reads.read(&frame, when));
            task.await
                .unwrap_or_else(|e| Err(Fault::new("run a read", e)))
        };
        outcome.map_err(Refused::Fault)
    }

    async fn barrier(&self, frame: &Frame) -> Result<(), Refused> {
        let (leader, _) = self.group.leader();
        let passed = if frame.flags.has(FrameFlags::FOLLOWER_READ) && leader.is_some() {
            self.group.follower_read_barrier(FOLLOWER_TIMEOUT).await
        } else {
            self.group.read_barrier().await
        };
        passed.map_err(Refused::from)
    }

    /// Commits the clock, so that what has expired for this leader has expired for all. A follower
    /// cannot: the read is the leader's then.
    async fn tick(&self) -> Result<(), Refused> {
        let entry = self.shared.entry(Body::Tick);
        self.group
            .propose(entry)
            .await
            .map(|_| ())
            .map_err(Refused::from)
    }

    fn read(&self, frame: &Frame, when: When) -> Result<ReadOutcome, Fault> {
        let published = self.shared.published();
        let now = match when {
            When::Now => self.shared.now(),
            When::AsCommitted => published.read.clock(),
        };
        let outcome = if is_one_key(frame) {
            published
                .read
                .read(frame, &StoreView(published.engine.as_ref()), now, seed())
        } else {
            let mut outcome = None;
            published.engine.read_consistently(&mut |reader| {
                outcome = Some(published.read.read(frame, &StoreView(reader), now, seed()));
            });
            outcome.unwrap_or_else(|| Err(Fault::corrupt("the store gave no view")))
        };
        let commands = frame.commands.len() as u64;
        self.shared
            .reads_total
            .fetch_add(commands, Ordering::Relaxed);
        outcome
    }

    fn failed(&self, fault: &Fault, responder: Responder) {
        tracing::error!(group_id = %self.group.id(), error = %fault, "read failed");
        responder.fail("the replica could not read its store");
    }
}

/// The clock of a read.
#[derive(Clone, Copy)]
enum When {
    /// The leader's.
    Now,
    /// That of the last applied entry.
    AsCommitted,
}

enum Refused {
    By(Refusal),
    Fault(Fault),
}

impl From<ProposeError> for Refused {
    fn from(error: ProposeError) -> Self {
        match error {
            // A read changes nothing: whatever became of the tick, it may be sent again.
            ProposeError::Unknown => Self::By(Refusal::Overloaded),
            other => Self::By(refusal_of(other)),
        }
    }
}

fn is_one_key(frame: &Frame) -> bool {
    let [command] = frame.commands.as_slice() else {
        return false;
    };
    resolve(&command.args).is_ok_and(|row| matches!(row.keys, Keys::One(_)))
}

/// Whether it reads few keys, and walks no interval.
fn is_short(frame: &Frame) -> bool {
    let walks = |args: &[bytes::Bytes]| {
        resolve(args).is_ok_and(|row| matches!(row.keys, Keys::Interval { .. }))
    };
    let words: usize = frame
        .commands
        .iter()
        .map(|command| command.args.len())
        .sum();
    words <= 2 * SHORT_KEYS_MAX && !frame.commands.iter().any(|command| walks(&command.args))
}
