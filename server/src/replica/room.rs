//! Memory for the long reply of a read: taken before the reply is made, released when it has left.
//!
//! A frame says how many bytes of replies its client has room for. If that exceeds one piece of a
//! link, as many bytes are taken from the budget of the link and then from the node's, in turn with
//! other reads. A read that waits is dropped when its caller gives up.

use std::time::Duration;

use bytes::Bytes;
use coterie_budget::{Budget, Permit};
use coterie_group::ResolvedFrame;
use coterie_rpc::Responder;

/// A longer reply is made only when there is memory for it.
const LONG_BYTES: usize = 64 << 10;
/// How often a caller hears that its call is in progress, and is checked for having given up.
const PERIOD: Duration = Duration::from_millis(200);

/// Permits for the bytes of a reply: the link's, and the node's. Empty for a short reply.
#[derive(Debug, Default)]
pub(super) struct Room(Vec<Permit>);

impl Room {
    /// Whether the replies to a frame may be long.
    pub(super) fn is_needed(frame: &ResolvedFrame) -> bool {
        frame.reply_room.is_none_or(|room| room > LONG_BYTES)
    }

    /// Waits for room for the replies to a frame; `None` when the caller gives up.
    pub(super) async fn of(
        frame: &ResolvedFrame,
        replies: &Budget,
        responder: &Responder,
    ) -> Option<Self> {
        let bytes = frame.reply_room.unwrap_or(usize::MAX);
        let mut permits = Vec::with_capacity(2);
        if let Some(link) = responder.link_budget() {
            permits.push(while_working(link.take(bytes), responder).await?);
        }
        permits.push(while_working(replies.take(bytes), responder).await?);
        Some(Self(permits))
    }

    /// Answers with `reply`, and gives the room back when the reply has left.
    pub(super) fn send(mut self, reply: Bytes, responder: Responder) {
        if self.0.is_empty() {
            return responder.send(reply);
        }
        for permit in &mut self.0 {
            // A reply longer than the whole budget has all of it to itself.
            permit.grow(reply.len().saturating_sub(permit.bytes()));
            permit.shrink_to(reply.len());
        }
        responder.send_holding(reply, self);
    }
}

/// Waits for work in progress, and tells the caller so; `None` when the caller gives up.
pub(super) async fn while_working<T>(
    work: impl Future<Output = T>,
    responder: &Responder,
) -> Option<T> {
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(PERIOD, &mut work).await {
            Ok(done) => return Some(done),
            Err(_) if responder.is_abandoned() => return None,
            Err(_) => responder.working(),
        }
    }
}
