//! Changing the members of a group.
//!
//! A change may take minutes (a new member is sent a snapshot), and callers that died or timed out
//! may ask for it any number of times meanwhile. So each call continues from the current state and
//! may be cancelled at any point: the next call finishes a joint configuration that was left
//! behind.

use std::collections::BTreeSet;

use coterie_types::{LogIndex, NodeId, Replica, Role};
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError as OpenraftError};
use openraft::metrics::RaftMetrics;
use openraft::{ChangeMembers, EmptyNode, ServerState};

use crate::error::RaftError;
use crate::group::Group;
use crate::type_config::TypeConfig;

/// Entries that a new member may lack when it gets its vote: fewer than are sent within a moment.
const LAG_MAX: u64 = 1000;

impl Group {
    /// Makes exactly these replicas the members, by joint change; called on the leader. New members
    /// first catch up as learners, for as long as that takes. Does nothing if these are the members
    /// already.
    pub async fn change_replicas(&self, wanted: &[Replica]) -> Result<(), RaftError> {
        let raft = &self.0.raft;
        self.wait_settled().await?;
        for replica in wanted {
            self.learn(replica.node_id).await?;
        }
        let voters: BTreeSet<u64> = wanted
            .iter()
            .filter(|r| r.role == Role::Voter)
            .map(|r| r.node_id.0)
            .collect();
        self.wait_leading(|metrics| lagging(metrics, &voters).is_none())
            .await?;
        if !self.votes_as(&voters) {
            raft.change_membership(voters, false)
                .await
                .map_err(|error| self.membership_error("change members", error))?;
        }
        // Learners left by an attempt that failed.
        let mut strays = self.member_ids();
        for replica in wanted {
            strays.remove(&replica.node_id.0);
        }
        if !strays.is_empty() {
            raft.change_membership(ChangeMembers::RemoveNodes(strays), false)
                .await
                .map_err(|error| self.membership_error("remove learners", error))?;
        }
        Ok(())
    }

    /// Makes the node a learner unless it is a member already, and waits until it has nearly all of
    /// the log; called on the leader.
    pub async fn add_learner(&self, node: NodeId) -> Result<(), RaftError> {
        self.wait_settled().await?;
        self.learn(node).await?;
        let learner = BTreeSet::from([node.0]);
        self.wait_leading(|metrics| lagging(metrics, &learner).is_none())
            .await
    }

    /// A wanted replica that does not vote yet and still has to catch up, and how many entries it
    /// lacks.
    #[must_use]
    pub fn catching_up(&self, wanted: &[Replica]) -> Option<(NodeId, u64)> {
        let nodes = wanted.iter().map(|r| r.node_id.0).collect();
        let metrics = self.0.raft.metrics();
        let metrics = metrics.borrow_watched();
        lagging(&metrics, &nodes)
    }

    /// Waits until no change of members is under way; openraft refuses another change before.
    async fn wait_settled(&self) -> Result<(), RaftError> {
        self.wait_leading(|metrics| {
            metrics.membership_config.log_id() == metrics.committed_membership_config.log_id()
        })
        .await
    }

    /// Makes the node a learner unless it is a member.
    async fn learn(&self, node: NodeId) -> Result<(), RaftError> {
        if self.member_ids().contains(&node.0) {
            return Ok(());
        }
        let raft = &self.0.raft;
        raft.add_learner(node.0, EmptyNode::default(), false)
            .await
            .map(|_| ())
            .map_err(|error| self.membership_error("add learner", error))
    }

    /// Waits for `condition`; an error as soon as this replica does not lead.
    async fn wait_leading(
        &self,
        condition: impl Fn(&RaftMetrics<TypeConfig>) -> bool + Send + Sync,
    ) -> Result<(), RaftError> {
        let leads = |metrics: &RaftMetrics<TypeConfig>| {
            metrics.state == ServerState::Leader && metrics.current_leader == Some(metrics.id)
        };
        let waited = self
            .0
            .raft
            .wait(None)
            .metrics(|metrics| !leads(metrics) || condition(metrics), "members")
            .await
            .map_err(|error| RaftError::raft("wait for members", error))?;
        if leads(&waited) {
            Ok(())
        } else {
            let leader = waited.current_leader.map(NodeId);
            Err(RaftError::NotLeader {
                leader: leader.filter(|leader| *leader != self.0.node_id),
            })
        }
    }

    fn member_ids(&self) -> BTreeSet<u64> {
        let metrics = self.0.raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        membership.nodes().map(|(id, _)| *id).collect()
    }

    /// Whether these are the voters, and no joint configuration is in force.
    fn votes_as(&self, voters: &BTreeSet<u64>) -> bool {
        let metrics = self.0.raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        matches!(membership.get_joint_config().as_slice(), [only] if only == voters)
    }

    fn membership_error(
        &self,
        what: &'static str,
        error: OpenraftError<TypeConfig, ClientWriteError<TypeConfig>>,
    ) -> RaftError {
        match error.forward_to_leader() {
            Some(forward) => RaftError::NotLeader {
                leader: forward.leader_id.map(NodeId),
            },
            None => RaftError::raft(what, error),
        }
    }
}

/// The first node that does not vote yet and lags behind.
fn lagging(metrics: &RaftMetrics<TypeConfig>, nodes: &BTreeSet<u64>) -> Option<(NodeId, u64)> {
    let last = metrics.last_log_index.unwrap_or(0);
    let votes: BTreeSet<u64> = metrics.membership_config.membership().voter_ids().collect();
    let matched = |node: &u64| {
        let replication = metrics.replication.as_ref()?;
        Some(LogIndex(replication.get(node)?.as_ref()?.index))
    };
    nodes.difference(&votes).find_map(|node| {
        let lag = last.saturating_sub(matched(node).map_or(0, |index| index.0));
        // A node without any entry lags, however short the log is.
        (lag > LAG_MAX || matched(node).is_none()).then_some((NodeId(*node), lag))
    })
}
