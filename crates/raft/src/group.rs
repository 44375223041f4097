//! The handle of a group on this node.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use coterie_protocol::method;
use coterie_types::{GroupId, LogIndex, NodeId, Replica, Role, Term};
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{
    ClientWriteError, ForwardToLeader, LinearizableReadError, RaftError as OpenraftError,
};
use openraft::impls::ProgressResponder;
use openraft::raft::ClientWriteResult;
use openraft::{EmptyNode, ReadPolicy};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::config::RaftConfig;
use crate::error::{ProposeError, RaftError};
use crate::fence::Fence;
use crate::hand_overs::HandOvers;
use crate::heard::Heard;
use crate::lease::{self, Transfers};
use crate::log::GroupLog;
use crate::machine::{OpenraftMachine, Progress};
use crate::network::Network;
use crate::part::Part;
use crate::snapshot::SnapshotReceiver;
use crate::stopping::Stopping;
use crate::type_config::{Payload, TypeConfig};
use crate::wire::ReadIndex;

type OneshotReceiver =
    openraft::alias::OneshotReceiverOf<TypeConfig, ClientWriteResult<TypeConfig>>;

pub(crate) struct OpenGroup {
    pub(crate) group_id: GroupId,
    pub(crate) node_id: NodeId,
    pub(crate) raft: openraft::Raft<TypeConfig, OpenraftMachine>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) log: GroupLog,
    pub(crate) config: RaftConfig,
    pub(crate) fence: Fence,
    /// How far the replica takes part in its group.
    pub(crate) part: watch::Sender<Part>,
    pub(crate) transfers: Transfers,
    pub(crate) hand_overs: HandOvers,
    /// Shared by the whole process.
    pub(crate) stopping: Arc<Stopping>,
    pub(crate) heard: Heard,
    pub(crate) receiver: Arc<SnapshotReceiver>,
    pub(crate) network: Network,
    /// The end of its log was lost; a task of the group recovers it.
    pub(crate) recovers_tail: bool,
    /// Nodes that claimed to lead the group, or asked for its vote, and were refused because the
    /// log of this replica is lost.
    pub(crate) claimants: Mutex<BTreeSet<NodeId>>,
    /// Calls from other nodes that are in flight.
    pub(crate) calls: TaskTracker,
}

/// A group of this node. Cheap to clone.
#[derive(Clone)]
pub struct Group(pub(crate) Arc<OpenGroup>);

/// The state of a replica, as far as it knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupStatus {
    /// Its term.
    pub term: Term,
    /// The leader it follows, or itself.
    pub leader: Option<NodeId>,
    /// Whether it leads.
    pub is_leader: bool,
    /// Last entry in its log.
    pub last_index: LogIndex,
    /// The term of that entry: of two logs, the log with the later last term is more up to date.
    pub last_term: Term,
    /// Last entry applied.
    pub applied_index: LogIndex,
    /// Last entry durable in the state machine.
    pub flushed_index: LogIndex,
    /// First entry still in the log.
    pub first_index: LogIndex,
    /// The members in its newest configuration, sorted by node.
    pub replicas: Vec<Replica>,
    /// On the leader: the last entry that each member is known to have.
    pub matched: BTreeMap<NodeId, LogIndex>,
    /// Why the replica stopped, if it did.
    pub fault: Option<String>,
}

/// A proposal in flight: resolves to the result of applying it.
pub struct PendingAnswer(OneshotReceiver);

impl Future for PendingAnswer {
    type Output = Result<Bytes, ProposeError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|received| match received {
                Ok(Ok(response)) => Ok(response.data.0),
                // openraft 0.10.0-alpha.37 returns this only before anything is appended
                // (`write_entries`), so the entry was certainly not proposed.
                Ok(Err(ClientWriteError::ForwardToLeader(forward))) => Err(not_leader(&forward)),
                Ok(Err(_)) | Err(_) => Err(ProposeError::Unknown),
            })
    }
}

/// openraft's reason why a group no longer runs.
fn stopped<T>(running: &Result<(), T>) -> Option<String>
where
    T: std::fmt::Display,
{
    running.as_ref().err().map(T::to_string)
}

fn not_leader(forward: &ForwardToLeader<TypeConfig>) -> ProposeError {
    ProposeError::NotLeader {
        leader: forward.leader_id.map(NodeId),
        term: Term(0),
    }
}

impl Group {
    /// The group's id.
    #[must_use]
    pub fn id(&self) -> GroupId {
        self.0.group_id
    }

    /// The node of this replica.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.0.node_id
    }

    /// Proposes an entry and waits until it is committed and applied here.
    pub async fn propose(&self, payload: Bytes) -> Result<Bytes, ProposeError> {
        self.start_proposal(payload)
            .await?
            .await
            .map_err(|error| self.with_term(error))
    }

    /// Hands an entry to Raft; the returned future resolves to the result. Entries are appended in
    /// the order of these calls.
    pub async fn start_proposal(&self, payload: Bytes) -> Result<PendingAnswer, ProposeError> {
        let (responder, answer) = ProgressResponder::complete_only();
        let _passed = self.0.hand_overs.gate.read().await;
        self.0
            .raft
            .client_write_ff(Payload(payload), Some(responder))
            .await
            .map_err(|fatal| ProposeError::Stopped(fatal.to_string()))?;
        Ok(PendingAnswer(answer))
    }

    /// Completes a refusal with this replica's term and, where missing, the leader from its
    /// metrics. The metrics lag behind Raft's core, so a replica that was just deposed leaves
    /// itself out.
    #[must_use]
    pub fn with_term(&self, error: ProposeError) -> ProposeError {
        match error {
            ProposeError::NotLeader { leader, .. } => {
                let (known, term) = self.leader();
                let other = known.filter(|known| *known != self.0.node_id);
                ProposeError::NotLeader {
                    leader: leader.or(other),
                    term,
                }
            }
            other => other,
        }
    }

    /// The leader that this replica knows, and its term.
    #[must_use]
    pub fn leader(&self) -> (Option<NodeId>, Term) {
        let metrics = self.0.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let term = metrics.vote.leader_id.term;
        (metrics.current_leader.map(NodeId), Term(term))
    }

    /// How long the restart fence of this replica still lasts. Until then it neither votes nor
    /// campaigns, so it cannot take over leadership.
    #[must_use]
    pub fn fence_remaining(&self) -> Duration {
        self.0.fence.remaining()
    }

    /// Whether this replica leads, as far as it knows.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.leader().0 == Some(self.0.node_id)
    }

    /// Whether a read may be served right now without asking a quorum (see `lease`).
    #[must_use]
    pub fn lease_read_ready(&self) -> bool {
        let inner = &self.0;
        lease::allows_read(
            &inner.raft,
            &inner.progress,
            &inner.transfers,
            inner.config.lease(),
        )
    }

    /// Whether this replica can serve as the leader now, possibly after asking a quorum.
    #[must_use]
    pub fn serves(&self) -> bool {
        let inner = &self.0;
        lease::leads_surely(&inner.raft, &inner.progress, inner.config.lease())
    }

    /// Whether a majority of the voters has room, as far as they have reported. If not, writes that
    /// grow the data are to be refused. Only meaningful on the leader.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let rooms = &self.0.network.rooms;
        if rooms.all_ample() && !rooms.is_scarce() {
            return true;
        }
        let scarce = |node: &u64| match NodeId(*node) {
            node if node == self.0.node_id => rooms.is_scarce(),
            node => rooms.scarce_at(node),
        };
        let metrics = self.0.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        membership.get_joint_config().iter().all(|voters| {
            let without = voters.iter().filter(|node| scarce(node)).count();
            voters.len() - without > voters.len() / 2
        })
    }

    /// Whether some other voter has not reported scarce room lately. Only meaningful on the leader.
    #[must_use]
    pub fn has_roomier_voter(&self) -> bool {
        let metrics = self.0.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let mut voters = metrics.membership_config.membership().voter_ids();
        let rooms = &self.0.network.rooms;
        voters.any(|voter| voter != self.0.node_id.0 && !rooms.scarce_at(NodeId(voter)))
    }

    /// Waits until a read here is linearizable: confirms leadership with a quorum, then waits for
    /// apply.
    pub async fn read_barrier(&self) -> Result<(), ProposeError> {
        let raft = &self.0.raft;
        let linearizer = match raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
            Ok(linearizer) => linearizer,
            Err(OpenraftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
                return Err(self.with_term(not_leader(&forward)));
            }
            Err(OpenraftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => {
                let (_, term) = self.leader();
                return Err(ProposeError::NotLeader { leader: None, term });
            }
            Err(OpenraftError::Fatal(fatal)) => {
                return Err(ProposeError::Stopped(fatal.to_string()));
            }
        };
        let ready = linearizer.await_ready(raft).await;
        ready
            .map(|_| ())
            .map_err(|fatal| ProposeError::Stopped(fatal.to_string()))
    }

    /// Like [`Group::read_barrier`], on a follower: the leader returns the index to apply first.
    pub async fn follower_read_barrier(&self, timeout: Duration) -> Result<(), ProposeError> {
        let (leader, term) = self.leader();
        let Some(leader) = leader else {
            return Err(ProposeError::NotLeader { leader: None, term });
        };
        if leader == self.0.node_id {
            return self.read_barrier().await;
        }
        let refused = ProposeError::NotLeader {
            leader: Some(leader),
            term,
        };
        let network = &self.0.network;
        let answer = network
            .call(leader, method::RAFT_READ_INDEX, &[], timeout)
            .await;
        let answer = answer.map_err(|_| refused.clone())?;
        let Ok(ReadIndex(Some(index))) = coterie_protocol::decode(&answer) else {
            return Err(refused);
        };
        let wait = self.0.raft.wait(Some(timeout));
        let applied = wait
            .applied_index_at_least(Some(index.0), "follower read")
            .await;
        applied.map(|_| ()).map_err(|_| refused)
    }

    /// Starts the group with these voters; does nothing if the group was started before. May be
    /// called on several of the voters with the same list.
    pub async fn initialize(&self, voters: Vec<NodeId>) -> Result<(), RaftError> {
        let raft = &self.0.raft;
        if raft
            .is_initialized()
            .await
            .map_err(|e| RaftError::raft("initialize", e))?
        {
            return Ok(());
        }
        if self.part() != Part::Full && voters.len() > 1 {
            let reason = "its log may be lost: it may have voted already";
            return Err(RaftError::raft("initialize", reason));
        }
        let members: BTreeMap<u64, EmptyNode> = voters
            .iter()
            .map(|node| (node.0, EmptyNode::default()))
            .collect();
        match raft.initialize(members).await {
            Ok(()) => Ok(()),
            // Another node was faster: a message of the started group has arrived in between.
            Err(OpenraftError::APIError(openraft::errors::InitializeError::NotAllowed(_))) => {
                Ok(())
            }
            Err(error) => Err(RaftError::raft("initialize", error)),
        }
    }

    /// Waits until this replica knows a leader; an error after `timeout`.
    pub async fn wait_leader(&self, timeout: Duration) -> Result<NodeId, RaftError> {
        let wait = self.0.raft.wait(Some(timeout));
        let metrics = wait
            .metrics(|metrics| metrics.current_leader.is_some(), "a leader")
            .await
            .map_err(|_| RaftError::TimedOut("election"))?;
        metrics
            .current_leader
            .map(NodeId)
            .ok_or(RaftError::TimedOut("election"))
    }

    /// The state of this replica.
    #[must_use]
    pub fn status(&self) -> GroupStatus {
        Self::status_of(&self.0)
    }

    pub(crate) fn status_of(inner: &OpenGroup) -> GroupStatus {
        let progress = &inner.progress;
        let metrics = inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        let replicas = membership.nodes().map(|(node, _)| Replica {
            node_id: NodeId(*node),
            role: if voters.contains(node) {
                Role::Voter
            } else {
                Role::Learner
            },
        });
        let matched = metrics.replication.iter().flatten().map(|(node, log_id)| {
            (
                NodeId(*node),
                LogIndex(log_id.as_ref().map_or(0, |id| id.index)),
            )
        });
        GroupStatus {
            term: Term(metrics.current_term),
            leader: metrics.current_leader.map(NodeId),
            is_leader: metrics.current_leader == Some(inner.node_id.0)
                && metrics.state == openraft::ServerState::Leader,
            last_index: LogIndex(metrics.last_log_index.unwrap_or(0)),
            last_term: Term(inner.log.last().map_or(0, |last| last.leader_id.term)),
            applied_index: LogIndex(progress.applied_index.load(Ordering::Acquire)),
            flushed_index: LogIndex(progress.flushed_index.load(Ordering::Acquire)),
            first_index: LogIndex(metrics.purged.map_or(0, |purged| purged.index + 1)),
            replicas: replicas.collect(),
            matched: matched.collect(),
            fault: progress.fault().or_else(|| stopped(&metrics.running_state)),
        }
    }

    /// Why the replica stopped, if it did.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let metrics = self.0.raft.metrics();
        let stopped = || stopped(&metrics.borrow_watched().running_state);
        self.0.progress.fault().or_else(stopped)
    }

    /// Bytes of log above the flushed index, which a restart would apply again.
    #[must_use]
    pub fn replay_bytes(&self) -> u64 {
        self.0
            .log
            .sizes()
            .bytes_after(self.0.progress.flushed_index.load(Ordering::Acquire))
    }
}
