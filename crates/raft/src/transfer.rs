//! Handing leadership to another voter.
//!
//! From the moment the leader asks the other to take over, it takes no writes, sends no heartbeats
//! and serves no lease reads, for the rest of its term: the other may campaign at any time. openraft
//! 0.10.0-alpha.37 knows no way back, so when nobody has taken over within a lease the leader gives
//! its term up: it grants the vote that the other would have asked for, and is a follower that
//! campaigns like any (`docs/decisions/2026-11-25-transfer-given-up.md`).

use std::time::Duration;

use coterie_types::{NodeId, Role, Term};
use openraft::ServerState;
use openraft::async_runtime::WatchReceiver;
use openraft::raft::VoteRequest;

use crate::error::RaftError;
use crate::group::Group;
use crate::type_config::Vote;

/// Entries that the other may lack: more, and the group stands still while it catches up.
const LAG_MAX: u64 = 1000;

impl Group {
    /// Hands leadership to `to` and waits until some other node leads; refused when `to` is not a
    /// voter that has nearly all of the log, as the group would stand still for an election. When
    /// nobody leads within one lease, or the shorter `timeout`, the transfer is given up. It goes on
    /// to its end also when the caller does not wait for it.
    pub async fn transfer_leader(&self, to: NodeId, timeout: Duration) -> Result<(), RaftError> {
        let status = self.status();
        if status.leader == Some(to) {
            return Ok(());
        }
        if !status.is_leader {
            return Err(RaftError::NotLeader {
                leader: status.leader,
            });
        }
        let is_voter = status
            .replicas
            .iter()
            .any(|r| r.node_id == to && r.role == Role::Voter);
        let lag = status
            .last_index
            .0
            .saturating_sub(status.matched.get(&to).map_or(0, |i| i.0));
        if !is_voter || lag > LAG_MAX {
            let reason = format!("node {to} is no voter, or {lag} entries behind");
            return Err(RaftError::Raft {
                what: "transfer leader",
                reason,
            });
        }
        let (group, term) = (self.clone(), status.term);
        let timeout = timeout.min(self.0.config.lease());
        let handing_over = tokio::spawn(async move { group.hand_over(to, term, timeout).await });
        handing_over
            .await
            .map_err(|error| RaftError::raft("transfer leader", error))?
    }

    async fn hand_over(&self, to: NodeId, term: Term, timeout: Duration) -> Result<(), RaftError> {
        self.0.transfers.begin(term.0);
        let raft = &self.0.raft;
        raft.trigger()
            .transfer_leader(to.0)
            .await
            .map_err(|fatal| RaftError::raft("transfer leader", fatal))?;
        let me = self.0.node_id.0;
        let wait = raft.wait(Some(timeout));
        let moved = wait.metrics(
            |metrics| metrics.current_leader.is_some_and(|leader| leader != me),
            "leadership moved",
        );
        if moved.await.is_ok() {
            return Ok(());
        }
        self.give_up(to, term).await?;
        Err(RaftError::TimedOut("transfer of leadership"))
    }

    /// Ends the leadership of `term`, in which `to` was asked to take over, unless it has ended.
    async fn give_up(&self, to: NodeId, term: Term) -> Result<(), RaftError> {
        let raft = &self.0.raft;
        let last_log_id = {
            let metrics = raft.metrics();
            let metrics = metrics.borrow_watched();
            if metrics.state != ServerState::Leader || metrics.current_term != term.0 {
                return Ok(());
            }
            self.0.log.last()
        };
        tracing::warn!(
            group_id = %self.0.group_id, peer_id = %to, term = term.0,
            "leadership not taken over: given up"
        );
        // What `to` would have sent, had it been heard.
        let request = VoteRequest {
            vote: Vote::new(term.0 + 1, to.0),
            last_log_id,
            leadership_transfer: true,
        };
        raft.vote(request)
            .await
            .map(|_| ())
            .map_err(|error| RaftError::raft("give leadership up", error))
    }
}
