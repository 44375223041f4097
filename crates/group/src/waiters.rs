//! The frames that wait for data at the leader of a group, first come, first served.
//!
//! A frame that waits is executed when it comes, as the write that it is. From that moment it is
//! here, before anyone knows whether it found anything. When a later entry has a frame that may
//! bring data for it, the entry begins with a copy of it that *listens*
//! ([`Waiters::take_listening`]): applying the entry serves the copies right behind the frame that
//! brought data, before any other command, in their order (`apply/listening.rs`). A copy has the
//! number of its frame, so the frame is applied once, however many copies there are. A copy that
//! finds nothing leaves no trace.
//!
//! Commands that take data compete in a queue per key ([`WaitQueue`]). As many of a queue listen as
//! the frames of the entry may bring data for, and all before them whose copies are still on their
//! way. When only the data can tell how many there are, the first few listen; as long as they are
//! served, the next are *due*: they are executed first in the next entry.
//!
//! Pure: the caller says when a wait began, and keeps with each frame what it needs to answer it.
//! Nothing here is replicated. When the leader changes, proxies send their frames again.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use coterie_protocol::{FrameReply, Stage, WaitHead};
use coterie_redis_compat::{Resolved, Touch, WaitQueue};
use coterie_types::{FrameSeq, SessionId, TableId};

use crate::frame::{ResolvedFrame, resolve_frame};

/// Frames that wait, at most.
const FRAMES_MAX: usize = 1 << 20;
/// Bytes of the frames that wait, at most, with what it takes to keep them.
const BYTES_MAX: usize = 512 << 20;
/// Bytes that it takes to keep a frame, apart from its own and its keys.
const OVERHEAD: usize = 512;
/// Frames of a queue that are tried at a time when only the data can tell how many it suffices for.
const TRIED: usize = 16;
/// Frames of a queue that listen in an entry, at most. The others are due.
const LISTENING_MAX: usize = 1024;

/// Names a frame: its session and its number.
pub type WaitId = (SessionId, FrameSeq);

/// When a wait began, and how many began before: the order within a queue.
type Turn = (u64, u64);

pub(crate) type Place = (TableId, Bytes);

/// The frames that wait; see the module's head. `O` answers a frame.
#[derive(Debug)]
pub struct Waiters<O> {
    frames: BTreeMap<WaitId, Waiter<O>>,
    keys: BTreeMap<Place, BTreeMap<WaitQueue, BTreeMap<Turn, WaitId>>>,
    /// They go first into the next entry.
    due: BTreeSet<(Turn, WaitId)>,
    /// The keys that the entry in the making touches.
    touched: Vec<(Place, Touch)>,
    /// The frames that the entry in the making executes.
    entered: BTreeSet<WaitId>,
    arrivals: u64,
    bytes: usize,
    /// Nobody would take the answer for this owner.
    is_gone: fn(&O) -> bool,
}

#[derive(Debug)]
struct Waiter<O> {
    /// As a frame that has waited.
    bytes: Bytes,
    command: Resolved,
    queue: WaitQueue,
    keys: Vec<Place>,
    turn: Turn,
    owner: O,
    /// It came as a new command, and has not been executed yet.
    is_new: bool,
    /// It has found nothing at least once.
    is_tried: bool,
    /// Copies on their way through the log, and the frame itself as it came.
    copies: usize,
    /// If it is served, the next of its queue is tried.
    is_chained: bool,
}

/// A frame for the next entry, and the wait that its answer is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// The wait.
    pub id: WaitId,
    /// The frame.
    pub frame: Bytes,
}

impl<O> Waiters<O> {
    /// No frame waits. A frame whose owner `is_gone` is forgotten instead of being served.
    #[must_use]
    pub fn new(is_gone: fn(&O) -> bool) -> Self {
        Self {
            frames: BTreeMap::new(),
            keys: BTreeMap::new(),
            due: BTreeSet::new(),
            touched: Vec::new(),
            entered: BTreeSet::new(),
            arrivals: 0,
            bytes: 0,
            is_gone,
        }
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether any goes first into the next entry.
    #[must_use]
    pub fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Takes a frame that is about to be executed for the first time, or again after it came anew.
    /// Waits are ordered by `began_ms`, whatever it counts from.
    ///
    /// Returns the owner where the frame cannot wait: it is not a single command that may, or there
    /// are too many. A frame that came anew replaces the owner and keeps its place.
    pub fn begin(&mut self, frame: &Bytes, began_ms: u64, owner: O) -> Result<WaitId, O> {
        let Some(head) = WaitHead::of(frame) else {
            return Err(owner);
        };
        let id = (head.session, head.seq);
        if let Some(waiter) = self.frames.get_mut(&id) {
            waiter.owner = owner;
            waiter.copies += 1;
            self.entered.insert(id);
            return Ok(id);
        }
        // A copy, so that a few bytes do not keep the buffer they were read into.
        let bytes = head.staged(frame, Stage::Waited);
        let Some((command, queue)) = command_of(bytes.clone()) else {
            return Err(owner);
        };
        let mut keys: Vec<Place> = Vec::new();
        command.visit_keys(&mut |table, key| keys.push((table, key.clone())));
        let cost = cost(&bytes, &keys);
        if self.frames.len() >= FRAMES_MAX || self.bytes.saturating_add(cost) > BYTES_MAX {
            return Err(owner);
        }
        self.bytes += cost;
        self.arrivals += 1;
        let turn = (began_ms, self.arrivals);
        for key in &keys {
            let queues = self.keys.entry(key.clone()).or_default();
            queues.entry(queue.clone()).or_default().insert(turn, id);
        }
        let waiter = Waiter {
            bytes,
            command,
            queue,
            keys,
            turn,
            owner,
            is_new: head.wait.stage == Stage::First,
            is_tried: false,
            copies: 1,
            is_chained: false,
        };
        self.frames.insert(id, waiter);
        self.entered.insert(id);
        Ok(id)
    }

    /// Notes a frame of the entry in the making, which may wait itself.
    pub fn note(&mut self, frame: &ResolvedFrame) {
        for command in &frame.commands {
            self.touched.extend(touched(command));
            if let Some(interval) = command.interval().filter(|_| command.is_write()) {
                let of_interval = |place: &&Place| interval.contains(place.0, &place.1);
                let places = self.keys.keys().filter(of_interval).cloned();
                let removed = places.map(|place| (place, Touch::Removes));
                self.touched.extend(removed);
            }
        }
    }

    /// Ends the entry in the making: the copies that listen, which must stand before all other
    /// frames, in their order. A copy may feed another key that is waited for (BLMOVE): then those
    /// who wait for that key listen, too.
    pub fn take_listening(&mut self) -> Vec<Copy> {
        let mut listening = BTreeSet::new();
        let mut touched_keys = std::mem::take(&mut self.touched);
        while !touched_keys.is_empty() {
            let mut wanted: BTreeMap<Place, Vec<Touch>> = BTreeMap::new();
            for (place, touch) in touched_keys.drain(..) {
                wanted.entry(place).or_default().push(touch);
            }
            for (place, touches) in wanted {
                for id in self.listen(&place, &touches, &mut listening) {
                    let waiter = self.frames.get(&id);
                    touched_keys.extend(waiter.into_iter().flat_map(|w| touched(&w.command)));
                }
            }
        }
        self.entered.clear();
        let ids: Vec<WaitId> = listening.into_iter().map(|(_, id)| id).collect();
        for id in &ids {
            if let Some(waiter) = self.frames.get_mut(id) {
                waiter.copies += 1;
            }
        }
        self.copies_of(&ids, Some(Stage::Listening))
    }

    /// How many commands of a frame may be executed before copies must follow; `None` for all of
    /// them. A pipeline is cut there, and its proxy sends the rest again.
    #[must_use]
    pub fn cut(&self, frame: &ResolvedFrame) -> Option<usize> {
        let last = frame.commands.len().checked_sub(1)?;
        let wakes = |command: &Resolved| {
            let mut wakes = false;
            command.visit_touched(&mut |table, key, touch| {
                let queues = self.keys.get(&(table, key.clone()));
                let mut queues = queues.into_iter().flat_map(|queues| queues.keys());
                wakes |= queues.any(|queue| is_woken(queue, touch));
            });
            wakes
        };
        let at = frame.commands[..last].iter().position(wakes)?;
        Some(at + 1)
    }

    /// The frames that are executed first in an entry, at most this many.
    pub fn take_due(&mut self, most: usize) -> Vec<Copy> {
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some((_, id)) = self.due.pop_first()
        {
            let Some(waiter) = self.frames.get_mut(&id) else {
                continue;
            };
            if (self.is_gone)(&waiter.owner) {
                drop(self.forget(id));
                continue;
            }
            waiter.copies += 1;
            self.touched.extend(touched(&waiter.command));
            self.entered.insert(id);
            taken.push(id);
        }
        self.copies_of(&taken, None)
    }

    /// Whether a frame waits for this key.
    #[must_use]
    pub fn is_waited_for(&self, table: TableId, key: &Bytes) -> bool {
        self.keys.contains_key(&(table, key.clone()))
    }

    /// A key may have changed by something that is no frame: the first of each queue are due.
    pub fn touch(&mut self, table: TableId, key: &Bytes) {
        let place = (table, key.clone());
        let Some(queues) = self.keys.get(&place) else {
            return;
        };
        let queues: Vec<WaitQueue> = queues.keys().cloned().collect();
        for queue in queues {
            self.wake(&place, &queue);
        }
    }

    /// Makes the frames due whose command this holds for.
    pub fn make_due(&mut self, is_due: impl Fn(&Resolved) -> bool) {
        for (id, waiter) in &self.frames {
            if is_due(&waiter.command) {
                self.due.insert((waiter.turn, *id));
            }
        }
    }

    /// Handles the answer of a copy, or of the frame itself. Returns the owner if the wait is over;
    /// of a frame that waits on, the owner stays here.
    pub fn answered(&mut self, id: WaitId, answer: &[u8]) -> Answered<'_, O> {
        let Some(waiter) = self.frames.get_mut(&id) else {
            // Another copy was answered before.
            return Answered::Known;
        };
        waiter.copies = waiter.copies.saturating_sub(1);
        if !FrameReply::is_waits(answer) {
            return self.end(id, answer);
        }
        waiter.is_tried = true;
        waiter.is_chained = false;
        match self.frames.get_mut(&id) {
            Some(waiter) => Answered::Waits(&mut waiter.owner),
            None => Answered::Known,
        }
    }

    /// The entry had no room for a copy, or for the frame itself.
    pub fn put_off(&mut self, id: WaitId) {
        if let Some(waiter) = self.frames.get_mut(&id) {
            waiter.copies = waiter.copies.saturating_sub(1);
            self.due.insert((waiter.turn, id));
        }
    }

    /// Forgets a frame; returns its owner.
    pub fn remove(&mut self, id: WaitId) -> Option<O> {
        self.forget(id).map(|waiter| waiter.owner)
    }

    /// Forgets the frames whose owners this holds for.
    pub fn remove_if(&mut self, is_gone: impl Fn(&O) -> bool) -> Vec<(WaitId, O)> {
        let gone = self.frames.iter();
        let gone = gone.filter(|(_, waiter)| is_gone(&waiter.owner));
        let gone: Vec<WaitId> = gone.map(|(id, _)| *id).collect();
        let removed = gone.into_iter();
        removed
            .filter_map(|id| Some((id, self.remove(id)?)))
            .collect()
    }

    fn end(&mut self, id: WaitId, answer: &[u8]) -> Answered<'_, O> {
        let Some(waiter) = self.forget(id) else {
            return Answered::Known;
        };
        let is_served = answer.first() == Some(&0);
        // Data that a frame brought for it is still there.
        let is_left = !is_served && waiter.queue.takes;
        if waiter.is_chained || is_left || is_error(answer) {
            for place in &waiter.keys {
                self.wake(place, &waiter.queue);
            }
        }
        Answered::Over(waiter.owner)
    }

    /// The next of a queue are due, and as long as they are served, so are those behind them.
    fn wake(&mut self, place: &Place, queue: &WaitQueue) {
        let waiting = self.keys.get(place).and_then(|queues| queues.get(queue));
        let most = if queue.takes { TRIED } else { usize::MAX };
        for (turn, id) in waiting.into_iter().flatten().take(most) {
            if let Some(waiter) = self.frames.get_mut(id) {
                waiter.is_chained = true;
                self.due.insert((*turn, *id));
            }
        }
    }

    /// Adds those to `listening` who wait for a key that is touched so; returns them.
    fn listen(
        &mut self,
        place: &Place,
        touches: &[Touch],
        listening: &mut BTreeSet<(Turn, WaitId)>,
    ) -> Vec<WaitId> {
        let Some(queues) = self.keys.get(place) else {
            return Vec::new();
        };
        let (mut added, mut gone) = (Vec::new(), Vec::new());
        for (queue, waiting) in queues {
            let (wanted, is_chained) = wanted(queue, touches);
            if wanted == 0 {
                continue;
            }
            let (mut sure, mut count) = (0, 0);
            for (turn, id) in waiting {
                let Some(waiter) = self.frames.get_mut(id) else {
                    continue;
                };
                if sure == wanted {
                    break;
                }
                if (self.is_gone)(&waiter.owner) {
                    gone.push(*id);
                    continue;
                }
                if count == LISTENING_MAX {
                    self.due.insert((*turn, *id));
                    continue;
                }
                count += 1;
                waiter.is_chained |= is_chained;
                // One whose copy is on its way may be served by then.
                sure += usize::from(waiter.is_tried && waiter.copies == 0);
                if !self.entered.contains(id) && listening.insert((*turn, *id)) {
                    added.push(*id);
                }
            }
        }
        for id in gone {
            drop(self.forget(id));
        }
        added
    }

    fn copies_of(&mut self, ids: &[WaitId], stage: Option<Stage>) -> Vec<Copy> {
        let copy = |id: &WaitId| {
            let waiter = self.frames.get(id)?;
            let head = WaitHead::of(&waiter.bytes)?;
            // Without a stage it is executed: for the first time, if an entry had no room for it.
            let is_first = waiter.is_new && !waiter.is_tried && waiter.copies == 1;
            let frame = match stage {
                Some(stage) => head.staged(&waiter.bytes, stage),
                None if is_first => head.staged(&waiter.bytes, Stage::First),
                None => waiter.bytes.clone(),
            };
            Some(Copy { id: *id, frame })
        };
        ids.iter().filter_map(copy).collect()
    }

    fn forget(&mut self, id: WaitId) -> Option<Waiter<O>> {
        let waiter = self.frames.remove(&id)?;
        self.bytes -= cost(&waiter.bytes, &waiter.keys);
        self.due.remove(&(waiter.turn, id));
        for place in &waiter.keys {
            let Some(queues) = self.keys.get_mut(place) else {
                continue;
            };
            if let Some(queue) = queues.get_mut(&waiter.queue) {
                queue.remove(&waiter.turn);
                if queue.is_empty() {
                    queues.remove(&waiter.queue);
                }
            }
            if queues.is_empty() {
                self.keys.remove(place);
            }
        }
        Some(waiter)
    }
}

/// The outcome of a copy.
#[derive(Debug, PartialEq, Eq)]
pub enum Answered<'a, O> {
    /// The wait is over: its owner gets the answer.
    Over(O),
    /// It found nothing, and waits on.
    Waits(&'a mut O),
    /// The wait was over before.
    Known,
}

fn cost(bytes: &Bytes, keys: &[Place]) -> usize {
    let of_keys = keys.iter().map(|(_, key)| OVERHEAD / 2 + key.len());
    OVERHEAD + bytes.len() + of_keys.sum::<usize>()
}

/// The only command of a frame that may wait, and its queue.
fn command_of(bytes: Bytes) -> Option<(Resolved, WaitQueue)> {
    let mut frame = resolve_frame(bytes).ok()?;
    let command = frame.commands.pop().filter(|_| frame.commands.is_empty())?;
    let queue = command.wait_queue()?;
    Some((command, queue))
}

/// The keys that a command may change, and how.
pub(crate) fn touched(command: &Resolved) -> Vec<(Place, Touch)> {
    let mut touched = Vec::new();
    command.visit_touched(&mut |table, key, touch| touched.push(((table, key.clone()), touch)));
    touched
}

/// Whether a touch may matter to those of a queue.
pub(crate) fn is_woken(queue: &WaitQueue, touch: Touch) -> bool {
    queue.ends_with_key || touch != Touch::Removes
}

/// How many of a queue are to listen, and whether the next are due when these are served.
fn wanted(queue: &WaitQueue, touches: &[Touch]) -> (usize, bool) {
    let (mut wanted, mut is_chained) = (0_usize, false);
    for touch in touches.iter().filter(|touch| is_woken(queue, **touch)) {
        let (more, chained) = match touch {
            _ if !queue.takes => (usize::MAX, false),
            Touch::Fills(Some(more)) => (*more, false),
            Touch::Fills(None) => (TRIED, true),
            Touch::Removes => (1, true),
        };
        wanted = wanted.saturating_add(more);
        is_chained |= chained;
    }
    (wanted, is_chained)
}

/// Whether an answer is an error of Redis' kind.
fn is_error(answer: &[u8]) -> bool {
    let answer = Bytes::copy_from_slice(answer);
    matches!(FrameReply::decode(answer), Ok(FrameReply::Done(replies))
        if replies.first().is_some_and(|reply| reply.first() == Some(&b'-')))
}
