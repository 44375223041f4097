//! A client's part of the memory for replies (`client_memory`): decides whether its next frame may
//! be sent, and with how much room for replies.
//!
//! Rules: a frame with short replies needs no permit. A frame with long replies first waits until
//! it contains the client's oldest unanswered command: then its replies leave as they come, and
//! little memory is held for replies that wait for others. Then it waits for memory, unless the
//! client holds memory for replies that can leave only after these: that memory would not come back
//! while the frame waits, so it never waits. So a reply with parts from several groups waits at
//! most once.

use std::task::{Context, Poll};

use coterie_budget::{Permit, Take};
use coterie_types::GroupId;
use futures_util::FutureExt;

use crate::client_memory::{ClientMemory, SHORT_BYTES};

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Credit {
    memory: ClientMemory,
    /// Bytes taken for frames in flight and for replies that the client has not taken.
    held: Option<Permit>,
    asking: Option<Asking>,
}

/// A frame that waits for memory.
#[derive(Debug)]
struct Asking {
    group: GroupId,
    take: Take,
    granted: Option<Permit>,
}

impl Credit {
    pub(crate) fn new(memory: ClientMemory) -> Self {
        Self {
            memory,
            held: None,
            asking: None,
        }
    }

    /// Bytes of replies that the client may have; a single reply may be longer.
    pub(crate) fn client_bytes(&self) -> usize {
        self.memory.client_bytes
    }

    /// Bytes that the client holds.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held.as_ref().map_or(0, Permit::bytes)
    }

    /// Takes memory for the replies to a frame for `group`; `None` if the frame has to wait.
    /// `is_begun`: the client holds memory that it can return only after these replies.
    pub(crate) fn take(&mut self, group: GroupId, bytes: usize, is_begun: bool) -> Option<usize> {
        if is_begun {
            self.hold(self.memory.budget.force(bytes));
            return Some(bytes);
        }
        if let Some(asking) = &mut self.asking {
            if asking.group != group {
                return None;
            }
            let granted = asking.granted.take()?;
            self.asking = None;
            self.hold(granted);
            // A frame larger than the bound was granted the whole budget.
            return Some(bytes);
        }
        let Some(permit) = self.memory.budget.try_take(bytes) else {
            self.asking = Some(Asking {
                group,
                take: self.memory.budget.take(bytes),
                granted: None,
            });
            return None;
        };
        self.hold(permit);
        Some(bytes)
    }

    /// Whether the waiting frame has got its memory just now. Must be called after
    /// [`Credit::take`], so that the task is woken.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(asking) = &mut self.asking else {
            return false;
        };
        if asking.granted.is_some() {
            return false;
        }
        match asking.take.poll_unpin(cx) {
            Poll::Ready(permit) => {
                asking.granted = Some(permit);
                true
            }
            Poll::Pending => false,
        }
    }

    /// Withdraws the request of the waiting frame, which will not be sent.
    pub(crate) fn give_up(&mut self) {
        self.asking = None;
    }

    /// Adjusts the memory held to the need: `granted` bytes for frames in flight, and `waiting`
    /// bytes of replies that the client has not taken.
    pub(crate) fn settle(&mut self, granted: usize, waiting: usize) {
        let waiting = if waiting > SHORT_BYTES { waiting } else { 0 };
        let needed = granted + waiting;
        if needed == 0 {
            self.held = None;
            return;
        }
        match &mut self.held {
            Some(held) => {
                held.grow(needed.saturating_sub(held.bytes()));
                held.shrink_to(needed);
            }
            None => self.held = Some(self.memory.budget.force(needed)),
        }
    }

    fn hold(&mut self, permit: Permit) {
        match &mut self.held {
            Some(held) => held.merge(permit),
            None => self.held = Some(permit),
        }
    }
}
