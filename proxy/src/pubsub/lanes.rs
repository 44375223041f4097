//! Hands messages to clients on the threads that serve them (`io_threads`): a message to thousands
//! of clients wakes each thread once, and each thread its own clients.
//!
//! A lane is the queue of a thread. Bounded: whoever finds it full hands the messages over itself.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::table::Subscribers;
use crate::metrics::Metrics;
use crate::pushes::Push;

/// Messages that wait for a thread.
const WAITING_MAX: usize = 4096;
/// Messages that a thread hands over before it serves its clients again.
const AT_ONCE: usize = 16;

/// The lanes of all threads.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: Box<[Lane]>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: Mutex<VecDeque<Item>>,
    /// Held while messages are handed over, so that they keep their order.
    turn: Mutex<()>,
    wake: Notify,
}

/// A message and those who get it.
#[derive(Debug, Clone)]
struct Item {
    push: Arc<Push>,
    subscribers: Arc<Subscribers>,
}

impl Lanes {
    /// Lanes of so many threads.
    pub(super) fn new(threads: usize, metrics: Arc<Metrics>) -> Self {
        Self {
            lanes: (0..threads).map(|_| Lane::default()).collect(),
            metrics,
        }
    }

    /// Puts a message into the lanes of its subscribers. [`Self::wake`] must follow.
    pub(super) fn put(&self, push: &Arc<Push>, subscribers: &Arc<Subscribers>) {
        for at in 0..self.lanes.len() {
            if subscribers.on(at).is_empty() {
                continue;
            }
            let is_full = {
                let mut waiting = self.lanes[at].waiting.lock();
                waiting.push_back(Item {
                    push: Arc::clone(push),
                    subscribers: Arc::clone(subscribers),
                });
                waiting.len() >= WAITING_MAX
            };
            if is_full {
                while self.hand_over(at) {}
            }
        }
    }

    /// Wakes the threads that have messages.
    pub(super) fn wake(&self) {
        let with_messages = self
            .lanes
            .iter()
            .filter(|lane| !lane.waiting.lock().is_empty());
        with_messages.for_each(|lane| lane.wake.notify_one());
    }

    /// Hands messages over on thread `at`, for as long as it runs.
    pub(super) async fn serve(&self, at: usize) {
        loop {
            self.lanes[at].wake.notified().await;
            while self.hand_over(at) {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Hands over some messages; returns whether there are more.
    fn hand_over(&self, at: usize) -> bool {
        let lane = &self.lanes[at];
        let _turn = lane.turn.lock();
        for _ in 0..AT_ONCE {
            let Some(item) = lane.waiting.lock().pop_front() else {
                return false;
            };
            let subscribers = item.subscribers.on(at);
            subscribers
                .values()
                .for_each(|client| client.push(&item.push));
            self.metrics
                .messages_pushed
                .inc_by(subscribers.len() as u64);
        }
        true
    }
}
