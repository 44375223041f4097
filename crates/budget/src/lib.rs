//! A bound on bytes in memory shared by several tasks: a task takes a permit before it allocates
//! something large, and releases the permit when that is freed.
//!
//! Invariants: permits are granted in the order of the requests, with an exception: a permit of at
//! most a sixteenth of the free bytes may overtake waiting requests, as long as none of them has
//! waited for over [`PASSED_FOR`], so that a small request does not wait behind a large request.
//! The granted bytes are at most the bound, except for [`Budget::force`] and [`Permit::grow`],
//! which account for bytes that are already allocated. A permit larger than the bound is granted as
//! the whole bound. If a request is dropped while it waits, its permit is released at once.
//!
//! Callers: the proxy (replies and requests of clients), the server (replies it builds), and the
//! links between them (`coterie-rpc`).

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

/// A permit of at most this part of the free bytes may overtake waiting requests.
const PASSING_PART: usize = 16;
/// A request that has waited this long is no longer overtaken.
pub const PASSED_FOR: Duration = Duration::from_secs(8);

/// A bound on bytes shared by several tasks; see the crate's head. Clones share the bound.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Bound>);

#[derive(Debug)]
struct Bound {
    bytes_max: usize,
    /// A copy of `Ledger::used`, for reads without the lock.
    used: AtomicUsize,
    ledger: Mutex<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    used: usize,
    waiting: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    bytes: usize,
    since: Instant,
    granted: oneshot::Sender<Permit>,
}

/// Granted bytes. Dropped, it releases them.
#[derive(Debug)]
pub struct Permit {
    budget: Budget,
    bytes: usize,
}

/// A requested permit. Dropped, the request is withdrawn.
#[derive(Debug)]
#[must_use]
pub struct Take {
    budget: Budget,
    turn: Turn,
}

#[derive(Debug)]
enum Turn {
    Granted(Option<Permit>),
    Waiting(oneshot::Receiver<Permit>),
}

impl Budget {
    /// A budget of `bytes_max`, all free.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Bound {
            bytes_max,
            used: AtomicUsize::new(0),
            ledger: Mutex::default(),
        }))
    }

    /// The bound in bytes.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.0.bytes_max
    }

    /// Bytes granted and not released.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Number of waiting requests.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Total bytes of all waiting requests.
    #[must_use]
    pub fn bytes_waited_for(&self) -> usize {
        self.lock().waiting.iter().map(|waiter| waiter.bytes).sum()
    }

    /// How long the first waiting request has waited.
    #[must_use]
    pub fn longest_wait(&self) -> Option<Duration> {
        let first = self.lock().waiting.front().map(|waiter| waiter.since);
        first.map(|since| since.elapsed())
    }

    /// A permit, if it can be granted at once.
    #[must_use]
    pub fn try_take(&self, bytes: usize) -> Option<Permit> {
        let bytes = bytes.min(self.0.bytes_max);
        let mut ledger = self.lock();
        let passes = match ledger.waiting.front() {
            None => self.fits(&ledger, bytes),
            Some(first) => {
                let free = self.0.bytes_max.saturating_sub(ledger.used);
                bytes <= free / PASSING_PART && first.since.elapsed() < PASSED_FOR
            }
        };
        if !passes {
            return None;
        }
        self.set_used(&mut ledger, |used| used + bytes);
        Some(self.permit(bytes))
    }

    /// A permit, granted once earlier requests have theirs and enough bytes are free; at once if it
    /// is a small part of the free bytes.
    pub fn take(&self, bytes: usize) -> Take {
        let budget = self.clone();
        if let Some(permit) = self.try_take(bytes) {
            let turn = Turn::Granted(Some(permit));
            return Take { budget, turn };
        }
        let (granted, permit) = oneshot::channel();
        let mut ledger = self.lock();
        ledger.waiting.push_back(Waiter {
            bytes: bytes.min(self.0.bytes_max),
            since: Instant::now(),
            granted,
        });
        // Bytes released between the two checks have woken no other request.
        self.grant(ledger);
        let turn = Turn::Waiting(permit);
        Take { budget, turn }
    }

    /// A permit for bytes that are already allocated, regardless of the bound.
    #[must_use]
    pub fn force(&self, bytes: usize) -> Permit {
        self.set_used(&mut self.lock(), |used| used + bytes);
        self.permit(bytes)
    }

    fn permit(&self, bytes: usize) -> Permit {
        Permit {
            budget: self.clone(),
            bytes,
        }
    }

    fn fits(&self, ledger: &Ledger, bytes: usize) -> bool {
        ledger.used + bytes <= self.0.bytes_max
    }

    fn give_back(&self, bytes: usize) {
        let mut ledger = self.lock();
        self.set_used(&mut ledger, |used| used.saturating_sub(bytes));
        self.grant(ledger);
    }

    /// Grants the requests that fit now, in order. The lock is not held while a permit is handed
    /// over: a receiver that no longer wants the permit drops it, which releases it.
    fn grant<'a>(&'a self, mut ledger: MutexGuard<'a, Ledger>) {
        while let Some(first) = ledger.waiting.front()
            && (first.granted.is_closed() || self.fits(&ledger, first.bytes))
        {
            let Some(first) = ledger.waiting.pop_front() else {
                return;
            };
            if first.granted.is_closed() {
                continue;
            }
            self.set_used(&mut ledger, |used| used + first.bytes);
            drop(ledger);
            // An error contains the permit, which is dropped here.
            let _ = first.granted.send(self.permit(first.bytes));
            ledger = self.lock();
        }
    }

    fn set_used(&self, ledger: &mut Ledger, change: impl FnOnce(usize) -> usize) {
        ledger.used = change(ledger.used);
        self.0.used.store(ledger.used, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        // No code panics while holding it.
        self.0.ledger.lock()
    }
}

impl Permit {
    /// The granted bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Releases all but `bytes`; nothing if the permit is not larger.
    pub fn shrink_to(&mut self, bytes: usize) {
        let surplus = self.bytes.saturating_sub(bytes);
        if surplus > 0 {
            self.bytes -= surplus;
            self.budget.give_back(surplus);
        }
    }

    /// Adds `bytes` that are already allocated, regardless of the bound.
    pub fn grow(&mut self, bytes: usize) {
        if bytes > 0 {
            self.merge(self.budget.force(bytes));
        }
    }

    /// Takes over the bytes of another permit of the same budget.
    pub fn merge(&mut self, mut other: Permit) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

impl Future for Take {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Permit> {
        match &mut self.turn {
            Turn::Granted(permit) => match permit.take() {
                Some(permit) => Poll::Ready(permit),
                // Polled again after completion, against the contract of futures.
                None => Poll::Pending,
            },
            Turn::Waiting(permit) => match Pin::new(permit).poll(cx) {
                Poll::Ready(Ok(permit)) => Poll::Ready(permit),
                // The sender stays in the budget until it has sent.
                Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
            },
        }
    }
}

impl Drop for Take {
    fn drop(&mut self) {
        if let Turn::Waiting(permit) = &mut self.turn {
            permit.close();
            // The requests behind it may fit although it did not.
            self.budget.grant(self.budget.lock());
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn permits_are_granted_in_order_as_bytes_are_given_back() {
        let budget = Budget::new(100);
        let first = budget.take(60).now_or_never().expect("there is room");
        let mut large = budget.take(80);
        let mut small = budget.take(10);
        assert!((&mut large).now_or_never().is_none());
        assert!(
            (&mut small).now_or_never().is_none(),
            "not before the other"
        );
        assert!(budget.try_take(3).is_none(), "nor past those that wait");
        assert_eq!((budget.used(), budget.waiting()), (60, 2));
        assert_eq!(budget.bytes_waited_for(), 90);
        drop(first);
        let large = large.now_or_never().expect("its turn");
        let small = small.now_or_never().expect("and there is room for both");
        assert_eq!((budget.used(), large.bytes(), small.bytes()), (90, 80, 10));
        drop((large, small));
        assert_eq!((budget.used(), budget.waiting()), (0, 0));
    }

    #[test]
    fn little_of_what_is_free_passes_those_that_wait() {
        let budget = Budget::new(160);
        let mut held = budget.force(32);
        let large = budget.take(150);
        let passed = budget.take(8).now_or_never().expect("a sixteenth of 128");
        assert!(budget.try_take(8).is_none(), "of 120 it is 7");
        assert!(budget.try_take(7).is_some());
        held.grow(120);
        assert!(budget.try_take(1).is_none(), "nothing is free");
        assert_eq!(budget.waiting(), 1);
        drop((large, passed));
    }

    #[test]
    fn one_that_waits_no_more_holds_up_nobody() {
        let budget = Budget::new(100);
        let mut first = budget.force(90);
        let gone = budget.take(100);
        let mut next = budget.take(20);
        drop(gone);
        assert!((&mut next).now_or_never().is_none(), "there is no room yet");
        let gone = budget.take(100);
        let mut last = budget.take(1);
        first.shrink_to(79);
        let next = (&mut next).now_or_never().expect("now there is");
        assert!((&mut last).now_or_never().is_none(), "one waits before it");
        drop(gone);
        assert_eq!((&mut last).now_or_never().map(|p| p.bytes()), Some(1));
        drop(next);
        // Granted, and dropped before it was polled.
        let gone = budget.take(40);
        first.shrink_to(50);
        drop(gone);
        assert_eq!(budget.used(), 50);
    }

    #[test]
    fn a_permit_above_the_bound_is_all_of_it() {
        let budget = Budget::new(100);
        let all = budget.try_take(1000).expect("nobody has any");
        assert_eq!(all.bytes(), 100);
        assert!(budget.longest_wait().is_none());
        let waits = budget.take(1);
        assert!(budget.longest_wait().is_some());
        drop((waits, all));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn forced_bytes_count_and_block_others() {
        let budget = Budget::new(100);
        let mut permit = budget.try_take(100).expect("all");
        permit.grow(50);
        assert_eq!(budget.used(), 150);
        permit.shrink_to(60);
        assert!(budget.try_take(50).is_none());
        assert!(budget.try_take(40).is_some());
        let mut more = budget.force(5);
        more.merge(permit);
        assert_eq!((more.bytes(), budget.used()), (65, 65));
    }
}
