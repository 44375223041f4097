//! Publishes messages at their channels' homes.
//!
//! A home that does not answer is a suspect for a moment, and its deputy is asked first. While a
//! channel's home has just changed, a message goes to the earlier home, too: some proxies may be
//! registered there only. A message that comes twice is dropped by its number (`seen`).

use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_protocol::pubsub::{
    Kind, MESSAGE_BYTES_MAX, Message, NAME_BYTES_MAX, PubSubAnswer, PubSubRequest,
};
use coterie_protocol::{decode, encode, method};
use coterie_redis_compat::CommandError;
use coterie_types::NodeId;

use super::{PubSub, name_too_long};
use crate::clients::Client;
use crate::router::Failure;

/// How long a home may take before its deputy is asked.
const HOME_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a server that did not answer is asked last.
const SUSPECT_FOR: Duration = Duration::from_secs(2);
/// Pause before a message is tried again that no server took.
const PAUSE: Duration = Duration::from_millis(50);

/// Why a server did not answer.
pub(super) struct NoAnswer {
    pub(super) reason: String,
    /// It may have done what it was asked for.
    maybe_done: bool,
}

impl PubSub {
    /// Publishes a message of a client; returns how many clients get it.
    pub(crate) async fn publish(
        &self,
        rpc: &coterie_rpc::Client,
        client: &Client,
        (kind, channel, payload): (Kind, &Bytes, &Bytes),
        deadline: Instant,
    ) -> Result<u64, CommandError> {
        if channel.len() > NAME_BYTES_MAX {
            return Err(name_too_long());
        }
        if payload.len() > MESSAGE_BYTES_MAX {
            return Err(CommandError::Other(format!(
                "ERR a message is limited to {MESSAGE_BYTES_MAX} bytes"
            )));
        }
        self.metrics.messages_published.inc();
        let body = encode(&PubSubRequest::Publish(Message {
            publisher: self.publisher(client),
            number: client.next_message(),
            kind,
            channel: channel.clone(),
            payload: payload.clone(),
        }));
        let mut maybe_done = false;
        loop {
            match self
                .publish_once(rpc, (kind, channel), &body, deadline)
                .await
            {
                Ok(receivers) => return Ok(receivers),
                Err(failed) => {
                    maybe_done |= failed.maybe_done;
                    if Instant::now() + PAUSE >= deadline {
                        return Err(if maybe_done {
                            Failure::Unknown(failed.reason).error()
                        } else {
                            Failure::TryAgain(failed.reason).error()
                        });
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A number that names this client as a publisher.
    fn publisher(&self, client: &Client) -> u64 {
        // Odd, so that clients of a proxy have different numbers.
        self.number
            .wrapping_add(client.id.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    async fn publish_once(
        &self,
        rpc: &coterie_rpc::Client,
        (kind, channel): (Kind, &Bytes),
        body: &Bytes,
        deadline: Instant,
    ) -> Result<u64, NoAnswer> {
        let mut most = None;
        let earlier = self.interest.homes.load().earlier_homes(kind, channel);
        for node in earlier.into_iter().filter(|node| !self.is_suspect(*node)) {
            if let Ok(receivers) = self.count_from(rpc, node, body, deadline).await {
                most = most.max(Some(receivers));
            }
        }
        let mut homes: Vec<NodeId> = self.interest.homes.load().of(kind, channel).collect();
        homes.sort_by_key(|node| self.is_suspect(*node));
        let mut last = NoAnswer {
            reason: "no server is known".to_owned(),
            maybe_done: false,
        };
        for node in homes {
            match self.count_from(rpc, node, body, deadline).await {
                Ok(receivers) => return Ok(receivers.max(most.unwrap_or(0))),
                Err(failed) => {
                    last = NoAnswer {
                        maybe_done: last.maybe_done || failed.maybe_done,
                        ..failed
                    }
                }
            }
        }
        most.ok_or(last)
    }

    async fn count_from(
        &self,
        rpc: &coterie_rpc::Client,
        node: NodeId,
        body: &Bytes,
        deadline: Instant,
    ) -> Result<u64, NoAnswer> {
        match self.ask(rpc, node, body, deadline).await? {
            PubSubAnswer::Count(count) => Ok(count),
            other => Err(NoAnswer {
                reason: format!("node {node} answered {other:?}"),
                maybe_done: true,
            }),
        }
    }

    /// Asks a server, and notes whether it answers.
    pub(super) async fn ask(
        &self,
        rpc: &coterie_rpc::Client,
        node: NodeId,
        body: &Bytes,
        deadline: Instant,
    ) -> Result<PubSubAnswer, NoAnswer> {
        let Some(addr) = self.interest.homes.load().addr(node).cloned() else {
            return Err(NoAnswer {
                reason: format!("node {node} has gone"),
                maybe_done: false,
            });
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let call = rpc.call(&addr, method::PUBSUB, body.clone(), left.min(HOME_TIMEOUT));
        let failed = match call.await {
            Ok(answer) => match decode(&answer) {
                Ok(answer) => {
                    self.trust(node);
                    return Ok(answer);
                }
                Err(error) => NoAnswer {
                    reason: format!("node {node}: {error}"),
                    maybe_done: true,
                },
            },
            Err(error) => NoAnswer {
                reason: format!("node {node}: {error}"),
                maybe_done: !error.surely_not_executed(),
            },
        };
        // Nothing panics while holding it.
        self.suspects.lock().insert(node, Instant::now());
        Err(failed)
    }

    fn trust(&self, node: NodeId) {
        // Nothing panics while holding it.
        let mut suspects = self.suspects.lock();
        if !suspects.is_empty() {
            suspects.remove(&node);
            suspects.retain(|_, since| since.elapsed() < SUSPECT_FOR);
        }
    }

    fn is_suspect(&self, node: NodeId) -> bool {
        // Nothing panics while holding it.
        let suspects = self.suspects.lock();
        suspects
            .get(&node)
            .is_some_and(|since| since.elapsed() < SUSPECT_FOR)
    }
}
