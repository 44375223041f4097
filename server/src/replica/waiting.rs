//! The frames that wait for data here, while this replica leads (`coterie_group::Waiters`).
//!
//! `propose` puts frames into entries: it tells here of each frame that may wait, and asks here
//! which copies must stand behind the others. Answers come back through [`Waiting::answered`], and
//! go to the caller, or over its link once the caller was told that the frame waits.
//!
//! All of it holds for one term. When this replica does not lead in that term any more, and when a
//! link is gone, frames are given back: their proxies send them again, to wherever they belong.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_group::{Answered, WaitId, Waiters};
use coterie_protocol::{FrameReply, Refusal, WaitHead};
use coterie_raft::Group;
use coterie_redis_compat::Txn;
use coterie_rpc::Responder;
use coterie_types::{TableId, Term};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use crate::links::{Link, Links};

/// How often leadership and links are looked at while frames wait.
const PERIOD: Duration = Duration::from_millis(100);
/// Waits that began before this process count from here on backwards.
const ORIGIN_MS: u64 = 1 << 48;

/// See the module's head.
pub(super) struct Waiting {
    kept: Mutex<Kept>,
    links: Arc<Links>,
    started: Instant,
    /// Notified when a frame is due.
    due: Notify,
    /// Notified when the first frame waits.
    first: Notify,
    /// Frames that waited and were answered with data.
    pub(super) served_total: AtomicU64,
}

/// The frames of a term.
pub(super) struct Kept {
    pub(super) waiters: Waiters<Owner>,
    term: Option<Term>,
    /// The links of their proxies.
    links: Vec<Arc<Link>>,
    /// Links with answers that are not sent yet.
    filled: Vec<Arc<Link>>,
}

/// The caller of a frame that waits.
#[derive(Debug)]
pub(super) struct Owner {
    link: Arc<Link>,
    /// Until it was told that the frame waits.
    responder: Option<Responder>,
}

impl Waiting {
    pub(super) fn new(links: Arc<Links>) -> Self {
        Self {
            kept: Mutex::new(Kept::new()),
            links,
            started: Instant::now(),
            due: Notify::new(),
            first: Notify::new(),
            served_total: AtomicU64::new(0),
        }
    }

    /// Begins an entry of this term; `None` if this replica does not lead.
    pub(super) fn enter(&self, term: Option<Term>) -> MutexGuard<'_, Kept> {
        let mut kept = self.lock();
        kept.follow(term);
        kept
    }

    /// Takes a frame that goes into the entry and may wait. Returns the responder if it cannot.
    pub(super) fn begin(
        &self,
        kept: &mut Kept,
        frame: &Bytes,
        head: &WaitHead,
        responder: Responder,
    ) -> Result<WaitId, Responder> {
        let Some(link) = self.links.get(head.wait.link) else {
            return Err(responder);
        };
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let began = ORIGIN_MS
            .saturating_add(now)
            .saturating_sub(head.wait.waited_ms);
        let is_first = kept.waiters.is_empty();
        kept.know(&link);
        let responder = Some(responder);
        let begun = kept.waiters.begin(frame, began, Owner { link, responder });
        if is_first {
            self.first.notify_one();
        }
        match begun {
            Ok(id) => Ok(id),
            // Never `None`: it was set above.
            Err(owner) => owner.responder.map_or(Ok((head.session, head.seq)), Err),
        }
    }

    /// Hands out the answer of a frame, or of its copy. [`Waiting::flush`] must follow.
    pub(super) fn answered(&self, id: WaitId, answer: &Bytes) {
        let mut kept = self.lock();
        match kept.waiters.answered(id, answer) {
            Answered::Known => {}
            Answered::Waits(owner) => {
                if let Some(responder) = owner.responder.take() {
                    let epoch = owner.link.epoch();
                    responder.send(FrameReply::Waits { epoch }.encode());
                }
            }
            Answered::Over(owner) => {
                if owner.responder.is_none() && answer.first() == Some(&0) {
                    self.served_total.fetch_add(1, Ordering::Relaxed);
                }
                kept.give(id, owner, answer);
            }
        }
        self.wake_if_due(&kept);
    }

    /// The entry had no room for a frame or its copy.
    pub(super) fn put_off(&self, id: WaitId) {
        let mut kept = self.lock();
        kept.waiters.put_off(id);
        self.wake_if_due(&kept);
    }

    /// The entry of a frame or its copy was not proposed, or its fate is not known.
    pub(super) fn refused(&self, id: WaitId, refusal: &Refusal) {
        let mut kept = self.lock();
        if let Some(owner) = kept.waiters.remove(id) {
            kept.give(id, owner, &FrameReply::Refused(refusal.clone()).encode());
        }
    }

    /// Keys changed by something that is no frame.
    pub(super) fn touch<'a>(&self, keys: impl Iterator<Item = (TableId, &'a Bytes)>) {
        let mut kept = self.lock();
        if kept.waiters.is_empty() {
            return;
        }
        for (table, key) in keys {
            kept.waiters.touch(table, key);
        }
        self.wake_if_due(&kept);
    }

    /// Whether a frame waits for a key that was changed.
    pub(super) fn waits_for(&self, txn: &Txn<'_>) -> bool {
        let kept = self.lock();
        !kept.waiters.is_empty()
            && txn
                .changed_keys()
                .any(|(table, key)| kept.waiters.is_waited_for(table, key))
    }

    /// Sends the answers that were handed out.
    pub(super) fn flush(&self) {
        let filled = std::mem::take(&mut self.lock().filled);
        for link in filled {
            link.flush();
        }
    }

    /// Waits until a frame is due.
    pub(super) async fn wait_due(&self) {
        loop {
            let due = self.due.notified();
            if self.lock().waiters.has_due() {
                return;
            }
            due.await;
        }
    }

    /// How many frames wait.
    pub(super) fn count(&self) -> usize {
        self.lock().waiters.len()
    }

    fn wake_if_due(&self, kept: &Kept) {
        if kept.waiters.has_due() {
            self.due.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics while holding it.
        self.kept.lock()
    }
}

impl Kept {
    fn new() -> Self {
        Self {
            waiters: Waiters::new(|owner: &Owner| owner.link.is_gone()),
            term: None,
            links: Vec::new(),
            filled: Vec::new(),
        }
    }

    fn know(&mut self, link: &Arc<Link>) {
        if self.waiters.is_empty() {
            self.links.clear();
        }
        if !self.links.iter().any(|known| Arc::ptr_eq(known, link)) {
            self.links.push(Arc::clone(link));
        }
    }

    /// Gives all frames back that wait since another term.
    fn follow(&mut self, term: Option<Term>) {
        if self.term == term {
            return;
        }
        self.term = term;
        let refusal = Refusal::NotLeader {
            leader: None,
            term: term.unwrap_or_default(),
        };
        let refused = FrameReply::Refused(refusal).encode();
        for (id, owner) in self.waiters.remove_if(|_| true) {
            self.give(id, owner, &refused);
        }
    }

    /// Forgets the frames of links that are gone. Their proxies are not there to be told; they
    /// notice when they come back.
    fn forget_gone(&mut self) {
        let before = self.links.len();
        self.links.retain(|link| !link.is_gone());
        if self.links.len() < before {
            drop(self.waiters.remove_if(|owner| owner.link.is_gone()));
        }
    }

    fn give(&mut self, id: WaitId, owner: Owner, answer: &Bytes) {
        match owner.responder {
            Some(responder) => responder.send(answer.clone()),
            None => {
                let is_done = answer.first() == Some(&0);
                owner.link.put(id, is_done.then(|| answer.clone()));
                if !self
                    .filled
                    .iter()
                    .any(|link| Arc::ptr_eq(link, &owner.link))
                {
                    self.filled.push(owner.link);
                }
            }
        }
    }
}

/// Looks after the frames that wait, until `stop`: gives back those that do not belong here any
/// more.
pub(super) async fn run(
    group: Group,
    shared: Arc<Shared>,
    waiting: Arc<Waiting>,
    stop: CancellationToken,
) {
    let mut ownership = shared.ownership_changed();
    while let Some(()) = stop.run_until_cancelled(waiting.first.notified()).await {
        while waiting.count() > 0 {
            let pause = stop.run_until_cancelled(tokio::time::sleep(PERIOD));
            if pause.await.is_none() {
                break;
            }
            let mut kept = waiting.enter(term_of(&group));
            kept.forget_gone();
            if ownership.has_changed().unwrap_or(false) {
                ownership.mark_unchanged();
                let published = shared.published();
                let owned = published.read.ownership();
                kept.waiters
                    .make_due(|command| owned.check(command).is_err());
            }
            waiting.wake_if_due(&kept);
            drop(kept);
            waiting.flush();
        }
    }
    drop(waiting.enter(None));
    waiting.flush();
}

/// The term in which this replica leads.
pub(super) fn term_of(group: &Group) -> Option<Term> {
    let (leader, term) = group.leader();
    (leader == Some(group.node_id())).then_some(term)
}
