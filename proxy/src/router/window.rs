//! Numbers the writes that a proxy sends to a group. Each write gets the next number, and tells the
//! group below which number every write was answered, so that the group may drop those replies
//! (design §5, exactly once).
//!
//! Bounded: at most [`WINDOW`] writes of a session are unanswered per group; further writes wait. A
//! number given up by its client counts as answered: nobody will ask for its reply again.
//!
//! A group that does not know a session takes a frame with acknowledgements for a frame of an
//! expired session, and refuses it. Earlier frames of the session may have been lost on the way. So
//! a session acknowledges nothing until the group's log has answered a frame of it.
//!
//! Frames that wait for data have a window of their own, as they may wait for hours. A number that
//! is not answered holds up the acknowledgement of all later numbers, and the group keeps their
//! answers. When these become many, the window asks for the earlier frames to be withdrawn, and
//! sent again under new numbers ([`Ticket::stale`]). So does the lowest number after some time, as
//! the group drops a session that is silent.
//!
//! A session is a random number, so that a group never confuses two processes. The group drops
//! sessions that were silent for minutes; the proxy begins a new session well before.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use coterie_types::{FrameSeq, SessionId};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::prepared::Numbers;

/// Most unanswered writes per group.
const WINDOW: usize = 4096;
/// Most frames that wait for data, per group.
const WAITS: usize = 1 << 17;
/// Answers that a group may have to keep for an earlier frame that waits, and their bytes. As many
/// answers again as frames wait are always allowed.
const KEPT_ANSWERS_MAX: usize = 8192;
const KEPT_BYTES_MAX: usize = 8 << 20;
/// The lowest number is renewed after this time.
const RENEW_AFTER: Duration = Duration::from_secs(120);
/// A session without an unanswered write for this long is not used again.
const IDLE_MAX: Duration = Duration::from_secs(5 * 60);

/// Issues numbers and takes them back.
#[derive(Debug)]
pub(crate) struct Window {
    state: Mutex<Issued>,
    room: Arc<Semaphore>,
    /// Numbers below this are to be renewed. Never changes for frames that do not wait.
    stale_below: watch::Sender<u64>,
}

#[derive(Debug)]
struct Issued {
    session: SessionId,
    /// Whether the group's log has answered a frame of the session.
    known: bool,
    /// The lowest unanswered number, which is the first of `answered`.
    first: u64,
    /// The bytes of the answer of each number, if it is answered.
    answered: VecDeque<Option<usize>>,
    /// How many of them are answered, and the bytes of their answers.
    kept: (usize, usize),
    used_at: Instant,
    /// When the group's log last answered, or the session began. By the wall clock, which goes on
    /// while a machine sleeps.
    heard_at: SystemTime,
}

/// A number in use, until it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    window: Arc<Window>,
    pub(crate) session: SessionId,
    pub(crate) seq: FrameSeq,
    pub(crate) acknowledged_below: FrameSeq,
    answer_bytes: usize,
    _room: Option<OwnedSemaphorePermit>,
}

impl Window {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(Issued::new()),
            room: Arc::new(Semaphore::new(WINDOW)),
            stale_below: watch::Sender::new(0),
        }
    }

    /// A window for frames that wait.
    pub(crate) fn of_waits() -> Self {
        Self {
            room: Arc::new(Semaphore::new(WAITS)),
            ..Self::new()
        }
    }

    /// The next number; `None` if there is no room.
    pub(crate) fn try_ticket(self: &Arc<Self>) -> Option<Ticket> {
        let room = Arc::clone(&self.room).try_acquire_owned().ok()?;
        Some(self.number(Some(room)))
    }

    /// The next number, once there is room.
    pub(crate) async fn ticket(self: &Arc<Self>) -> Ticket {
        let room = match Arc::clone(&self.room).try_acquire_owned() {
            Ok(room) => Some(room),
            // The semaphore is never closed: the only error is that it has no room.
            Err(_) => Arc::clone(&self.room).acquire_owned().await.ok(),
        };
        self.number(room)
    }

    fn number(self: &Arc<Self>, room: Option<OwnedSemaphorePermit>) -> Ticket {
        let mut state = self.lock();
        if state.answered.is_empty() && state.used_at.elapsed() > IDLE_MAX {
            *state = Issued::new();
        }
        let seq = state.first + state.answered.len() as u64;
        state.answered.push_back(None);
        state.used_at = Instant::now();
        Ticket {
            window: Arc::clone(self),
            session: state.session,
            seq: FrameSeq(seq),
            acknowledged_below: state.acknowledged_below(),
            answer_bytes: 0,
            _room: room,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Issued> {
        // Nothing panics while holding it.
        self.state.lock()
    }
}

impl Issued {
    fn new() -> Self {
        Self {
            session: SessionId(random()),
            known: false,
            first: 1,
            answered: VecDeque::new(),
            kept: (0, 0),
            used_at: Instant::now(),
            heard_at: SystemTime::now(),
        }
    }

    /// Whether the group may have to keep too many answers.
    fn keeps_many(&self) -> bool {
        let (count, bytes) = self.kept;
        let waiting = self.answered.len() - count;
        count > KEPT_ANSWERS_MAX.max(waiting) || bytes > KEPT_BYTES_MAX
    }

    fn acknowledged_below(&self) -> FrameSeq {
        FrameSeq(if self.known { self.first } else { 1 })
    }

    fn release(&mut self, seq: u64, bytes: usize) {
        let at = seq
            .checked_sub(self.first)
            .and_then(|at| usize::try_from(at).ok());
        if let Some(answered) = at.and_then(|at| self.answered.get_mut(at)) {
            *answered = Some(bytes);
            self.kept = (self.kept.0 + 1, self.kept.1 + bytes);
        }
        while let Some(Some(bytes)) = self.answered.front().copied() {
            self.answered.pop_front();
            self.kept = (self.kept.0 - 1, self.kept.1 - bytes);
            self.first += 1;
        }
    }
}

impl Ticket {
    /// The numbers for the next attempt's head: its own, and the newest acknowledgement.
    pub(crate) fn numbers(&mut self) -> Numbers {
        let state = self.window.lock();
        // Nothing more is known of an older session; its last acknowledgement stands.
        if state.session == self.session {
            self.acknowledged_below = state.acknowledged_below();
        }
        Numbers {
            session: self.session,
            seq: self.seq,
            acknowledged_below: self.acknowledged_below,
        }
    }

    /// Records that the group's log answered this frame, so the group knows the session.
    pub(crate) fn session_is_known(&self) {
        let mut state = self.window.lock();
        if state.session == self.session {
            state.known = true;
            state.heard_at = SystemTime::now();
        }
    }

    /// Notes the length of the answer, which the group keeps until it is acknowledged.
    pub(crate) fn note_answer(&mut self, bytes: usize) {
        self.answer_bytes = bytes;
    }

    /// How long the group's log has not answered any frame of the session; `None` if the session is
    /// an earlier one.
    pub(crate) fn silence(&self) -> Option<Duration> {
        let state = self.window.lock();
        if state.session != self.session {
            return None;
        }
        // A clock that was set back shows no silence.
        Some(state.heard_at.elapsed().unwrap_or_default())
    }

    /// Waits until this number is to be renewed.
    pub(crate) async fn stale(&self) {
        let mut below = self.window.stale_below.subscribe();
        loop {
            if *below.borrow_and_update() > self.seq.0 {
                return;
            }
            // The window outlives its tickets, so the sender is there.
            let _ = tokio::time::timeout(RENEW_AFTER, below.changed()).await;
            let state = self.window.lock();
            let is_lowest = state.session == self.session && state.first == self.seq.0;
            let is_silent = state.used_at.elapsed() >= RENEW_AFTER;
            if state.session != self.session || (is_lowest && is_silent) {
                return;
            }
        }
    }

    /// A number of a new session, after the group dropped this number's session. Only for a frame
    /// that was surely not applied.
    pub(crate) fn renew(mut self) -> Ticket {
        let window = Arc::clone(&self.window);
        let mut state = window.lock();
        if state.session == self.session {
            *state = Issued::new();
        }
        drop(state);
        let room = self._room.take();
        window.number(room)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.window.lock();
        // A number of an older session means nothing to the new session.
        if state.session == self.session {
            state.release(self.seq.0, self.answer_bytes);
            let end = state.first + state.answered.len() as u64;
            let is_asked = *self.window.stale_below.borrow() > state.first;
            if state.keeps_many() && !is_asked {
                self.window.stale_below.send_replace(end);
            }
        }
    }
}

/// A random number that nobody else has chosen. Never 0.
pub(crate) fn random() -> u64 {
    match getrandom::u64() {
        Ok(number) => number.max(1),
        // The system has no random source: only the hasher's random keys are left.
        Err(_) => {
            use std::hash::{BuildHasher, Hasher};
            let hasher = std::collections::hash_map::RandomState::new().build_hasher();
            hasher.finish().max(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_acknowledged_is_the_lowest_unanswered() {
        let window = Arc::new(Window::new());
        let (one, two, three) = (
            window.ticket().await,
            window.ticket().await,
            window.ticket().await,
        );
        one.session_is_known();
        assert_eq!((one.seq, three.seq), (FrameSeq(1), FrameSeq(3)));
        drop(two);
        let four = window.ticket().await;
        assert_eq!(four.acknowledged_below, FrameSeq(1));
        drop(one);
        let five = window.ticket().await;
        assert_eq!(
            (five.seq, five.acknowledged_below),
            (FrameSeq(5), FrameSeq(3))
        );
        drop((three, four));
        assert_eq!(window.ticket().await.acknowledged_below, FrameSeq(5));
    }

    #[tokio::test]
    async fn a_dropped_session_is_followed_by_a_new_one() {
        let window = Arc::new(Window::new());
        let (old, other) = (window.ticket().await, window.ticket().await);
        let old_session = old.session;
        old.session_is_known();
        let new = old.renew();
        assert_ne!(new.session, old_session);
        assert_eq!(new.seq, FrameSeq(1));
        let other = other.renew();
        assert_eq!((other.session, other.seq), (new.session, FrameSeq(2)));
        drop(new);
        // The group does not know this session.
        assert_eq!(window.ticket().await.acknowledged_below, FrameSeq(1));
        other.session_is_known();
        assert_eq!(window.ticket().await.acknowledged_below, FrameSeq(2));
    }

    #[tokio::test]
    async fn an_attempt_acknowledges_what_was_answered_since_the_last() {
        let window = Arc::new(Window::new());
        let (one, mut two) = (window.ticket().await, window.ticket().await);
        assert_eq!(two.numbers().acknowledged_below, FrameSeq(1));
        one.session_is_known();
        drop(one);
        let numbers = two.numbers();
        assert_eq!(
            (numbers.seq, numbers.acknowledged_below),
            (FrameSeq(2), FrameSeq(2))
        );
        // The session is replaced while this frame is in flight: the acknowledgement stands.
        let renewed = window.ticket().await.renew();
        assert_ne!(renewed.session, two.session);
        assert_eq!(two.numbers().acknowledged_below, FrameSeq(2));
    }

    #[tokio::test]
    async fn nothing_is_acknowledged_to_a_group_that_may_not_know_the_session() {
        let window = Arc::new(Window::new());
        drop((window.ticket().await, window.ticket().await));
        let mut three = window.ticket().await;
        assert_eq!(
            (three.seq, three.acknowledged_below),
            (FrameSeq(3), FrameSeq(1))
        );
        three.session_is_known();
        assert_eq!(three.numbers().acknowledged_below, FrameSeq(3));
    }

    #[tokio::test]
    async fn earlier_numbers_are_stale_when_a_group_keeps_many_answers() {
        let window = Arc::new(Window::of_waits());
        let ticket = || window.try_ticket().expect("room");
        let (one, two) = (ticket(), ticket());
        let long = || {
            let mut ticket = ticket();
            ticket.note_answer(KEPT_BYTES_MAX / 4);
        };
        (0..4).for_each(|_| long());
        let mut stale = [Box::pin(one.stale()), Box::pin(two.stale())];
        for stale in &mut stale {
            assert!(futures_util::poll!(stale.as_mut()).is_pending());
        }
        long();
        for stale in &mut stale {
            assert!(futures_util::poll!(stale.as_mut()).is_ready());
        }
        drop(stale);
        let later = ticket();
        assert!(futures_util::poll!(Box::pin(later.stale())).is_pending());
        drop((one, two));
        assert_eq!(window.lock().kept, (0, 0));
        for _ in 0..KEPT_ANSWERS_MAX {
            drop(ticket());
        }
        assert!(futures_util::poll!(Box::pin(later.stale())).is_pending());
        drop(ticket());
        assert!(futures_util::poll!(Box::pin(later.stale())).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn the_lowest_number_is_renewed_and_no_other() {
        let window = Arc::new(Window::of_waits());
        let ticket = || window.try_ticket().expect("room");
        let (one, two) = (ticket(), ticket());
        let now = Instant::now();
        window.lock().used_at = now.checked_sub(RENEW_AFTER).unwrap_or(now);
        let first = tokio::time::timeout(2 * RENEW_AFTER, one.stale()).await;
        let second = tokio::time::timeout(2 * RENEW_AFTER, two.stale()).await;
        assert!(first.is_ok() && second.is_err());
    }

    #[tokio::test]
    async fn a_full_window_waits() {
        let window = Arc::new(Window::new());
        let mut tickets = Vec::new();
        for _ in 0..WINDOW {
            tickets.push(window.ticket().await);
        }
        let next = window.ticket();
        tokio::pin!(next);
        assert!(futures_util::poll!(next.as_mut()).is_pending());
        tickets.pop();
        assert!(futures_util::poll!(next.as_mut()).is_ready());
    }
}
