//! Calls from proxies, other servers and controllers: told apart by method, answered or handed on.
//!
//! Runs on the task that reads the connection. Short reads are served there; calls that wait go to
//! a task or a queue.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use coterie_protocol::frozen::{FrozenAnswer, FrozenRequest};
use coterie_protocol::{FrameFlags, Refusal, method};
use coterie_rpc::{Handler, Request, Responder};
use coterie_types::{GroupId, varint};

use crate::admin;
use crate::node::Node;
use crate::replica::{frozen, refuse};

/// See the module's head.
pub(crate) struct Calls(pub(crate) Arc<Node>);

impl Handler for Calls {
    fn handle(&self, request: Request, responder: Responder) {
        match request.method {
            method::EXECUTE => execute(&self.0, request.body, request.deadline, responder),
            method::FROZEN => read_frozen(&self.0, &request.body, responder),
            method::SCAN_PLACE => self.0.scan_places.handle(&request.body, responder),
            method::WAIT_NEWS => self.0.settings.links.handle(&request.body, responder),
            method::NEWS => self.0.settings.news.handle(&request.body, responder),
            method::TRACK_PREFIXES => self.0.settings.trackers.handle(&request.body, responder),
            method::PUBSUB => self.0.settings.pubsub.handle(&request.body, responder),
            asked if method::RAFT.contains(&asked) => self.0.raft.handle(request, responder),
            method::SERVER_ADMIN => {
                let node = Arc::clone(&self.0);
                tokio::spawn(async move { admin::handle(&node, &request.body, responder).await });
            }
            other => responder.fail(&format!("a server has no method {other}")),
        }
    }
}

fn execute(node: &Node, mut body: Bytes, deadline: Instant, responder: Responder) {
    let Some(group_id) = varint::take(&mut body).map(GroupId) else {
        let reason = "no group id".to_owned();
        return refuse(responder, Refusal::Malformed { reason });
    };
    let Some(replica) = node.replica(group_id) else {
        return refuse(responder, Refusal::NoSuchGroup { group_id });
    };
    let flags = FrameFlags(body.first().copied().unwrap_or_default());
    if flags.has(FrameFlags::READ_ONLY) {
        replica.reads.submit(body, responder)
    } else {
        replica.writes.submit(body, deadline, responder)
    }
}

/// Answers the destination of a move from a frozen copy here.
fn read_frozen(node: &Node, body: &[u8], responder: Responder) {
    let request: FrozenRequest = match coterie_protocol::decode(body) {
        Ok(request) => request,
        Err(error) => return responder.fail(&error.to_string()),
    };
    let Some(replica) = node.replica(request.group_id) else {
        return responder.send(coterie_protocol::encode(&FrozenAnswer::NotHere));
    };
    let short = frozen::is_short(&request.read);
    let answer = move || {
        let answer = frozen::answer(&replica.shared, &request);
        responder.send(coterie_protocol::encode(&answer));
    };
    if short {
        answer()
    } else {
        drop(tokio::task::spawn_blocking(answer))
    }
}
