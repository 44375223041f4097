//! Reads outside the log: under the leader's lease, after a read index, or on a follower.
//!
//! A read is served when every write acknowledged before its arrival is applied here
//! (`raft::lease`, `Group::read_barrier`). Short reads run where they arrive, frames of many
//! commands on a task of their own. Reads that walk an interval or read many keys run on a thread
//! of their own, since the disk may be slow. So do reads whose replies may be long, once there is
//! memory for these (`room`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_budget::Budget;
use coterie_group::{Body, ReadOutcome, ResolvedFrame, resolve_frame};
use coterie_protocol::{FrameFlags, Refusal};
use coterie_raft::{Group, ProposeError};
use coterie_redis_compat::{Fault, Resolved};
use coterie_rpc::Responder;
use coterie_storage::{Engine, Reader};
use coterie_types::varint;
use tokio::runtime::Handle;

use super::arriving_view::{ArrivingView, Source};
use super::load::Kind;
use super::refusal::{refusal_of, refuse};
use super::room::{Room, while_working};
use super::shared::{Published, Shared, seed};
use super::view::{NotingView, StoreView};
use crate::cpu_time::cpu_time;
use crate::peers::Peers;
use crate::scripts::{Scripts, Watch};

/// How a leader makes sure that it may serve a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ReadMode {
    /// By its lease, without a message. Relies on clocks that run at nearly the same speed.
    Lease,
    /// By asking a quorum, in a single round for all reads that wait. Relies on no clock.
    ReadIndex,
}

/// How long a follower waits until it has applied all that the leader has committed.
const FOLLOWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Frames with at least this many commands run on a task of their own. Shorter frames are run by
/// the task that reads the connection, in turn, on a single core.
const APART_COMMANDS: usize = 8;
/// Keys of a read that runs where it arrives, at most.
const SHORT_KEYS_MAX: usize = 64;

/// How often a short read is tried before it takes a snapshot: a try fails if a batch is written
/// meanwhile.
const TRIES: usize = 3;

/// Accepts reads. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reads {
    group: Group,
    shared: Arc<Shared>,
    peers: Peers,
    mode: ReadMode,
    /// Memory for long replies, of all replicas of the node.
    replies: Budget,
    scripts: Arc<Scripts>,
}

impl Reads {
    pub(super) fn new(
        group: Group,
        shared: Arc<Shared>,
        peers: Peers,
        mode: ReadMode,
        replies: Budget,
        scripts: Arc<Scripts>,
    ) -> Self {
        Self {
            group,
            shared,
            peers,
            mode,
            replies,
            scripts,
        }
    }

    /// Takes a frame of reads. The answer goes to `responder`.
    pub(crate) fn submit(&self, frame: Bytes, responder: Responder) {
        let frame = match resolve_frame(frame) {
            Ok(frame) => frame,
            Err(error) => {
                let reason = error.to_string();
                return refuse(responder, Refusal::Malformed { reason });
            }
        };
        let now = self.mode == ReadMode::Lease && self.group.lease_read_ready();
        let is_long = Room::is_needed(&frame);
        let is_apart = is_long || has_script(&frame);
        if now && !is_apart && is_short(&frame) && frame.commands.len() < APART_COMMANDS {
            match self.read(&frame, When::Now, Ask::Nobody) {
                Ok(Looked::Done(ReadOutcome::Reply(reply))) => return responder.send(reply),
                Ok(Looked::Done(ReadOutcome::NeedsTick) | Looked::NeedsThread) => {}
                Err(fault) => return self.failed(&fault, responder),
            }
        }
        let reads = self.clone();
        tokio::spawn(async move {
            let room = if is_long {
                Room::of(&frame, &reads.replies, &responder).await
            } else {
                Some(Room::default())
            };
            // Without room, the caller has given up.
            if let Some(room) = room {
                reads.answer(Arc::new(frame), now, room, responder).await;
            }
        });
    }

    async fn answer(
        &self,
        frame: Arc<ResolvedFrame>,
        allowed: bool,
        room: Room,
        responder: Responder,
    ) {
        match self.read_when_allowed(frame, allowed, &responder).await {
            Ok(reply) => room.send(reply, responder),
            Err(Refused::By(refusal)) => refuse(responder, refusal),
            Err(Refused::Fault(fault)) => self.failed(&fault, responder),
            Err(Refused::Abandoned) => {}
        }
    }

    async fn read_when_allowed(
        &self,
        frame: Arc<ResolvedFrame>,
        allowed: bool,
        responder: &Responder,
    ) -> Result<Bytes, Refused> {
        if !allowed {
            self.barrier(&frame).await?;
        }
        if let ReadOutcome::Reply(reply) = self.read_apart(&frame, When::Now, responder).await? {
            return Ok(reply);
        }
        // Read again at the committed clock, not at a later time: then a single tick is enough,
        // whatever expires meanwhile.
        self.tick().await?;
        match self
            .read_apart(&frame, When::AsCommitted, responder)
            .await?
        {
            ReadOutcome::Reply(reply) => Ok(reply),
            ReadOutcome::NeedsTick => Err(Refused::By(Refusal::Overloaded)),
        }
    }

    /// Reads. Long reads, and reads that need another group, run on a thread of their own.
    async fn read_apart(
        &self,
        frame: &Arc<ResolvedFrame>,
        when: When,
        responder: &Responder,
    ) -> Result<ReadOutcome, Refused> {
        if responder.is_abandoned() {
            return Err(Refused::Abandoned);
        }
        if is_short(frame)
            && !Room::is_needed(frame)
            && !has_script(frame)
            && let Looked::Done(outcome) = self
                .read(frame, when, Ask::Nobody)
                .map_err(Refused::Fault)?
        {
            return Ok(outcome);
        }
        let permit = if has_script(frame) {
            let permit = Arc::clone(&self.scripts.reads).acquire_owned();
            let permit = while_working(permit, responder).await;
            Some(permit.ok_or(Refused::Abandoned)?)
        } else {
            None
        };
        let (reads, frame) = (self.clone(), Arc::clone(frame));
        let given_up = GivenUp::default();
        let seen = given_up.clone();
        let task = tokio::task::spawn_blocking(move || {
            let looked = reads.read(&frame, when, Ask::Source(&seen));
            drop(permit);
            looked
        });
        let looked = while_working(task, responder).await;
        given_up.set();
        let looked = looked
            .ok_or(Refused::Abandoned)?
            .unwrap_or_else(|e| Err(Fault::new("run a read", e)));
        match looked.map_err(Refused::Fault)? {
            Looked::Done(outcome) => Ok(outcome),
            Looked::NeedsThread => Err(Refused::By(Refusal::Moving)),
        }
    }

    async fn barrier(&self, frame: &ResolvedFrame) -> Result<(), Refused> {
        let (leader, _) = self.group.leader();
        let passed = if frame.flags.has(FrameFlags::FOLLOWER_READ) && leader.is_some() {
            self.group.follower_read_barrier(FOLLOWER_TIMEOUT).await
        } else {
            self.group.read_barrier().await
        };
        passed.map_err(Refused::from)
    }

    /// Commits the clock, so that records that have expired for this leader have expired for all
    /// replicas. A follower cannot commit, so it refuses and the leader serves the read.
    async fn tick(&self) -> Result<(), Refused> {
        let entry = self.shared.entry(Body::Tick);
        self.group
            .propose(entry)
            .await
            .map(|_| ())
            .map_err(Refused::from)
    }

    fn read(&self, frame: &ResolvedFrame, when: When, ask: Ask<'_>) -> Result<Looked, Fault> {
        let is_turn = self.shared.loads.is_turn();
        let began = is_turn.then(|| (cpu_time(), Instant::now()));
        loop {
            let published = self.shared.published();
            let looked = self.read_as_of(&published, frame, when, ask)?;
            // A range that left meanwhile may have been cleared under the reader.
            if !self.shared.published().read.same_ownership(&published.read) {
                continue;
            }
            let Looked::Done(ReadOutcome::Reply(reply)) = &looked else {
                return Ok(looked);
            };
            let commands = executed(frame, reply);
            self.shared
                .reads_total
                .fetch_add(commands, Ordering::Relaxed);
            if let Some((cpu_before, began)) = began {
                let kind = Kind::Read(cpu_time().saturating_sub(cpu_before), began.elapsed());
                let ownership = published.read.ownership();
                self.shared.loads.add(ownership, frame, kind, reply.len());
            }
            return Ok(looked);
        }
    }

    fn read_as_of(
        &self,
        published: &Published,
        frame: &ResolvedFrame,
        when: When,
        ask: Ask<'_>,
    ) -> Result<Looked, Fault> {
        let now = match when {
            When::Now => self.shared.now(),
            When::AsCommitted => published.read.clock(),
        };
        let (engine, read) = (published.engine.as_ref(), &published.read);
        let needs_source = read.needs_source(frame);
        if !needs_source && needs_no_snapshot(frame) && !has_script(frame) {
            let look = |reader: &dyn Reader| {
                let view = NotingView::new(reader);
                let outcome = read.read(frame, &view, now, seed());
                (outcome, view.has_read_elements())
            };
            let mut looked = None;
            let is_unchanged = engine.read_unchanged(&mut |reader| looked = Some(look(reader)));
            let (outcome, has_elements) = looked.unwrap_or_else(|| look(engine));
            // A header and its elements must be of one state.
            if is_unchanged || !has_elements {
                return outcome.map(Looked::Done);
            }
        }
        let (mut outcome, mut missed) = (None, false);
        let mut look = |reader: &dyn Reader| {
            if let (true, Ask::Source(given_up)) = (has_script(frame), ask) {
                let source = Source {
                    peers: &self.peers,
                    runtime: Handle::current(),
                };
                let view = ArrivingView::new(reader, read.ownership(), Some(source));
                let mut watch = given_up.clone();
                outcome = Some(self.scripts.with_engine(None, &mut watch, |engine| {
                    read.read_scripts(frame, &view, (now, seed()), engine)
                }));
                missed = view.missed();
            } else if needs_source {
                let source = matches!(ask, Ask::Source(_)).then(|| Source {
                    peers: &self.peers,
                    runtime: Handle::current(),
                });
                let view = ArrivingView::new(reader, read.ownership(), source);
                outcome = Some(read.read(frame, &view, now, seed()));
                missed = view.missed();
            } else {
                outcome = Some(read.read(frame, &StoreView(reader), now, seed()));
            }
        };
        match ask {
            Ask::Source(_) => engine.read_consistently(&mut look),
            // A snapshot may have to wait for the lock of the write buffer.
            Ask::Nobody if (0..TRIES).any(|_| engine.read_unchanged(&mut look)) => {}
            Ask::Nobody => return Ok(Looked::NeedsThread),
        }
        if missed {
            return Ok(Looked::NeedsThread);
        }
        let none = || Err(Fault::corrupt("the store gave no view"));
        outcome.unwrap_or_else(none).map(Looked::Done)
    }

    fn failed(&self, fault: &Fault, responder: Responder) {
        tracing::error!(group_id = %self.group.id(), error = %fault, "read failed");
        responder.fail("the replica could not read its store");
    }
}

/// Number of executed commands of a frame: those with replies.
fn executed(frame: &ResolvedFrame, reply: &Bytes) -> u64 {
    match reply.first() {
        Some(0) if frame.flags.has(FrameFlags::TRANSACTION) => frame.commands.len() as u64,
        Some(0) => varint::take(&mut reply.slice(1..)).unwrap_or(0),
        // Refused.
        _ => 0,
    }
}

/// Which group to ask for records that have not arrived.
#[derive(Clone, Copy)]
enum Ask<'a> {
    /// Ask no other group and wait for no snapshot: this read must not block.
    Nobody,
    /// Ask the group that the keys come from. Scripts end when the read is given up.
    Source(&'a GivenUp),
}

/// Whether nobody waits for a read any more.
#[derive(Clone, Default)]
struct GivenUp(Arc<AtomicBool>);

impl GivenUp {
    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Watch for GivenUp {
    fn look(&mut self) -> Option<Refusal> {
        let is_given_up = self.0.load(Ordering::Relaxed);
        is_given_up.then_some(Refusal::Overloaded)
    }
}

/// Outcome of an attempt to read.
enum Looked {
    /// The read is complete.
    Done(ReadOutcome),
    /// The read may have to wait, for a snapshot or for the source of a range; or the source did
    /// not answer.
    NeedsThread,
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
    /// The caller has given up.
    Abandoned,
}

impl From<ProposeError> for Refused {
    fn from(error: ProposeError) -> Self {
        match error {
            // A read changes nothing, so it may be sent again whatever became of the tick.
            ProposeError::Unknown => Self::By(Refusal::Overloaded),
            other => Self::By(refusal_of(other)),
        }
    }
}

/// Whether every command reads a single key. Commands of a pipeline are ordered but need not see
/// one state, so no snapshot is needed, unless a key is a spread collection. A transaction needs
/// one.
fn needs_no_snapshot(frame: &ResolvedFrame) -> bool {
    !frame.flags.has(FrameFlags::TRANSACTION) && frame.commands.iter().all(Resolved::has_one_key)
}

/// Whether the frame reads few keys and walks no interval.
fn is_short(frame: &ResolvedFrame) -> bool {
    let words = frame.commands.iter().map(|command| command.args().len());
    words.sum::<usize>() <= 2 * SHORT_KEYS_MAX && !frame.commands.iter().any(Resolved::is_interval)
}

/// Whether the frame runs a script.
fn has_script(frame: &ResolvedFrame) -> bool {
    frame.flags.has(FrameFlags::SCRIPTS)
}
