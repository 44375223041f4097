//! Replacing a replica: an empty one on another node, which learns, is compared with the leader's,
//! and becomes a voter in the old one's place; then the map, then the end of the old one. A group
//! that has too few gets one more in the same way, with no old one to end.
//!
//! The group's log decides who its members are. Until it was asked to change them the job may be
//! turned back, which is a phase of its own and leaves the group as it was: also when the new node
//! cannot take the replica in (`patience`), and then the planner asks it for no such thing for a
//! while. Afterwards the map follows whatever the group says.

use std::time::Duration;

use coterie_protocol::catalog::JobDescriptor;
use coterie_protocol::meta::ControllerOp;
use coterie_protocol::server::{Digest, ReplicaStatus, ServerAnswer, ServerRequest};
use coterie_types::{GroupDescriptor, GroupId, NodeId, Replica, Role};
use tokio::time::Instant;

use super::leader::Consulted;
use super::make_groups::said;
use super::{ASK_TIMEOUT, Executor, Recall, Stop, Taken};
use crate::job::{self, AddReplica, ReplacePhase, ReplaceReplica, Step};
use crate::ports::{Meta, Servers};

/// The server answers before, with how far it is: a snapshot may take many times as long.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the counting of records is waited for before it is asked for anew: a process that was
/// started meanwhile knows nothing of it.
pub(super) const DIGEST_TIMEOUT: Duration = Duration::from_secs(300);

/// How often the old replica's node is asked: if it was not heard, it is told when it is back.
const DESTROY_ATTEMPTS: u32 = 3;

/// The parameters of [`Step::ReplaceReplica`] and [`Step::AddReplica`].
#[derive(Clone, Copy)]
pub(super) struct Replacement<'a> {
    pub(super) group_id: GroupId,
    /// The node that goes, if one does.
    pub(super) from: Option<NodeId>,
    pub(super) to: NodeId,
    pub(super) replicas: &'a [Replica],
}

impl Replacement<'_> {
    fn step(self, phase: ReplacePhase) -> Step {
        let (group_id, to, replicas) = (self.group_id, self.to, self.replicas.to_vec());
        match self.from {
            Some(from) => Step::ReplaceReplica(ReplaceReplica {
                phase,
                group_id,
                from,
                to,
                replicas,
            }),
            None => Step::AddReplica(AddReplica {
                phase,
                group_id,
                to,
                replicas,
            }),
        }
    }

    fn next(self, phase: ReplacePhase) -> Taken {
        Taken::Next(self.step(phase))
    }

    fn undo(self, reason: &str) -> Taken {
        self.back(ReplacePhase::Undo, reason)
    }

    fn back(self, phase: ReplacePhase, reason: &str) -> Taken {
        Taken::Turn(self.step(phase), job::turned_back(reason))
    }

    /// Whether the group has made the change.
    pub(super) fn is_made(self, status: &ReplicaStatus) -> bool {
        let mut members = status.replicas.iter();
        members.any(|replica| replica.node_id == self.to && replica.role == Role::Voter)
    }
}

/// A digest that was asked for.
#[derive(Clone, Copy)]
pub(super) struct AskedDigest {
    nonce: u64,
    leader: NodeId,
    at: Instant,
}

impl<M: Meta, S: Servers> Executor<M, S> {
    pub(super) async fn replace(
        &self,
        phase: ReplacePhase,
        replacement: Replacement<'_>,
        job: &JobDescriptor,
        recall: &mut Recall,
    ) -> Result<Taken, Stop> {
        let Replacement { group_id, to, .. } = replacement;
        let is_early = phase < ReplacePhase::Publish;
        if is_early && self.is_gone(to) {
            let reason = format!("node {to} went away before it was a member of group {group_id}");
            return self.turn_back(phase, replacement, &reason).await;
        }
        let members = self.members(group_id);
        let mut staying = replacement.replicas.iter().map(|replica| replica.node_id);
        if is_early && let Some(gone) = staying.find(|id| *id != to && !members.contains(id)) {
            let reason = format!(
                "node {gone}, which was to stay, is no member of group {group_id} any more"
            );
            return self.turn_back(phase, replacement, &reason).await;
        }
        let taken = match phase {
            ReplacePhase::Create => self.create_replacement(replacement).await,
            ReplacePhase::Learn => self.add_learner(replacement).await,
            ReplacePhase::Verify => self.verify(replacement, recall).await,
            ReplacePhase::Change => self.change_members(replacement).await,
            ReplacePhase::Publish => self.publish_members(replacement).await,
            ReplacePhase::Destroy => self.destroy_old(replacement, recall).await,
            ReplacePhase::Undo | ReplacePhase::Refuse => self.undo(replacement, job).await,
        };
        match taken? {
            Taken::Wait(line) if is_early => {
                let given_up = self.given_up(phase, replacement, recall).await?;
                Ok(match given_up {
                    Some((phase, reason)) => replacement.back(phase, &reason),
                    None => Taken::Wait(line),
                })
            }
            taken => Ok(taken),
        }
    }

    /// Back, unless the group has made the change: then only its row is left to be written.
    async fn turn_back(
        &self,
        phase: ReplacePhase,
        replacement: Replacement<'_>,
        reason: &str,
    ) -> Result<Taken, Stop> {
        if phase < ReplacePhase::Change {
            return Ok(replacement.undo(reason));
        }
        Ok(match self.leader_status(replacement.group_id).await? {
            Ok((_, status)) if replacement.is_made(&status) => {
                replacement.next(ReplacePhase::Publish)
            }
            Ok(_) => replacement.undo(reason),
            Err(unheard) => Taken::Wait(format!("{reason}; {unheard}")),
        })
    }

    async fn create_replacement(&self, replacement: Replacement<'_>) -> Result<Taken, Stop> {
        let Replacement { group_id, to, .. } = replacement;
        let fence = self.fence;
        let request = ServerRequest::CreateReplica { group_id, fence };
        let answer = self.ask(to, request, ASK_TIMEOUT).await?;
        if answer == Ok(ServerAnswer::Ok) {
            return Ok(replacement.next(ReplacePhase::Learn));
        }
        Ok(Taken::Wait(format!(
            "node {to} has no replica of group {group_id} yet: {}",
            said(answer)
        )))
    }

    async fn add_learner(&self, replacement: Replacement<'_>) -> Result<Taken, Stop> {
        let Replacement { group_id, to, .. } = replacement;
        let request = ServerRequest::AddLearner {
            group_id,
            node_id: to,
            fence: self.fence,
        };
        let members = self.members(group_id);
        let asked = self.ask_leader(group_id, members, &request, CHANGE_TIMEOUT);
        Ok(match asked.await? {
            Ok(()) => replacement.next(ReplacePhase::Verify),
            Err(reason) => Taken::Wait(reason),
        })
    }

    /// Compares what the leader and the new replica have at one log index.
    async fn verify(
        &self,
        replacement: Replacement<'_>,
        recall: &mut Recall,
    ) -> Result<Taken, Stop> {
        let Replacement { group_id, to, .. } = replacement;
        let asked = match recall.digest {
            Some(asked) if asked.at.elapsed() < DIGEST_TIMEOUT => asked,
            _ => match self.take_digest(group_id).await? {
                Ok(asked) => *recall.digest.insert(asked),
                Err(reason) => return Ok(Taken::Wait(reason)),
            },
        };
        let mut digests = Vec::new();
        for node_id in [asked.leader, to] {
            match self.digest(node_id, group_id, asked.nonce).await? {
                Ok(digest) => digests.push(digest),
                Err(reason) => return Ok(Taken::Wait(reason)),
            }
        }
        if digests[0] == digests[1] {
            let line = format!(
                "nodes {} and {to} agree: {}",
                asked.leader,
                told(&digests[0])
            );
            return Ok(Taken::Turn(replacement.step(ReplacePhase::Change), line));
        }
        let reason = format!(
            "the replicas of group {group_id} differ: node {} has {}, node {to} has {}",
            asked.leader,
            told(&digests[0]),
            told(&digests[1])
        );
        Ok(replacement.back(ReplacePhase::Refuse, &reason))
    }

    async fn take_digest(&self, group_id: GroupId) -> Result<Result<AskedDigest, String>, Stop> {
        let mut nonce = [0; 8];
        if let Err(error) = getrandom::fill(&mut nonce) {
            return Ok(Err(format!("draw a number: {error}")));
        }
        let nonce = u64::from_le_bytes(nonce);
        let fence = self.fence;
        let request = ServerRequest::TakeDigest {
            group_id,
            nonce,
            fence,
        };
        let members = self.members(group_id);
        Ok(
            match self
                .consult(group_id, members, &request, ASK_TIMEOUT)
                .await?
            {
                Consulted::Answered(leader, ServerAnswer::Ok) => Ok(AskedDigest {
                    nonce,
                    leader,
                    at: Instant::now(),
                }),
                Consulted::Answered(node_id, other) => Err(format!("node {node_id}: {other:?}")),
                Consulted::Refused(reason) | Consulted::Unheard(reason) => Err(reason),
            },
        )
    }

    async fn digest(
        &self,
        node_id: NodeId,
        group_id: GroupId,
        nonce: u64,
    ) -> Result<Result<Digest, String>, Stop> {
        let request = ServerRequest::Digest { group_id, nonce };
        Ok(match self.ask(node_id, request, ASK_TIMEOUT).await? {
            Ok(ServerAnswer::Digest(Some(digest))) => Ok(digest),
            Ok(ServerAnswer::Digest(None)) => Err(format!(
                "node {node_id} counts its records of group {group_id}"
            )),
            answer => Err(format!("node {node_id}: {}", said(answer))),
        })
    }

    async fn change_members(&self, replacement: Replacement<'_>) -> Result<Taken, Stop> {
        let Replacement {
            group_id,
            from,
            replicas,
            ..
        } = replacement;
        let request = ServerRequest::ChangeReplicas {
            group_id,
            replicas: replicas.to_vec(),
            fence: self.fence,
        };
        let members = replicas.iter().map(|replica| replica.node_id);
        let asked = self.ask_leader(group_id, members, &request, CHANGE_TIMEOUT);
        Ok(match asked.await? {
            Ok(()) => replacement.next(ReplacePhase::Publish),
            Err(reason) => Taken::Wait(match from {
                Some(from) => {
                    format!("group {group_id} does not do without node {from} yet: {reason}")
                }
                None => format!("group {group_id} has no more members yet: {reason}"),
            }),
        })
    }

    async fn publish_members(&self, replacement: Replacement<'_>) -> Result<Taken, Stop> {
        let row = GroupDescriptor {
            group_id: replacement.group_id,
            replicas: replacement.replicas.to_vec(),
        };
        match self.change(vec![ControllerOp::PutGroup(row)]).await {
            Ok(_) => Ok(replacement.next(ReplacePhase::Destroy)),
            Err(Stop::Refused(rejection)) => Ok(Taken::GiveUp(format!("meta: {rejection}"))),
            Err(stop) => Err(stop),
        }
    }

    /// Asked a few times. A node that is away is told when it comes back (`planner/strays.rs`).
    async fn destroy_old(
        &self,
        replacement: Replacement<'_>,
        recall: &mut Recall,
    ) -> Result<Taken, Stop> {
        let Replacement {
            group_id, from, to, ..
        } = replacement;
        let Some(from) = from else {
            let line = format!("node {to} holds one more replica of group {group_id}");
            return Ok(Taken::Done(line));
        };
        let line =
            format!("node {to} holds the replica of group {group_id} that was on node {from}");
        if self.is_gone(from) || self.is_removed(from) {
            return Ok(Taken::Done(line));
        }
        Ok(match self.destroy(from, group_id).await? {
            Ok(()) => Taken::Done(line),
            Err(reason) => {
                recall.refusals += 1;
                if recall.refusals < DESTROY_ATTEMPTS {
                    Taken::Wait(reason)
                } else {
                    Taken::Done(format!("{line}, which has not removed it yet: {reason}"))
                }
            }
        })
    }

    /// The group goes on with the replicas it has, and the new one is removed.
    async fn undo(&self, replacement: Replacement<'_>, job: &JobDescriptor) -> Result<Taken, Stop> {
        let Replacement { group_id, to, .. } = replacement;
        let members = match self.leader_status(group_id).await? {
            Ok((_, status)) => status.replicas,
            Err(reason) => return Ok(Taken::Wait(reason)),
        };
        if members.iter().any(|replica| replica.node_id == to) {
            let others = members.iter().filter(|replica| replica.node_id != to);
            let others: Vec<Replica> = others.copied().collect();
            let request = ServerRequest::ChangeReplicas {
                group_id,
                replicas: others.clone(),
                fence: self.fence,
            };
            let members = others.iter().map(|replica| replica.node_id);
            let asked = self.ask_leader(group_id, members, &request, CHANGE_TIMEOUT);
            if let Err(reason) = asked.await? {
                return Ok(Taken::Wait(format!(
                    "group {group_id} does not do without node {to} yet: {reason}"
                )));
            }
        }
        if !self.is_gone(to) {
            // Once: if it is not heard now, it is told later.
            let _ = self.destroy(to, group_id).await?;
        }
        Ok(Taken::GiveUp(job::why_turned_back(job)))
    }

    /// Has a node remove its replica of a group.
    pub(super) async fn destroy(
        &self,
        node_id: NodeId,
        group_id: GroupId,
    ) -> Result<Result<(), String>, Stop> {
        let fence = self.fence;
        let request = ServerRequest::DestroyReplica { group_id, fence };
        Ok(match self.ask(node_id, request, ASK_TIMEOUT).await? {
            Ok(ServerAnswer::Ok | ServerAnswer::NoSuchGroup) => Ok(()),
            answer => Err(format!("node {node_id}: {}", said(answer))),
        })
    }
}

/// A digest, for a job's log.
fn told(digest: &Digest) -> String {
    let Digest {
        index,
        records,
        bytes,
        checksum,
    } = digest;
    format!("{records} records of {bytes} bytes at index {index}, checksum {checksum:016x}")
}
