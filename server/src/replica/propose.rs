//! Gathers frames into entries. While earlier entries are being replicated, frames wait; then all
//! of them go into the next entry, up to a bound. So batches grow under load, and no frame waits
//! for company.
//!
//! At most two entries are in flight. Measured: more gain nothing; with a single entry 50 clients
//! lose a tenth of their writes, and each write costs more CPU. The queue is bounded in frames and
//! bytes; a frame that does not fit is refused as `Overloaded`, and the proxy sends it again.
//!
//! When an entry has no room left for a frame's changes, applying puts the frame off. The frame
//! comes back here and goes first into the next entry; its client notices only the delay. New
//! frames wait until these have been proposed, so the frames put off are at most those of two
//! entries.
//!
//! Frames with scripts (`scripting`) run between entries, when all that was proposed is applied.
//!
//! Frames that wait for data (`waiting`) are told of on their way into an entry. An entry with
//! frames that may bring data begins with their copies.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use coterie_group::{Arrival, Body, Copy, ResolvedFrame, has_scripts, resolve_frame};
use coterie_protocol::{Frame, FrameCommand, FrameFlags, Refusal, Stage, WaitHead};
use coterie_raft::Group;
use coterie_rpc::Responder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::answers::Proposed;
use super::pending::{Due, Pending, Sent, To, arrival_bytes};
use super::refusal::refuse;
use super::shared::Shared;
use super::waiting::{Kept, Waiting, term_of};
use crate::disk::Disk;
use crate::scripts::Scripts;

/// Frames in the queue, at most.
const QUEUE_FRAMES_MAX: usize = 16 * 1024;
/// Bytes in the queue, at most; the last frame may exceed it.
const QUEUE_BYTES_MAX: usize = 64 << 20;
/// Frames in an entry, at most.
const ENTRY_FRAMES_MAX: usize = 1024;
/// Bytes after which an entry takes no more frames.
const ENTRY_BYTES_MAX: usize = 256 << 10;
/// Entries proposed and not yet applied, at most.
const ENTRIES_IN_FLIGHT: usize = 2;
/// Frames with scripts that wait for a run, at most.
const SCRIPT_FRAMES_MAX: usize = 2 * ENTRY_FRAMES_MAX;
/// Frames put off at a time, at most: new frames are gathered only when none of these waits.
const RETURNING_MAX: usize = ENTRIES_IN_FLIGHT * ENTRY_FRAMES_MAX;

/// Accepts frames that go through the log. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Proposer {
    queue: mpsc::Sender<Pending>,
    queued_bytes: Arc<AtomicUsize>,
}

impl Proposer {
    /// Starts the task that proposes entries.
    pub(super) fn start(
        group: Group,
        shared: Arc<Shared>,
        waiting_frames: Arc<Waiting>,
        (scripts, disk): (Arc<Scripts>, Arc<Disk>),
        stop: CancellationToken,
    ) -> (Self, JoinHandle<()>) {
        let (queue, waiting) = mpsc::channel(QUEUE_FRAMES_MAX);
        let (put_off, returning) = mpsc::channel(RETURNING_MAX);
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let batcher = Batcher {
            group,
            shared,
            waiting_frames,
            waiting,
            put_off,
            returning,
            queued_bytes: Arc::clone(&queued_bytes),
            scripts,
            disk,
            script_frames: VecDeque::new(),
            held: VecDeque::new(),
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

    /// Takes a frame and the records that must precede it in the log. The answer goes to
    /// `responder`.
    pub(crate) fn submit(
        &self,
        frame: Bytes,
        arrivals: Vec<Arrival>,
        due: Due,
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
            due,
            responder,
            reruns: 0,
        }) {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            refuse(refused.into_inner().responder, Refusal::Overloaded);
        }
    }
}

/// The contents of an entry, and the responders of its frames.
#[derive(Default)]
struct Gathered {
    frames: Vec<Bytes>,
    arrivals: Vec<Arrival>,
    sent: Vec<Sent>,
}

impl Gathered {
    /// Adds a frame, and the copies of frames that wait for what it may bring.
    fn add(&mut self, pending: Pending, waiting: &Waiting, kept: &mut Kept) {
        let Pending {
            mut frame,
            arrivals,
            due,
            responder,
            ..
        } = pending;
        let head = WaitHead::of(&frame);
        if let Some(head) = head.filter(|head| head.wait.stage == Stage::Withdrawn) {
            // Its owner has left. Copies on their way are answered to nobody.
            drop(kept.waiters.remove((head.session, head.seq)));
        }
        let timed = due.timed;
        let to = match head.filter(|head| head.wait.stage != Stage::Withdrawn) {
            None => To::Caller { responder, due },
            Some(head) => match waiting.begin(kept, &frame, &head, responder) {
                Ok(id) => To::Waiter(id),
                Err(responder) => return refuse(responder, Refusal::Overloaded),
            },
        };
        if !kept.waiters.is_empty() {
            note(&mut frame, kept);
        }
        self.frames.push(frame);
        self.arrivals.extend(arrivals);
        self.sent.push(Sent { timed, to });
    }

    /// Puts copies before all frames.
    fn add_copies(&mut self, copies: Vec<Copy>) {
        if copies.is_empty() {
            return;
        }
        let sent = |copy: &Copy| Sent {
            timed: None,
            to: To::Waiter(copy.id),
        };
        let sent: Vec<Sent> = copies.iter().map(sent).collect();
        self.sent.splice(0..0, sent);
        let frames = copies.into_iter().map(|copy| copy.frame);
        self.frames.splice(0..0, frames);
    }

    fn into_body(self) -> (Body, Vec<Sent>) {
        let (frames, arrivals) = (self.frames, self.arrivals);
        let body = if arrivals.is_empty() {
            Body::Frames(frames)
        } else {
            Body::Fetched { arrivals, frames }
        };
        (body, self.sent)
    }
}

/// Notes a frame for those who wait for its keys. A pipeline is cut behind the first command that
/// others wait for, as they come before the next; its proxy sends the rest again.
fn note(frame: &mut Bytes, kept: &mut Kept) {
    // A frame that cannot be decoded is refused when its entry is applied.
    let Ok(mut decoded) = resolve_frame(frame.clone()) else {
        return;
    };
    if !decoded.flags.has(FrameFlags::TRANSACTION)
        && let Some(count) = kept.waiters.cut(&decoded)
    {
        decoded.commands.truncate(count);
        *frame = encoded(&decoded);
    }
    kept.waiters.note(&decoded);
}

fn encoded(frame: &ResolvedFrame) -> Bytes {
    let commands = frame.commands.iter().map(|command| FrameCommand {
        table: command.table(),
        args: command.args().to_vec(),
    });
    let frame = Frame {
        flags: frame.flags,
        session: frame.session,
        seq: frame.seq,
        acknowledged_below: frame.acknowledged_below,
        reply_room: frame.reply_room,
        wait: frame.wait,
        watches: frame.watches.clone(),
        commands: commands.collect(),
    };
    let mut out = BytesMut::new();
    frame.encode(&mut out);
    out.freeze()
}

pub(super) struct Batcher {
    pub(super) group: Group,
    pub(super) shared: Arc<Shared>,
    pub(super) waiting_frames: Arc<Waiting>,
    waiting: mpsc::Receiver<Pending>,
    put_off: mpsc::Sender<Pending>,
    /// The receiving end of `put_off`.
    returning: mpsc::Receiver<Pending>,
    queued_bytes: Arc<AtomicUsize>,
    pub(super) scripts: Arc<Scripts>,
    pub(super) disk: Arc<Disk>,
    /// Frames with scripts, which run when all that was proposed is applied (`scripting`).
    pub(super) script_frames: VecDeque<Pending>,
    /// Frames that have left the queue while scripts ran for long.
    held: VecDeque<Pending>,
}

impl Batcher {
    async fn run(mut self, stop: CancellationToken) {
        let in_flight = Arc::new(Semaphore::new(ENTRIES_IN_FLIGHT));
        loop {
            // Before the first frame is taken: a frame that is put off meanwhile becomes the first
            // of the entry, and the first is always executed. Frames that arrive meanwhile join the
            // entry, too.
            let permit = stop.run_until_cancelled(Arc::clone(&in_flight).acquire_owned());
            let Some(Ok(permit)) = permit.await else {
                return;
            };
            let first = if self.script_frames.is_empty() {
                match stop.run_until_cancelled(self.next()).await {
                    Some(Some(Next::Frame(pending))) => Some(pending),
                    Some(Some(Next::Due)) => None,
                    None | Some(None) => return,
                }
            } else {
                None
            };
            let (body, sent) = self.gather(first).into_body();
            if sent.is_empty() {
                drop(permit);
            } else if stop
                .run_until_cancelled(self.propose(body, sent, permit))
                .await
                .is_none()
            {
                return;
            }
            if !self.script_frames.is_empty() {
                let permits = ENTRIES_IN_FLIGHT as u32;
                let all = Arc::clone(&in_flight).acquire_many_owned(permits);
                let Some(Ok(_all)) = stop.run_until_cancelled(all).await else {
                    return;
                };
                if stop.run_until_cancelled(self.run_scripts()).await.is_none() {
                    return;
                }
            }
        }
    }

    /// Proposes an entry. The permit is held until it is answered.
    async fn propose(&self, body: Body, sent: Vec<Sent>, permit: OwnedSemaphorePermit) {
        let entry = self.shared.entry(body);
        let proposal = self.group.start_proposal(entry.clone()).await;
        let proposed = Proposed {
            group: self.group.clone(),
            shared: Arc::clone(&self.shared),
            waiting_frames: Arc::clone(&self.waiting_frames),
            put_off: self.put_off.clone(),
            queued_bytes: Arc::clone(&self.queued_bytes),
            entry,
            sent,
        };
        tokio::spawn(async move {
            proposed.answer(proposal).await;
            drop(permit);
        });
    }

    /// Frames with scripts, for a run. Those that were given up are dropped.
    pub(super) fn take_scripts(&mut self) -> Vec<Pending> {
        let count = self.script_frames.len().min(ENTRY_FRAMES_MAX);
        let taken: Vec<Pending> = self.script_frames.drain(..count).collect();
        let bytes = taken.iter().map(Pending::bytes).sum();
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        let wanted = taken.into_iter().filter(|pending| !pending.is_given_up());
        wanted.collect()
    }

    /// Puts frames with scripts back before the others.
    pub(super) fn return_scripts(&mut self, mut frames: VecDeque<Pending>) {
        let bytes = frames.iter().map(Pending::bytes).sum();
        self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        frames.append(&mut self.script_frames);
        self.script_frames = frames;
    }

    /// Takes the frames of the queue out of it, as far as there is room, and tells the proxies of
    /// all frames that wait that they are not forgotten.
    pub(super) fn reassure_waiting(&mut self) {
        while self.held.len() < QUEUE_FRAMES_MAX
            && let Ok(pending) = self.waiting.try_recv()
        {
            self.held.push_back(pending);
        }
        for pending in self.held.iter().chain(&self.script_frames) {
            pending.responder.working();
        }
    }

    /// Refuses all frames that wait for an entry, but for those that wait for data or end that.
    pub(super) fn refuse_waiting(&mut self, refusal: &Refusal) {
        let mut kept = VecDeque::new();
        while let Some(pending) = self.script_frames.pop_front().or_else(|| self.try_next()) {
            if WaitHead::of(&pending.frame).is_some() {
                kept.push_back(pending);
                continue;
            }
            self.queued_bytes
                .fetch_sub(pending.bytes(), Ordering::Relaxed);
            refuse(pending.responder, refusal.clone());
        }
        self.held = kept;
    }

    /// The next frame for an entry: frames that were put off come first.
    async fn next(&mut self) -> Option<Next> {
        if !self.held.is_empty() {
            return self.try_next().map(Next::Frame);
        }
        tokio::select! {
            biased;
            // Never `None`: its sender is in `self`.
            Some(pending) = self.returning.recv() => Some(Next::Frame(pending)),
            () = self.waiting_frames.wait_due() => Some(Next::Due),
            pending = self.waiting.recv() => pending.map(Next::Frame),
        }
    }

    fn try_next(&mut self) -> Option<Pending> {
        let returning = self.returning.try_recv().ok();
        let held = returning.or_else(|| self.held.pop_front());
        held.or_else(|| self.waiting.try_recv().ok())
    }

    fn gather(&mut self, first: Option<Pending>) -> Gathered {
        let (mut gathered, mut bytes) = (Gathered::default(), 0);
        let waiting_frames = Arc::clone(&self.waiting_frames);
        let mut kept = waiting_frames.enter(term_of(&self.group));
        gathered.add_copies(kept.waiters.take_due(ENTRY_FRAMES_MAX));
        let mut next = first.or_else(|| self.try_next());
        let mut scripts = self.script_frames.len();
        while let Some(pending) = next {
            if !has_scripts(&pending.frame) {
                bytes += pending.bytes();
                if !pending.is_given_up() {
                    gathered.add(pending, &waiting_frames, &mut kept);
                }
            } else if scripts < SCRIPT_FRAMES_MAX {
                scripts += 1;
                self.script_frames.push_back(pending);
            } else {
                bytes += pending.bytes();
                refuse(pending.responder, Refusal::Overloaded);
            }
            let full = gathered.frames.len() >= ENTRY_FRAMES_MAX
                || bytes >= ENTRY_BYTES_MAX
                || scripts >= SCRIPT_FRAMES_MAX;
            next = if full { None } else { self.try_next() };
        }
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        gathered.add_copies(kept.waiters.take_listening());
        gathered
    }
}

/// What the next entry begins with.
enum Next {
    Frame(Pending),
    /// A frame that waits for data.
    Due,
}
