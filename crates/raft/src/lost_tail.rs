//! Recovers a replica whose log has lost its end: finds out which entries it may have acknowledged
//! there, and lets it take part again when it has them.
//!
//! The last record of a node's log may be lost to a flipped bit or a truncation (`log::damage`). It
//! held the most recent write of any group of the node: acknowledged entries, or a vote. If the
//! replica voted as if it had never acknowledged them, a leader could be elected that lacks
//! committed entries; if it voted twice in a term, there could be two leaders. So the replica first
//! takes part in nothing for the length of a lease: after that no vote that it gave earlier is
//! still counted, and no lease that it gave still lasts. Then it asks the other voters for their
//! [`Standing`]:
//!
//! - *There is a leader* in the highest term in which any of them has promised anything, and either
//!   all have answered, or so many voters that remember their promises have answered that every
//!   majority the replica belonged to contains at least one of these. The replica follows leaders
//!   of this and later terms, like a replica that has lost its whole log (`part`). When it has
//!   applied every entry that the leader had after that, it has every entry that it may have
//!   acknowledged.
//! - *There is no leader and all have answered.* The most advanced log among them holds every entry
//!   that the replica may have acknowledged and that is not lost everywhere. The replica promises
//!   not to vote for a shorter log, nor for any candidate in a term in which any of them has
//!   promised anything. So a group in which several replicas lost their ends at once, as in a power
//!   failure, elects the best of them.
//!
//! Otherwise it waits, and asks again. The leader is told to expect a shorter log before the
//! replica takes anything from it: openraft would consider a shorter log a bug, and send nothing.
//!
//! The progress of the recovery is kept in the log ([`TailState`]), so a restart resumes it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use coterie_protocol::method;
use coterie_types::NodeId;
use openraft::async_runtime::WatchReceiver;
use openraft::raft::VoteRequest;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::error::RaftError;
use crate::group::{Group, OpenGroup};
use crate::log::{GroupLog, TailState};
use crate::part::Part;
use crate::type_config::{LogId, TypeConfig, Vote};

/// Pause between two rounds of questions.
const PAUSE: Duration = Duration::from_millis(200);
/// Timeout of a voter's answer.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);
/// Most nodes that are asked because they claimed leadership, when the log names no voters.
const CLAIMANTS_MAX: usize = 16;

/// Asks a replica for its standing.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct AskStanding {
    /// The asking node, whose log has lost its end.
    pub(crate) from: NodeId,
}

/// The standing of a replica: its promises, its log and its voters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// The highest term in which it has promised anything, as far as it knows.
    term: u64,
    /// Whether it remembers everything it has promised.
    remembers: bool,
    /// Whether it leads in `term`.
    leads: bool,
    last: Option<LogId>,
    /// The voters according to its log, per configuration.
    voters: Vec<BTreeSet<u64>>,
}

/// The conclusion from the answers.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// Follow leaders from this term on; the log of the present leader ends with `last`.
    Follow {
        term: u64,
        last: Option<LogId>,
    },
    /// Vote for no log shorter than `last`, and for no candidate up to `term`.
    Promise {
        term: u64,
        last: Option<LogId>,
    },
    Wait(&'static str),
}

impl OpenGroup {
    /// The standing of this replica.
    pub(crate) fn standing(&self) -> Standing {
        let term = self.log.promised_term().0;
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        Standing {
            term,
            remembers: self.part() == Part::Full && !self.log.is_short_of_promises(),
            // The vote alone is not enough: it is still there after a leader's restart.
            leads: metrics.state == openraft::ServerState::Leader
                && metrics.vote.leader_id.term == term,
            last: self.log.last(),
            voters: membership.get_joint_config().clone(),
        }
    }

    /// Notes a node that claims to lead the group, or asks for votes: it can be asked for its
    /// standing.
    pub(crate) fn note_claimant(&self, node: NodeId) {
        let mut claimants = self.claimants.lock();
        if claimants.len() < CLAIMANTS_MAX {
            claimants.insert(node);
        }
    }
}

impl Group {
    /// If the end of its log was lost, waits until this replica has every entry it may have
    /// acknowledged there.
    pub async fn tail_recovered(&self) {
        if self.0.recovers_tail {
            let mut parts = self.0.part.subscribe();
            let is_sound = |_: &Part| self.0.log.tail() == TailState::Sound;
            // An error means that the group has stopped.
            let _ = parts.wait_for(is_sound).await;
        }
    }
}

/// Whether the end of a replica's log is lost and [`recover`] has to recover it. If the whole log
/// is lost, the owner brings the replica back, where the owner does so (`if_new`).
pub(crate) fn is_to_recover(log: &GroupLog, if_new: Part) -> bool {
    let is_owners = log.is_pristine() && if_new == Part::Nothing;
    log.tail() != TailState::Sound && !is_owners
}

/// Runs until the replica takes part again. The fence must be over.
pub(crate) async fn recover(group: Group) {
    if let Err(error) = take_part_again(&group.0).await {
        // The log cannot be written: the process ends.
        warn!(group_id = %group.id(), %error, "the end of its log is lost, and stays so");
    }
}

async fn take_part_again(group: &OpenGroup) -> Result<(), RaftError> {
    let group_id = group.group_id;
    // The last entry of the leader when the replica began to follow.
    let mut target: Option<Option<LogId>> = None;
    let mut told = "";
    loop {
        let answers = ask_others(group).await;
        let own = group.standing();
        match decide(group.node_id, &own, &answers) {
            Decision::Follow { term, .. } if group.part() == Part::Nothing => {
                group.set_tail(TailState::Follows(term)).await?;
                info!(%group_id, term, "the end of its log is lost: it follows, and does not vote");
            }
            Decision::Follow { last, .. } => {
                let last = *target.get_or_insert(last);
                if last.is_none_or(|last| group.applied() >= last.index) {
                    break;
                }
            }
            Decision::Promise { term, last } => {
                if promise(group, term, last).await? {
                    break;
                }
            }
            Decision::Wait(reason) if told != reason => {
                info!(%group_id, reason, "the end of its log is lost: it takes part in nothing yet");
                told = reason;
            }
            Decision::Wait(_) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
    group.set_tail(TailState::Sound).await?;
    info!(%group_id, "the end of its log is made good: it takes part again");
    Ok(())
}

impl OpenGroup {
    async fn set_tail(&self, tail: TailState) -> Result<(), RaftError> {
        self.log.set_tail(tail).await?;
        self.part.send_replace(Part::of(&self.log, Part::Full));
        Ok(())
    }

    fn applied(&self) -> u64 {
        let applied = &self.progress.applied_index;
        applied.load(std::sync::atomic::Ordering::Acquire)
    }
}

/// Binds the replica to vote only for logs that reach `last`, and in no term up to `term`; returns
/// whether it is bound now.
async fn promise(group: &OpenGroup, term: u64, last: Option<LogId>) -> Result<bool, RaftError> {
    if let Some(last) = last {
        group.log.raise_promised(last).await?;
    }
    if group.log.promised_term().0 >= term {
        return Ok(true);
    }
    // A vote for itself that no candidate asked for and that is never counted.
    let vote = Vote::new(term, group.node_id.0);
    let voting = group.raft.vote(VoteRequest::<TypeConfig>::new(vote, last));
    voting.await.map_err(|e| RaftError::raft("vote", e))?;
    Ok(group.log.promised_term().0 >= term)
}

/// Asks the other voters; returns the standings of those that answered.
async fn ask_others(group: &OpenGroup) -> BTreeMap<u64, Standing> {
    let mut known: BTreeSet<u64> = group.standing().voters.into_iter().flatten().collect();
    {
        let claimants = group.claimants.lock();
        known.extend(claimants.iter().map(|node| node.0));
    }
    let (mut answers, mut asked) = (BTreeMap::new(), BTreeSet::from([group.node_id.0]));
    // The answers may name further voters.
    while known.iter().any(|node| !asked.contains(node)) {
        let mut asking = JoinSet::new();
        for node in known.difference(&asked).copied() {
            let network = group.network.clone();
            let own = group.node_id;
            asking.spawn(async move {
                let ask = coterie_protocol::encode(&AskStanding { from: own });
                let called = network.call(NodeId(node), method::RAFT_STANDING, &ask, ASK_TIMEOUT);
                let answer = called.await.ok()?;
                let standing: Standing = coterie_protocol::decode(&answer).ok()?;
                Some((node, standing))
            });
        }
        asked.extend(known.iter().copied());
        for (node, standing) in asking.join_all().await.into_iter().flatten() {
            known.extend(standing.voters.iter().flatten().copied());
            answers.insert(node, standing);
        }
    }
    answers
}

/// See the module's head.
fn decide(own_id: NodeId, own: &Standing, answers: &BTreeMap<u64, Standing>) -> Decision {
    let told = answers.values().chain([own]);
    let configurations: BTreeSet<&BTreeSet<u64>> =
        told.clone().flat_map(|standing| &standing.voters).collect();
    if configurations.is_empty() {
        return Decision::Wait("it does not know the other voters");
    }
    let term = told.clone().map(|standing| standing.term).max();
    let term = term.unwrap_or(own.term);
    let others = |voters: &BTreeSet<u64>| -> Vec<u64> {
        let others = voters.iter().filter(|node| **node != own_id.0);
        others.copied().collect()
    };
    let all_answer = configurations.iter().all(|voters| {
        let mut others = others(voters).into_iter();
        others.all(|node| answers.contains_key(&node))
    });
    let enough_remember = configurations.iter().all(|voters| {
        let remember = |node: &u64| answers.get(node).is_some_and(|s| s.remembers);
        let remembering = others(voters).into_iter().filter(remember).count();
        // Every majority with this replica in it includes at least one of this many other voters.
        !voters.contains(&own_id.0) || remembering >= voters.len() - voters.len() / 2
    });
    let leaders: Vec<&Standing> = answers.values().filter(|s| s.leads).collect();
    match leaders.iter().find(|leader| leader.term == term) {
        Some(leader) if all_answer || enough_remember => Decision::Follow {
            term,
            last: leader.last,
        },
        Some(_) => Decision::Wait("too few other voters remember what was promised"),
        None if !leaders.is_empty() => Decision::Wait("a leader of a term that is over answers"),
        None if all_answer => Decision::Promise {
            term,
            last: told.filter_map(|standing| standing.last).max(),
        },
        None => Decision::Wait("the other voters have no leader, or do not all answer"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: NodeId = NodeId(1);

    fn log_id(term: u64, index: u64) -> LogId {
        crate::log::log_id(term, index)
    }

    /// A voter of three that remembers its promises; its term, and the index its log reaches.
    fn voter(term: u64, index: u64) -> Standing {
        Standing {
            term,
            remembers: true,
            leads: false,
            last: Some(log_id(term, index)),
            voters: vec![BTreeSet::from([1, 2, 3])],
        }
    }

    fn leader(term: u64, index: u64) -> Standing {
        Standing {
            leads: true,
            ..voter(term, index)
        }
    }

    fn lost(standing: Standing) -> Standing {
        Standing {
            remembers: false,
            ..standing
        }
    }

    fn decided(own: &Standing, answers: &[(u64, Standing)]) -> Decision {
        decide(OWN, own, &answers.iter().cloned().collect())
    }

    fn waits(own: &Standing, answers: &[(u64, Standing)]) -> bool {
        matches!(decided(own, answers), Decision::Wait(_))
    }

    #[test]
    fn it_follows_a_leader_when_nobody_can_have_promised_more() {
        let own = lost(voter(5, 9));
        let follow = Decision::Follow {
            term: 5,
            last: Some(log_id(5, 10)),
        };
        let answers = [(2, leader(5, 10)), (3, voter(5, 10))];
        assert_eq!(decided(&own, &answers), follow);
        assert!(
            waits(&own, &[(2, leader(5, 10))]),
            "the third may know more"
        );
        // The third has lost its memory too, but all have reported all they know.
        let answers = [(2, leader(5, 10)), (3, lost(voter(5, 9)))];
        assert_eq!(decided(&own, &answers), follow);
        assert!(
            waits(&own, &[(2, leader(5, 10)), (3, voter(6, 9))]),
            "it is deposed"
        );
        assert!(waits(
            &lost(voter(7, 9)),
            &[(2, leader(5, 10)), (3, voter(5, 9))]
        ));
    }

    #[test]
    fn of_five_three_others_must_remember() {
        let five = |standing: Standing| Standing {
            voters: vec![(1..=5).collect()],
            ..standing
        };
        let own = five(lost(voter(5, 9)));
        let (leader, voter) = (five(leader(5, 10)), five(voter(5, 9)));
        let two = [(2, leader.clone()), (3, voter.clone())];
        assert!(waits(&own, &two));
        let with_lost = [&two[..], &[(4, lost(voter.clone()))]].concat();
        assert!(waits(&own, &with_lost));
        let three = [&two[..], &[(4, voter)]].concat();
        assert!(matches!(decided(&own, &three), Decision::Follow { .. }));
    }

    #[test]
    fn without_a_leader_all_must_answer_and_the_furthest_log_counts() {
        let own = lost(voter(5, 9));
        let promise = Decision::Promise {
            term: 6,
            last: Some(log_id(5, 11)),
        };
        let candidate = Standing {
            term: 6,
            ..lost(voter(5, 11))
        };
        let answers = [(2, candidate), (3, lost(voter(4, 70)))];
        assert_eq!(decided(&own, &answers), promise);
        assert!(waits(&own, &answers[..1]));
    }

    #[test]
    fn the_only_voter_has_nobody_to_ask() {
        let own = Standing {
            voters: vec![BTreeSet::from([1])],
            ..lost(voter(5, 9))
        };
        let promise = Decision::Promise {
            term: 5,
            last: own.last,
        };
        assert_eq!(decided(&own, &[]), promise);
    }

    #[test]
    fn voters_that_only_the_others_know_are_counted() {
        let empty = Standing {
            term: 0,
            last: None,
            voters: vec![],
            ..lost(voter(0, 0))
        };
        assert!(waits(&empty, &[]));
        assert!(waits(&empty, &[(2, leader(5, 10))]));
        let answers = [(2, leader(5, 10)), (3, voter(5, 10))];
        assert!(matches!(decided(&empty, &answers), Decision::Follow { .. }));
        // According to the others' log a fourth voter replaced the third.
        let changed = |standing: Standing| Standing {
            voters: vec![BTreeSet::from([1, 2, 4])],
            ..standing
        };
        let own = lost(voter(5, 9));
        let answers = [(2, changed(voter(5, 10))), (3, voter(5, 9))];
        assert!(waits(&own, &answers));
        let answers = [&answers[..], &[(4, changed(voter(5, 10)))]].concat();
        assert!(matches!(decided(&own, &answers), Decision::Promise { .. }));
    }
}
