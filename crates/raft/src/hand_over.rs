//! A leader hands over to another voter, the heir, with hardly any pause for the group.
//!
//! openraft's own hand-over stops the leader first and tells the heir afterwards: if the heir
//! cannot or may not take over, the group stands still until an election. Here the leader gives up
//! nothing before the heir leads:
//!
//! 1. *Asked.* The heir reports its `stance`. If it should not lead, or lags, the hand-over is
//!    refused and the leader continues as before.
//! 2. *Held.* Proposals wait at the gate until the heir has every proposed entry and this replica
//!    has applied them. After one heartbeat at most the gate opens again.
//! 3. *Told.* The heir is told to take over. Before it campaigns it asks the leader to confirm that
//!    the hand-over still holds. From the confirmation on the leader serves no read by its lease,
//!    since the voters grant this election regardless of their leases. If the heir does not answer
//!    within the heartbeat, the hand-over is withdrawn: later questions are not confirmed, so a
//!    message that the heir reads much later has no effect.
//! 4. *Over.* The gate opens as soon as the heir is known to lead; waiting proposals are refused
//!    with the heir as the leader.
//!
//! A leader that is no longer a voter is replaced by openraft in its own way, and always confirms.

use std::time::{Duration, Instant};

use coterie_protocol::method;
use coterie_protocol::server::Unfit;
use coterie_types::{NodeId, Role, Term};
use openraft::async_runtime::WatchReceiver;
use openraft::raft::TransferLeaderRequest;
use serde::{Deserialize, Serialize};

use crate::error::RaftError;
use crate::group::{Group, GroupStatus, OpenGroup};
use crate::stance::Stance;
use crate::type_config::{LogId, TypeConfig};

/// Entries that an heir may lack, or not have applied yet; a longer lag takes longer than the gate
/// may be shut.
const LAG_MAX: u64 = 1000;

/// Pause between two checks of a log that lacks an entry.
const LOG_PAUSE: Duration = Duration::from_millis(5);

/// The heir's question before it campaigns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Confirm {
    heir: NodeId,
    /// The leader's term.
    term: Term,
}

fn refused(reason: String) -> RaftError {
    let what = "hand over";
    RaftError::Raft { what, reason }
}

impl Group {
    /// Hands leadership to `to`, and returns when `to` leads. If `to` should not lead or lacks more
    /// than a little of the log, the call is refused and nothing is stopped. `without_room`: `to`
    /// may be a node without room on its disk.
    pub async fn transfer_leader(&self, to: NodeId, without_room: bool) -> Result<(), RaftError> {
        let Ok(_one_at_a_time) = self.0.hand_overs.one_at_a_time.try_lock() else {
            return Err(refused("another hand-over is under way".to_owned()));
        };
        let status = self.status();
        if status.leader == Some(to) {
            return Ok(());
        }
        if !status.is_leader {
            let leader = status.leader;
            return Err(RaftError::NotLeader { leader });
        }
        self.check_heir(&status, to, without_room).await?;
        let told = {
            let deadline = Instant::now() + self.0.config.heartbeat_interval;
            let gate = tokio::time::timeout_at(deadline.into(), self.0.hand_overs.gate.write());
            let _shut = gate.await.map_err(|_| RaftError::TimedOut("hand-over"))?;
            let last = self.settle(to, deadline).await?;
            let told = self.tell(to, status.term, last, deadline).await;
            if told.is_ok() {
                self.wait_for_other_leader(deadline).await;
            }
            told
        };
        match told {
            // An error does not exclude that the heir has taken over.
            Err(_) if self.leader().0 != Some(to) => told,
            _ => self.wait_until_led_by(to).await,
        }
    }

    /// Hands over to any other voter that can take over: first to voters with room on their disks,
    /// among these to the most up-to-date. `without_room`: voters without room are tried as well,
    /// last.
    pub async fn leave(&self, without_room: bool) -> Result<NodeId, RaftError> {
        let status = self.status();
        let others = status.replicas.iter();
        let mut heirs: Vec<NodeId> = others
            .filter(|r| r.role == Role::Voter && r.node_id != self.0.node_id)
            .map(|r| r.node_id)
            .collect();
        let rooms = &self.0.network.rooms;
        heirs.sort_by_key(|node| {
            std::cmp::Reverse((!rooms.scarce_at(*node), status.matched.get(node)))
        });
        let mut last = refused("there is no other voter".to_owned());
        for heir in heirs {
            if !without_room && rooms.scarce_at(heir) {
                last = refused(format!("node {heir} {}", Unfit::NoRoom.reason()));
                continue;
            }
            match self.transfer_leader(heir, without_room).await {
                Ok(()) => return Ok(heir),
                Err(RaftError::NotLeader {
                    leader: Some(leader),
                }) => return Ok(leader),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Asks the heir whether it could take over.
    async fn check_heir(
        &self,
        status: &GroupStatus,
        to: NodeId,
        without_room: bool,
    ) -> Result<(), RaftError> {
        let mut replicas = status.replicas.iter();
        if !replicas.any(|r| r.node_id == to && r.role == Role::Voter) {
            return Err(refused(format!("node {to} is no voter")));
        }
        let (network, timeout) = (&self.0.network, self.0.config.election_timeout_min);
        let answer = network.call(to, method::RAFT_STANCE, &[], timeout).await;
        let answer = answer.map_err(|error| refused(format!("node {to}: {error}")))?;
        let stance: Stance =
            coterie_protocol::decode(&answer).map_err(|e| RaftError::raft("hand over", e))?;
        match stance.unfit {
            None => {}
            Some(Unfit::NoRoom) if without_room => {}
            Some(unfit) => return Err(refused(format!("node {to} {}", unfit.reason()))),
        }
        let matched = status.matched.get(&to).copied().unwrap_or_default();
        let has = matched.min(stance.applied_index);
        let lag = status.last_index.0.saturating_sub(has.0);
        if lag > LAG_MAX {
            Err(refused(format!("node {to} is {lag} entries behind")))
        } else {
            Ok(())
        }
    }

    /// Waits until the heir has the whole log and it is applied here; returns the last entry. The
    /// gate is shut.
    async fn settle(&self, to: NodeId, deadline: Instant) -> Result<Option<LogId>, RaftError> {
        let raft = &self.0.raft;
        // Proposals that passed the gate are in the core's queue before this request.
        let last = raft.with_raft_state(|state| state.log_ids.last().copied());
        let last = last.await.map_err(|e| RaftError::raft("hand over", e))?;
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = raft.wait(Some(left));
        let settled = wait.metrics(
            |metrics| {
                let of_heir = metrics.replication.as_ref().and_then(|all| all.get(&to.0));
                let has_all = of_heir.is_some_and(|matched| *matched >= last);
                has_all && metrics.last_applied >= last
            },
            "the heir has the log",
        );
        settled
            .await
            .map_err(|_| RaftError::TimedOut("catching up for the hand-over"))?;
        Ok(last)
    }

    /// Tells the heir to take over; an error if it refused, or did not answer in time.
    async fn tell(
        &self,
        to: NodeId,
        term: Term,
        last: Option<LogId>,
        deadline: Instant,
    ) -> Result<(), RaftError> {
        let OpenGroup {
            raft, hand_overs, ..
        } = &*self.0;
        let vote = raft.server_metrics().borrow_watched().vote;
        if Term(vote.leader_id.term) != term {
            return Err(RaftError::NotLeader { leader: None });
        }
        let named = hand_overs.name(to, term);
        let request = TransferLeaderRequest::<TypeConfig>::new(vote, to.0, last);
        let body = coterie_protocol::encode(&request);
        let left = deadline.saturating_duration_since(Instant::now());
        let network = &self.0.network;
        let told = network.call(to, method::RAFT_TRANSFER, &body, left).await;
        drop(named);
        told.map(drop)
            .map_err(|error| refused(format!("node {to}: {error}")))
    }

    /// Waits until another replica is known to lead: until the deadline while this replica still
    /// leads, and for an election timeout while there is no leader.
    async fn wait_for_other_leader(&self, deadline: Instant) {
        let me = self.0.node_id.0;
        let (raft, config) = (&self.0.raft, &self.0.config);
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = raft.wait(Some(left.max(config.heartbeat_interval)));
        let deposed = wait.metrics(|metrics| metrics.current_leader != Some(me), "a new vote");
        if deposed.await.is_err() {
            return;
        }
        let wait = raft.wait(Some(config.election_timeout_min));
        let is_other = |leader: u64| leader != me;
        let led = wait.metrics(
            |metrics| metrics.current_leader.is_some_and(is_other),
            "a leader",
        );
        // Whether or not there is a new leader, the proposals that wait at the gate are released.
        let _ = led.await;
    }

    async fn wait_until_led_by(&self, to: NodeId) -> Result<(), RaftError> {
        let wait = self.0.raft.wait(Some(self.0.config.election_timeout_min));
        let led = wait.metrics(
            |metrics| metrics.current_leader == Some(to.0),
            "the heir leads",
        );
        led.await
            .map(drop)
            .map_err(|_| RaftError::TimedOut("hand-over"))
    }
}

/// The heir's side: returns `()` once the heir campaigns, otherwise the reason why it does not.
pub(crate) async fn take_over(
    group: &OpenGroup,
    transfer: TransferLeaderRequest<TypeConfig>,
) -> Result<bytes::Bytes, String> {
    if *transfer.to_node_id() == group.node_id.0 {
        if let Some(unfit) = group.unfit().filter(|unfit| *unfit != Unfit::NoRoom) {
            return Err(format!("it {}", unfit.reason()));
        }
        wait_for_log(group, transfer.last_log_id()).await?;
        ask_whether_it_holds(group, &transfer).await?;
    }
    let taken = group.raft.handle_transfer_leader(transfer).await;
    match taken {
        Ok(Ok(())) => Ok(coterie_protocol::encode(&())),
        Ok(Err(refused)) => Err(refused.to_string()),
        Err(fatal) => Err(fatal.to_string()),
    }
}

/// An heir named by [`Group::transfer_leader`] has the whole log; a leader that was removed may
/// tell an heir that lacks some.
async fn wait_for_log(group: &OpenGroup, last: Option<&LogId>) -> Result<(), String> {
    let deadline = Instant::now() + group.config.heartbeat_interval;
    while group.log.last().as_ref() < last {
        if Instant::now() >= deadline {
            return Err("its log is behind".to_owned());
        }
        tokio::time::sleep(LOG_PAUSE).await;
    }
    Ok(())
}

async fn ask_whether_it_holds(
    group: &OpenGroup,
    transfer: &TransferLeaderRequest<TypeConfig>,
) -> Result<(), String> {
    let leader_id = transfer.from_leader().leader_id;
    let question = coterie_protocol::encode(&Confirm {
        heir: group.node_id,
        term: Term(leader_id.term),
    });
    let (leader, timeout) = (NodeId(leader_id.voted_for), group.config.heartbeat_interval);
    let network = &group.network;
    let answer = network
        .call(leader, method::RAFT_CONFIRM, &question, timeout)
        .await;
    let answer = answer.map_err(|error| format!("not confirmed: {error}"))?;
    match coterie_protocol::decode(&answer) {
        Ok(true) => Ok(()),
        Ok(false) => Err("the hand-over does not hold any more".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The leader's side of that question. After a yes the heir may campaign at any time.
pub(crate) fn confirm(group: &OpenGroup, question: Confirm) -> bool {
    let Confirm { heir, term } = question;
    if let Some(named) = &*group.hand_overs.lock()
        && (named.node, named.term) == (heir, term)
    {
        group.transfers.begin(term.0);
        return true;
    }
    let metrics = group.raft.server_metrics();
    let metrics = metrics.borrow_watched();
    let mut voters = metrics.membership_config.membership().voter_ids();
    let was_removed = voters.all(|voter| voter != group.node_id.0);
    was_removed && Term(metrics.vote.leader_id.term) == term
}
