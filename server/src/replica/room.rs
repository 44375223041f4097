//! Memory for the long reply of a read: taken before the reply is made, given back when it has left.
//!
//! A frame says how many bytes of replies its client has room for. For more than fits into one
//! piece of a link, so much is taken from the budget of the link and from that of the node, in this
//! order and in turn with others. Whoever waits is dropped when its caller gives up.

use std::time::Duration;

use bytes::Bytes;
use coterie_budget::{Budget, Permit};
use coterie_protocol::Frame;
use coterie_rpc::Responder;

/// A reply that is longer is made when there is memory for it.
const LONG_BYTES: usize = 64 << 10;
/// How often a caller is told that its call is being worked on, and asked whether it still waits.
const PERIOD: Duration = Duration::from_millis(200);

/// Permits for the bytes of a reply: the link's, and the node's. None for a short one.
#[derive(Debug, Default)]
pub(super) struct Room(Vec<Permit>);

impl Room {
    /// Whether the replies to a frame may be long.
    pub(super) fn is_needed(frame: &Frame) -> bool {
        frame.reply_room.is_none_or(|room| room > LONG_BYTES)
    }

    /// Room for the replies to a frame, once there is; `None` when nobody waits for them any more.
    pub(super) async fn of(frame: &Frame, replies: &Budget, responder: &Responder) -> Option<Self> {
        let bytes = frame.reply_room.unwrap_or(usize::MAX);
        let mut permits = Vec::with_capacity(2);
        if let Some(link) = responder.link_budget() {
            permits.push(while_working(link.take(bytes), responder).await?);
        }
        permits.push(while_working(replies.take(bytes), responder).await?);
        Some(Self(permits))
    }

    /// Answers with `reply`, and gives the room back when that has left.
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

/// Waits for work under way, and tells the caller so; `None` when it does not wait any more.
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
