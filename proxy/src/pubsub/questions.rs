//! The questions of `PUBSUB`, which servers answer for all proxies.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use bytes::Bytes;
use coterie_protocol::encode;
use coterie_protocol::pubsub::{Kind, NAMES_PER_CALL_MAX, PubSubAnswer, PubSubRequest};
use coterie_redis_compat::CommandError;
use coterie_types::NodeId;
use futures_util::future::join_all;

use super::PubSub;
use crate::router::Failure;

/// Bytes of names in a reply.
const REPLY_BYTES_MAX: usize = 64 << 20;

impl PubSub {
    /// The channels with subscribers that fit a pattern, of all proxies.
    pub(crate) async fn channels(
        &self,
        rpc: &coterie_rpc::Client,
        kind: Kind,
        pattern: Option<Bytes>,
        deadline: Instant,
    ) -> Result<BTreeSet<Bytes>, CommandError> {
        let nodes = self.live();
        let all = nodes
            .iter()
            .map(|node| self.names_at(rpc, *node, (kind, &pattern), deadline));
        let (mut names, mut bytes) = (BTreeSet::new(), 0);
        // Each name is at two servers: the answers of all but one suffice.
        let (answers, failed): (Vec<_>, Vec<_>) =
            join_all(all).await.into_iter().partition(Result::is_ok);
        if let Some(Err(error)) = failed.into_iter().nth(1.min(nodes.len().saturating_sub(1))) {
            return Err(error);
        }
        for name in answers.into_iter().flatten().flatten() {
            bytes += name.len();
            names.insert(name);
            if bytes > 2 * REPLY_BYTES_MAX {
                return Err(CommandError::reply_too_long(REPLY_BYTES_MAX));
            }
        }
        Ok(names)
    }

    /// The names that a server knows.
    async fn names_at(
        &self,
        rpc: &coterie_rpc::Client,
        node: NodeId,
        (kind, pattern): (Kind, &Option<Bytes>),
        deadline: Instant,
    ) -> Result<Vec<Bytes>, CommandError> {
        let (mut found, mut bytes) = (Vec::new(), 0);
        let mut after: Option<Bytes> = None;
        loop {
            let body = encode(&PubSubRequest::Names {
                kind,
                pattern: pattern.clone(),
                after: after.clone(),
            });
            let (names, more) = match self.ask(rpc, node, &body, deadline).await {
                Ok(PubSubAnswer::Names { names, more }) => (names, more),
                Ok(other) => return Err(unread(node, &other)),
                Err(failed) => return Err(Failure::TryAgain(failed.reason).error()),
            };
            bytes += names.iter().map(Bytes::len).sum::<usize>();
            if bytes > REPLY_BYTES_MAX {
                return Err(CommandError::reply_too_long(REPLY_BYTES_MAX));
            }
            found.extend(names);
            if !more {
                return Ok(found);
            }
            after = found.last().cloned();
        }
    }

    /// How many clients of all proxies subscribe to each of these.
    pub(crate) async fn subscribers(
        &self,
        rpc: &coterie_rpc::Client,
        kind: Kind,
        names: &[Bytes],
        deadline: Instant,
    ) -> Result<Vec<u64>, CommandError> {
        let mut counts = vec![0; names.len()];
        let mut missing: BTreeSet<usize> = (0..names.len()).collect();
        let mut last = "no server is known".to_owned();
        // The home of each channel is asked first, then its deputy.
        for turn in 0..2 {
            let mut by_node: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
            let known = self.interest.homes.load();
            for at in &missing {
                if let Some(node) = known.of(kind, &names[*at]).nth(turn) {
                    by_node.entry(node).or_default().push(*at);
                }
            }
            for (node, places) in by_node {
                for places in places.chunks(NAMES_PER_CALL_MAX) {
                    let asked = places.iter().map(|at| names[*at].clone()).collect();
                    let body = encode(&PubSubRequest::Subscribers { kind, names: asked });
                    match self.ask(rpc, node, &body, deadline).await {
                        Ok(PubSubAnswer::Counts(found)) if found.len() == places.len() => {
                            for (at, count) in places.iter().zip(found) {
                                counts[*at] = count;
                            }
                            missing.retain(|at| places.binary_search(at).is_err());
                        }
                        Ok(other) => return Err(unread(node, &other)),
                        Err(failed) => last = failed.reason,
                    }
                }
            }
            if missing.is_empty() {
                return Ok(counts);
            }
        }
        Err(Failure::TryAgain(last).error())
    }

    /// How many different patterns the clients of all proxies subscribe to.
    pub(crate) async fn patterns(
        &self,
        rpc: &coterie_rpc::Client,
        deadline: Instant,
    ) -> Result<u64, CommandError> {
        let nodes = self.live();
        let body = encode(&PubSubRequest::Patterns);
        let all = nodes
            .iter()
            .map(|node| self.ask(rpc, *node, &body, deadline));
        let mut most = None;
        for answer in join_all(all).await {
            // All servers know all patterns, except for those that have just come.
            if let Ok(PubSubAnswer::Count(count)) = answer {
                most = most.max(Some(count));
            }
        }
        most.ok_or_else(|| Failure::TryAgain("no server answered".to_owned()).error())
    }

    fn live(&self) -> Vec<NodeId> {
        self.interest.homes.load().now.keys().copied().collect()
    }
}

fn unread(node: NodeId, answer: &PubSubAnswer) -> CommandError {
    let reason = format!("node {node} answered {answer:?}");
    Failure::TryAgain(reason).error()
}
