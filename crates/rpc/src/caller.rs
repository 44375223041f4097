//! The connection of a calling process, as the answering side sees it: the calls in flight, and
//! the queue for their answers.
//!
//! `server` reads its calls; a [`Responder`](crate::Responder) holds it until the call is answered.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use coterie_budget::Budget;

use crate::Limits;
use crate::cancelled::Cancelled;
use crate::long_answers::{Hold, LONG_BYTES};
use crate::outbox::{Closed, Outbox};
use crate::stream::WriteHalf;
use crate::wire::Head;

/// The connection of a calling process.
pub(crate) struct Caller {
    pub(crate) outbox: Outbox,
    pub(crate) in_flight: AtomicUsize,
    pub(crate) cancelled: Cancelled,
    /// For long answers.
    budget: Budget,
    pub(crate) limits: Limits,
}

impl Caller {
    pub(crate) fn new(write_half: WriteHalf, limits: Limits) -> Self {
        Self {
            outbox: Outbox::new(write_half, limits.queued_bytes_max),
            in_flight: AtomicUsize::new(0),
            cancelled: Cancelled::default(),
            budget: Budget::new(limits.long_answer_bytes_max),
            limits,
        }
    }

    /// Queues the answer to call `id`, unless the call was cancelled.
    pub(crate) fn answer(&self, id: u64, result: Result<Bytes, &str>, hold: Hold) {
        if !self.cancelled.contains(id) {
            // A closed outbox means that the caller is gone: there is no one to tell.
            let _ = self.push(id, result, hold);
            if self.cancelled.contains(id) {
                // Cancelled meanwhile: the cancellation found no answer to drop.
                self.outbox.cancel_long(id);
            }
        }
        let before = self.in_flight.fetch_sub(1, Ordering::AcqRel);
        if before == 1 || before >= self.limits.in_flight_max {
            self.outbox.room.notify_waiters();
        }
    }

    fn push(&self, id: u64, result: Result<Bytes, &str>, hold: Hold) -> Result<(), Closed> {
        let max = self.limits.frame_bytes_max;
        let (head, body) = match result {
            Ok(body) if body.len() + 64 > max => {
                let reason = format!("an answer of {} bytes, where {max} are allowed", body.len());
                (Head::Failure { id }, Bytes::from(reason))
            }
            Ok(body) if body.len() > LONG_BYTES => return self.outbox.push_long(id, body, hold),
            Ok(body) => (Head::Answer { id }, body),
            Err(reason) => {
                let reason = Bytes::copy_from_slice(reason.as_bytes());
                (Head::Failure { id }, reason)
            }
        };
        self.outbox.push(head, &body).map(drop)
    }

    /// Tells the caller that call `id` is being worked on.
    pub(crate) fn working(&self, id: u64) {
        // If the outbox is closed, the caller learns of the end of the connection instead.
        let _ = self.outbox.push(Head::Working { id }, &Bytes::new());
    }

    /// Whether call `id` was cancelled.
    pub(crate) fn is_cancelled(&self, id: u64) -> bool {
        self.cancelled.contains(id)
    }

    /// The budget for long answers that wait here.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Whether the connection is over.
    pub(crate) fn is_gone(&self) -> bool {
        self.outbox.is_closed()
    }

    /// Whether it must wait before another call of it is read.
    pub(crate) fn is_full(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) >= self.limits.in_flight_max || self.outbox.is_full()
    }

    /// Waits for a condition that changes when calls are answered or bytes written, or for the end.
    pub(crate) async fn wait_for(&self, condition: impl Fn() -> bool) {
        loop {
            // Registered before the check, so that a change in between is not missed.
            let changed = self.outbox.room.notified();
            if condition() || self.outbox.is_closed() {
                return;
            }
            changed.await;
        }
    }
}
