//! The end of a transaction: the proxy's own commands, when the group has run its part.
//!
//! Most answer at once (`exec`). PUBLISH, SUBSCRIBE and their kind ask servers: they run first, one
//! after another, while nothing else of the client does. Messages wait until the reply is complete,
//! so that none comes before the reply to its SUBSCRIBE.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::call::Call;
use super::connection::Connection;
use super::departure::Socket;
use super::state::{Asked, Mode};
use crate::commands::{self, Handler, Remote};

impl<S: Socket> Connection<S> {
    /// Finishes a transaction whose group has given these replies, and fills its slot.
    pub(super) fn finish(&mut self, slot: u64, queue: Vec<Call>, theirs: Vec<Bytes>) {
        if asking(&queue).next().is_none() {
            let reply = self.put_together(&queue, theirs, Vec::new());
            return self.pipeline.replies.fill(slot, reply);
        }
        self.publish(true);
        let work = Box::pin(ask(self.remotes(&queue)));
        self.mode = Mode::Finishing {
            slot,
            queue,
            theirs,
            work,
        };
    }

    /// Whether any of the queued commands asks servers when the transaction ends.
    pub(super) fn asks_servers(queue: &[Call]) -> bool {
        asking(queue).next().is_some()
    }

    /// Goes on with a transaction that is finishing; returns whether it has finished.
    pub(super) fn poll_finishing(
        &mut self,
        (slot, queue, theirs): (u64, Vec<Call>, Vec<Bytes>),
        mut work: BoxFuture<'static, Asked>,
        cx: &mut Context<'_>,
    ) -> bool {
        let Poll::Ready(asked) = work.poll_unpin(cx) else {
            self.mode = Mode::Finishing {
                slot,
                queue,
                theirs,
                work,
            };
            return false;
        };
        let reply = self.put_together(&queue, theirs, asked);
        self.pipeline.replies.fill(slot, reply);
        true
    }

    /// The queued commands that ask servers.
    fn remotes(&self, queue: &[Call]) -> Vec<(commands::Alone, Remote)> {
        let now = Instant::now();
        let remote = |(run, queued): (commands::Alone, &Call)| {
            let call = Arc::new(Call {
                args: queued.args.clone(),
                resp: self.session.resp,
                began: now,
                deadline: now + self.shared.router.request_timeout,
                ..*queued
            });
            let remote = Remote {
                call,
                client: Arc::clone(&self.client),
                shared: Arc::clone(&self.shared),
                user: self.session.user.clone(),
                wrote: Vec::new(),
            };
            (run, remote)
        };
        asking(queue).map(remote).collect()
    }
}

fn asking(queue: &[Call]) -> impl Iterator<Item = (commands::Alone, &Call)> {
    queue
        .iter()
        .filter_map(|queued| match commands::handler(queued.row) {
            Some(Handler::AlsoQueued(run)) if queued.denied.is_none() => Some((run, queued)),
            _ => None,
        })
}

async fn ask(calls: Vec<(commands::Alone, Remote)>) -> Asked {
    let mut asked = Vec::with_capacity(calls.len());
    for (run, call) in calls {
        asked.push(run(call).await);
    }
    asked
}
