//! Comparing a new replica with the leader's: the digests of both at one log index.

use std::time::Duration;

use coterie_protocol::server::{Digest, ServerAnswer, ServerRequest};
use coterie_types::{GroupId, NodeId};
use tokio::time::Instant;

use super::cx::{ASK_TIMEOUT, Cx, Stop, reason};
use super::leader::Consulted;
use crate::ports::{Meta, Servers};

/// How long the executor waits for a digest before it asks for a new digest: a process that was
/// restarted meanwhile no longer knows of the first.
pub(super) const DIGEST_TIMEOUT: Duration = Duration::from_secs(300);

/// The result of a comparison.
pub(super) enum Compared {
    /// The digests are equal, which this line says.
    Equal(String),
    /// The digests differ, which this line says.
    Different(String),
    /// A digest is missing, for this reason.
    NotYet(String),
}

/// A comparison under way.
#[derive(Default)]
pub(super) struct Comparison(Option<Asked>);

/// A digest that the group was asked for.
#[derive(Clone, Copy)]
struct Asked {
    nonce: u64,
    leader: NodeId,
    at: Instant,
}

impl Comparison {
    /// Compares the leader's replica with the replica on node `to`. The group is asked for a digest
    /// once; later calls fetch the digests of both nodes.
    pub(super) async fn compare(
        &mut self,
        cx: &Cx<impl Meta, impl Servers>,
        group_id: GroupId,
        to: NodeId,
    ) -> Result<Compared, Stop> {
        let asked = match self.0 {
            Some(asked) if asked.at.elapsed() < DIGEST_TIMEOUT => asked,
            _ => match ask(cx, group_id).await? {
                Ok(asked) => *self.0.insert(asked),
                Err(reason) => return Ok(Compared::NotYet(reason)),
            },
        };
        let mut digests = Vec::new();
        for node_id in [asked.leader, to] {
            match fetch(cx, node_id, group_id, asked.nonce).await? {
                Ok(digest) => digests.push(digest),
                Err(reason) => return Ok(Compared::NotYet(reason)),
            }
        }
        let leader = asked.leader;
        if digests[0] == digests[1] {
            let line = format!("nodes {leader} and {to} agree: {}", shown(&digests[0]));
            return Ok(Compared::Equal(line));
        }
        Ok(Compared::Different(format!(
            "the replicas of group {group_id} differ: node {leader} has {}, node {to} has {}",
            shown(&digests[0]),
            shown(&digests[1])
        )))
    }
}

async fn ask(
    cx: &Cx<impl Meta, impl Servers>,
    group_id: GroupId,
) -> Result<Result<Asked, String>, Stop> {
    let mut nonce = [0; 8];
    if let Err(error) = getrandom::fill(&mut nonce) {
        return Ok(Err(format!("draw a number: {error}")));
    }
    let nonce = u64::from_le_bytes(nonce);
    let request = ServerRequest::TakeDigest {
        group_id,
        nonce,
        fence: cx.fence,
    };
    Ok(match cx.consult_group(group_id, &request).await? {
        Consulted::Answered(leader, ServerAnswer::Ok) => Ok(Asked {
            nonce,
            leader,
            at: Instant::now(),
        }),
        other => Err(other.into_reason()),
    })
}

async fn fetch(
    cx: &Cx<impl Meta, impl Servers>,
    node_id: NodeId,
    group_id: GroupId,
    nonce: u64,
) -> Result<Result<Digest, String>, Stop> {
    let request = ServerRequest::Digest { group_id, nonce };
    Ok(match cx.ask(node_id, request, ASK_TIMEOUT).await? {
        Ok(ServerAnswer::Digest(Some(digest))) => Ok(digest),
        Ok(ServerAnswer::Digest(None)) => Err(format!(
            "node {node_id} counts its records of group {group_id}"
        )),
        answer => Err(format!("node {node_id}: {}", reason(answer))),
    })
}

/// A digest, for a job's log.
fn shown(digest: &Digest) -> String {
    let Digest {
        index,
        records,
        bytes,
        checksum,
    } = digest;
    format!("{records} records of {bytes} bytes at index {index}, checksum {checksum:016x}")
}
