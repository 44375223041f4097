//! A client's part of the memory for requests (`client_memory`): decides whether the next long
//! argument may be read.
//!
//! Memory is held for the incomplete command in the read buffer, for commands that wait for a
//! frame, and for unanswered frames. A request with short arguments needs none.

use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::client_memory::{ClientMemory, Gathering, SHORT_BYTES};

/// See the module's head.
pub(super) struct RequestCredit {
    memory: ClientMemory,
    state: Credit,
}

enum Credit {
    None,
    Held(Gathering),
    /// Waits for more memory; the future owns the memory held so far.
    Reaching(BoxFuture<'static, Gathering>),
}

impl RequestCredit {
    pub(super) fn new(memory: ClientMemory) -> Self {
        Self {
            memory,
            state: Credit::None,
        }
    }

    /// Whether the client has memory for `bytes` in all. If not, the task is woken once it has.
    pub(super) fn poll_reach(&mut self, cx: &mut Context<'_>, bytes: usize) -> bool {
        if bytes <= SHORT_BYTES {
            return true;
        }
        let mut reaching = match std::mem::replace(&mut self.state, Credit::None) {
            Credit::Held(held) if held.bytes() >= bytes => {
                self.state = Credit::Held(held);
                return true;
            }
            Credit::Held(mut held) => async move {
                held.reach(bytes).await;
                held
            }
            .boxed(),
            Credit::None => {
                let memory = self.memory.clone();
                async move {
                    let mut held = memory.gather(bytes).await;
                    held.reach(bytes).await;
                    held
                }
                .boxed()
            }
            Credit::Reaching(reaching) => reaching,
        };
        match reaching.poll_unpin(cx) {
            Poll::Ready(held) => {
                let is_enough = held.bytes() >= bytes;
                self.state = Credit::Held(held);
                // The pending request was for fewer bytes: ask again.
                is_enough || self.poll_reach(cx, bytes)
            }
            Poll::Pending => {
                self.state = Credit::Reaching(reaching);
                false
            }
        }
    }

    /// Returns all memory beyond `bytes`.
    pub(super) fn settle(&mut self, bytes: usize) {
        match &mut self.state {
            Credit::Held(_) if bytes <= SHORT_BYTES => self.state = Credit::None,
            Credit::Held(held) => held.shrink_to(bytes),
            Credit::None | Credit::Reaching(_) => {}
        }
    }

    /// Whether the client holds memory or waits for it.
    pub(super) fn is_used(&self) -> bool {
        !matches!(self.state, Credit::None)
    }
}
