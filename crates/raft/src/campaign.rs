//! A follower whose leader is gone campaigns as soon as the lease it gave is over.
//!
//! openraft alone waits for the lease plus an election timeout, since silence does not distinguish
//! a dead leader from a slow leader. A killed process can be recognized: its address refuses
//! connections, or its node answers that it does not lead. So a follower that has heard nothing for
//! two heartbeats asks the leader's node, and if the leader is gone it campaigns at the end of the
//! lease. No promise is broken: openraft refuses a pre-vote while a lease lasts, the candidate's
//! own and that of each voter asked, and a bound replica (`stance`) does not try. A leader that
//! cannot be proven gone (a machine without power, a network that drops packets) gets the full
//! openraft timeout.
//!
//! The remaining voters take turns of one heartbeat each, so that they do not split the vote
//! (measured: with turns of a quarter heartbeat, a busy machine needed a second election half of
//! the time). Each group starts at a different place in their order; voters without room on their
//! disks come last.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use coterie_protocol::method;
use coterie_rpc::CallError;
use coterie_types::{NodeId, Term};
use openraft::ServerState;
use openraft::async_runtime::WatchReceiver;
use tokio::net::TcpStream;

use crate::group::Group;
use crate::stance::Stance;

/// Number of turns while a leader is gone; after that openraft's own timeout applies.
const TURNS_MAX: u32 = 12;

/// The leader that this replica follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Followed {
    leader: NodeId,
    term: Term,
}

/// Monitors the leader of `group` until this task is aborted.
pub(crate) async fn watch(group: Group) {
    let heartbeat = group.0.config.heartbeat_interval;
    loop {
        tokio::time::sleep(heartbeat / 2).await;
        let Some(followed) = group.followed() else {
            continue;
        };
        let is_silent = group.0.heard.at().elapsed() >= 2 * heartbeat;
        if is_silent && group.is_gone(followed).await {
            group.campaign(followed).await;
        }
    }
}

impl Group {
    /// The leader that this replica follows as a voter, if any.
    fn followed(&self) -> Option<Followed> {
        let metrics = self.0.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let leader = metrics.current_leader?;
        let is_follower = metrics.state == ServerState::Follower && leader != self.0.node_id.0;
        is_follower.then_some(Followed {
            leader: NodeId(leader),
            term: Term(metrics.vote.leader_id.term),
        })
    }

    /// Whether the leader certainly no longer leads.
    async fn is_gone(&self, followed: Followed) -> bool {
        let Followed { leader, term } = followed;
        let (network, timeout) = (&self.0.network, 2 * self.0.config.heartbeat_interval);
        match network
            .call(leader, method::RAFT_STANCE, &[], timeout)
            .await
        {
            Ok(answer) => coterie_protocol::decode::<Stance>(&answer)
                .is_ok_and(|stance| !stance.leads && stance.term >= term),
            // The process is up, but the group is not open in it.
            Err(CallError::Failed(_)) => true,
            Err(CallError::Unreachable { .. }) => {
                let addr = network.addresses.address(leader);
                match addr.filter(|addr| !addr.is_empty()) {
                    Some(addr) => refuses_connections(&addr, timeout).await,
                    None => false,
                }
            }
            Err(_) => false,
        }
    }

    /// Campaigns in turn with the remaining voters, until there is a new leader or a leader's
    /// message arrives.
    async fn campaign(&self, gone: Followed) {
        let inner = &self.0;
        let turn = inner.config.heartbeat_interval;
        tracing::info!(
            group_id = %inner.group_id, leader = %gone.leader, term = %gone.term,
            "the leader is gone: campaigning once its lease is over"
        );
        let lease_ends = inner.heard.at() + inner.config.lease();
        tokio::time::sleep_until(lease_ends.into()).await;
        let mut turns = self.turns(gone.leader, lease_ends);
        let gives_up = lease_ends + turn * TURNS_MAX;
        let mut term = gone.term;
        while Instant::now() < gives_up {
            if self.is_over(gone) || inner.heard.at() + inner.config.lease() > lease_ends {
                return;
            }
            let newest = self.leader().1;
            if newest > term {
                // Another campaign is under way: wait until its votes are written.
                term = newest;
                let written = Instant::now() + 2 * turn;
                tokio::time::sleep_until(written.into()).await;
                turns = self.turns(gone.leader, written);
                continue;
            }
            // Until the lease of a majority is over a campaign is refused at no cost: retry during
            // the own turn.
            let may = turns.is_own(turn) && inner.bound().is_none();
            if may && inner.raft.trigger().elect(true).await.is_err() {
                return;
            }
            tokio::time::sleep(turn / 4).await;
        }
    }

    /// Whether there is another leader, or this replica is not a voter that may campaign.
    fn is_over(&self, gone: Followed) -> bool {
        let metrics = self.0.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let is_other = |leader: u64| NodeId(leader) != gone.leader;
        let states = [ServerState::Follower, ServerState::Candidate];
        metrics.current_leader.is_some_and(is_other) || !states.contains(&metrics.state)
    }

    /// The turns of the remaining voters, from `begin` on.
    fn turns(&self, gone: NodeId, begin: Instant) -> Turns {
        let metrics = self.0.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let left: BTreeSet<u64> = membership.voter_ids().filter(|v| *v != gone.0).collect();
        let count = left.len().max(1);
        let own = left.iter().position(|voter| *voter == self.0.node_id.0);
        let first = (self.0.group_id.0 % count as u64) as usize;
        let place = (own.unwrap_or(0) + count - first) % count;
        let place = if self.0.network.rooms.is_scarce() {
            place + count
        } else {
            place
        };
        Turns {
            begin,
            place: place as u128,
            count: count as u128,
        }
    }
}

/// The schedule of turns.
#[derive(Debug, Clone, Copy)]
struct Turns {
    begin: Instant,
    /// Number of other voters' turns before this replica's first turn.
    place: u128,
    /// Number of voters that take turns.
    count: u128,
}

impl Turns {
    fn is_own(self, turn: Duration) -> bool {
        self.is_own_at(self.begin.elapsed().as_micros() / turn.as_micros().max(1))
    }

    fn is_own_at(self, number: u128) -> bool {
        number
            .checked_sub(self.place)
            .is_some_and(|later| later.is_multiple_of(self.count))
    }
}

/// Whether the address refuses connections; `false` if that cannot be determined.
async fn refuses_connections(addr: &str, timeout: Duration) -> bool {
    let connecting = tokio::time::timeout(timeout, TcpStream::connect(addr));
    matches!(connecting.await, Ok(Err(error))
        if error.kind() == std::io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_turn_and_one_without_room_comes_last() {
        let begin = Instant::now();
        let of = |place| Turns {
            begin,
            place,
            count: 2,
        };
        let own = |place| -> Vec<u128> { (0..6).filter(|n| of(place).is_own_at(*n)).collect() };
        assert_eq!(own(0), [0, 2, 4]);
        assert_eq!(own(1), [1, 3, 5]);
        assert_eq!(own(2), [2, 4], "place 0, without room");
    }

    #[tokio::test]
    async fn only_a_refusal_counts_as_gone() {
        let within = Duration::from_secs(5);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        // The listener accepts nothing, like a stopped or starved process.
        assert!(!refuses_connections(&addr, within).await);
        drop(listener);
        assert!(refuses_connections(&addr, within).await);
        assert!(!refuses_connections("no address", within).await);
    }
}
