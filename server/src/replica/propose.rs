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
//! Frames that wait for data (`waiting`) are told of on their way into an entry. An entry with
//! frames that may bring data begins with their copies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use coterie_group::{Arrival, Body, Copy, Entry, ResolvedFrame, WaitId, is_put_off, resolve_frame};
use coterie_protocol::{Frame, FrameCommand, FrameFlags, Refusal, Stage, WaitHead};
use coterie_raft::{Group, PendingAnswer, ProposeError};
use coterie_rpc::Responder;
use coterie_types::varint;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::load::Timed;
use super::refusal::{refusal_of, refuse};
use super::shared::Shared;
use super::waiting::{Kept, Waiting, term_of};

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
/// Frames put off at a time, at most: new frames are gathered only when none of these waits.
const RETURNING_MAX: usize = ENTRIES_IN_FLIGHT * ENTRY_FRAMES_MAX;

/// The time of a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Due {
    /// When the proxy stops waiting.
    pub(crate) deadline: Instant,
    /// Set for a sampled frame: its time is counted.
    pub(crate) timed: Option<Timed>,
}

struct Pending {
    frame: Bytes,
    /// Records of keys that the frame names, fetched from another group.
    arrivals: Vec<Arrival>,
    due: Due,
    responder: Responder,
}

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

/// The rest of a proposed frame: its bytes are in the entry.
struct Sent {
    timed: Option<Timed>,
    to: To,
}

/// Who awaits a frame's answer.
enum To {
    Caller {
        responder: Responder,
        due: Due,
    },
    /// The frame may wait: `waiting` knows.
    Waiter(WaitId),
}

fn arrival_bytes(arrivals: &[Arrival]) -> usize {
    let bytes =
        |arrival: &Arrival| arrival.key.len() + arrival.record.as_ref().map_or(0, Bytes::len);
    arrivals.iter().map(bytes).sum()
}

struct Batcher {
    group: Group,
    shared: Arc<Shared>,
    waiting_frames: Arc<Waiting>,
    waiting: mpsc::Receiver<Pending>,
    put_off: mpsc::Sender<Pending>,
    /// The receiving end of `put_off`.
    returning: mpsc::Receiver<Pending>,
    queued_bytes: Arc<AtomicUsize>,
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
            let Some(Some(next)) = stop.run_until_cancelled(self.next()).await else {
                return;
            };
            let first = match next {
                Next::Frame(pending) => Some(pending),
                Next::Due => None,
            };
            let (body, sent) = self.gather(first).into_body();
            if sent.is_empty() {
                continue;
            }
            let entry = self.shared.entry(body);
            let proposing = self.group.start_proposal(entry.clone());
            let Some(proposal) = stop.run_until_cancelled(proposing).await else {
                return;
            };
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
    }

    /// The next frame for an entry: frames that were put off come first.
    async fn next(&mut self) -> Option<Next> {
        tokio::select! {
            biased;
            // Never `None`: its sender is in `self`.
            Some(pending) = self.returning.recv() => Some(Next::Frame(pending)),
            () = self.waiting_frames.wait_due() => Some(Next::Due),
            pending = self.waiting.recv() => pending.map(Next::Frame),
        }
    }

    fn try_next(&mut self) -> Option<Pending> {
        let returning = self.returning.try_recv();
        returning.or_else(|_| self.waiting.try_recv()).ok()
    }

    fn gather(&mut self, first: Option<Pending>) -> Gathered {
        let (mut gathered, mut bytes) = (Gathered::default(), 0);
        let now = Instant::now();
        let waiting_frames = Arc::clone(&self.waiting_frames);
        let term = term_of(&self.group);
        self.shared.note_term(term);
        let mut kept = waiting_frames.enter(term);
        gathered.add_copies(kept.waiters.take_due(ENTRY_FRAMES_MAX));
        let mut next = first.or_else(|| self.try_next());
        while let Some(pending) = next {
            bytes += pending.frame.len() + arrival_bytes(&pending.arrivals);
            // Its proxy gave it up: the proxy sends the frame again, or has told its client.
            if pending.due.deadline > now && !pending.responder.is_abandoned() {
                gathered.add(pending, &waiting_frames, &mut kept);
            }
            let full = gathered.frames.len() >= ENTRY_FRAMES_MAX || bytes >= ENTRY_BYTES_MAX;
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

/// A proposed entry, and the frames that wait for its answers.
struct Proposed {
    group: Group,
    shared: Arc<Shared>,
    waiting_frames: Arc<Waiting>,
    put_off: mpsc::Sender<Pending>,
    queued_bytes: Arc<AtomicUsize>,
    entry: Bytes,
    sent: Vec<Sent>,
}

impl Proposed {
    /// Waits for the entry's answer and hands each frame its part.
    async fn answer(self, proposal: Result<PendingAnswer, ProposeError>) {
        let answered = match proposal {
            Ok(pending) => pending.await.map_err(|error| self.group.with_term(error)),
            Err(error) => Err(error),
        };
        match answered {
            Ok(answers) => self.hand_out(answers),
            Err(error) => {
                let refusal = refusal_of(error);
                for sent in self.sent {
                    match sent.to {
                        To::Caller { responder, .. } => refuse(responder, refusal.clone()),
                        To::Waiter(id) => self.waiting_frames.refused(id, &refusal),
                    }
                }
                self.waiting_frames.flush();
            }
        }
    }

    fn hand_out(self, mut answers: Bytes) {
        let mut frames = None;
        let mut put_off = 0;
        let count = self.sent.len() as u64;
        let mut has_waiters = false;
        for (place, sent) in self.sent.into_iter().enumerate() {
            let answer = varint::take_bytes(&mut answers);
            let is_put_off = answer.as_ref().is_some_and(|answer| is_put_off(answer));
            if let Some(timed) = sent.timed.filter(|_| !is_put_off) {
                self.shared.loads.answered(timed);
            }
            put_off += u64::from(is_put_off);
            let (responder, due) = match sent.to {
                To::Caller { responder, due } => (responder, due),
                To::Waiter(id) => {
                    has_waiters = true;
                    match answer.filter(|_| !is_put_off) {
                        Some(answer) => self.waiting_frames.answered(id, &answer),
                        None => self.waiting_frames.put_off(id),
                    }
                    continue;
                }
            };
            let Some(answer) = answer else {
                responder.fail("the entry had fewer answers than frames");
                continue;
            };
            if !is_put_off {
                responder.send(answer);
                continue;
            }
            let frames = frames.get_or_insert_with(|| frames_of(&self.entry));
            let Some(frame) = frames.get(place).cloned() else {
                responder.fail("the entry had fewer frames than answers");
                continue;
            };
            let bytes = frame.len();
            self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
            let again = Pending {
                frame,
                // The entry has already written these to the store.
                arrivals: Vec::new(),
                due,
                responder,
            };
            // There is room, see `RETURNING_MAX`. If there is none, or the replica was stopped, the
            // proxy sends the frame again.
            if let Err(refused) = self.put_off.try_send(again) {
                self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
                refuse(refused.into_inner().responder, Refusal::Overloaded);
            }
        }
        if has_waiters {
            self.waiting_frames.flush();
        }
        let totals = [
            (&self.shared.writes_total, count - put_off),
            (&self.shared.put_off_total, put_off),
        ];
        for (total, count) in totals {
            total.fetch_add(count, Ordering::Relaxed);
        }
    }
}

/// The frames of an entry that was made here.
fn frames_of(entry: &Bytes) -> Vec<Bytes> {
    match Entry::decode(entry.clone()).map(|entry| entry.body) {
        Ok(Body::Frames(frames) | Body::Fetched { frames, .. }) => frames,
        _ => Vec::new(),
    }
}
