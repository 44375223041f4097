//! A replica whose log has lost its end finds out what it may have acknowledged there, and takes part
//! again when it has that.
//!
//! The last record of a node's log may be gone by a flipped bit or a cut (`log::damage`). It held
//! whatever was written last, for any group of the node: entries that were acknowledged, or a vote.
//! Were the replica to vote as if it had never acknowledged them, a leader could be elected that lacks
//! entries which are committed; were it to vote twice in a term, there could be two leaders. So it
//! first takes part in nothing, for one lease, until no vote is counted and no lease lasts that it
//! gave before. Then it asks the other voters how they stand ([`Standing`]):
//!
//! - *One leads*, in the highest term that any of them has promised anything in, and all have
//!   answered, or so many who remember that every majority the replica was part of has one among
//!   them. The replica follows leaders of this and later terms, as one that has lost its whole log
//!   (`part`). When it has applied all that the leader had after that, it has all that it may have
//!   acknowledged.
//! - *Nobody leads and all have answered.* What it may have acknowledged and is not lost
//!   everywhere is in the furthest log among them. It promises to vote for no log that reaches less
//!   far, and for nobody in a term that any of them has promised anything in. So a group of which
//!   several replicas lost their ends at once, as when the power failed, elects the best of them.
//!
//! Otherwise it waits, and asks again. The leader is told to expect a shorter log before the replica
//! takes anything of it: openraft takes that for a fault of the program, and sends nothing.
//!
//! How far a replica has come is kept in the log ([`TailState`]), so a restart goes on from there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;
use std::time::Duration;

use coterie_protocol::method;
use coterie_types::NodeId;
use openraft::async_runtime::WatchReceiver;
use openraft::raft::VoteRequest;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::error::RaftError;
use crate::group::{Group, Inner};
use crate::log::{GroupLog, TailState};
use crate::part::Part;
use crate::type_config::{LogId, TypeConfig, Vote};

/// Between two rounds of asking.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest wait for one voter's answer.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);
/// Nodes that are asked because they were heard, at most, where the log names no voters.
const CLAIMANTS_MAX: usize = 16;

/// Asks how a replica stands.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct AskStanding {
    /// Who asks: its log has lost its end.
    pub(crate) from: NodeId,
}

/// How a replica stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// The highest term in which it has promised anything, as far as it knows.
    term: u64,
    /// Whether it knows all that it has promised.
    remembers: bool,
    /// Whether it leads in `term`.
    leads: bool,
    last: Option<LogId>,
    /// The voters by its log, per configuration.
    voters: Vec<BTreeSet<u64>>,
}

/// What follows from the answers.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// Follow leaders from this term on; the present one has a log up to here.
    Follow {
        term: u64,
        last: Option<LogId>,
    },
    /// Vote for no log before `last`, and for nobody up to `term`.
    Promise {
        term: u64,
        last: Option<LogId>,
    },
    Wait(&'static str),
}

impl Inner {
    /// How this replica stands.
    pub(crate) fn standing(&self) -> Standing {
        let term = self.log.promised_term().0;
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        Standing {
            term,
            remembers: self.part() == Part::Full && !self.log.is_short_of_promises(),
            // Not by its vote alone: that is still there when a leader was restarted.
            leads: metrics.state == openraft::ServerState::Leader
                && metrics.vote.leader_id.term == term,
            last: self.log.last(),
            voters: membership.get_joint_config().clone(),
        }
    }

    /// Notes a node that says it leads the group or wants to: it can be asked.
    pub(crate) fn note_claimant(&self, node: NodeId) {
        let mut claimants = self
            .claimants
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if claimants.len() < CLAIMANTS_MAX {
            claimants.insert(node);
        }
    }
}

impl Group {
    /// Waits until this replica has all that it may have acknowledged at the end of its log, should
    /// that have been lost.
    pub async fn tail_recovered(&self) {
        if self.0.recovers_tail {
            let mut parts = self.0.part.subscribe();
            let is_sound = |_: &Part| self.0.log.tail() == TailState::Sound;
            // An error: the group has stopped, and nothing comes of waiting.
            let _ = parts.wait_for(is_sound).await;
        }
    }
}

/// Whether the end of a replica's log is lost, and is for [`recover`] to make good. A replica that has
/// lost all of its log is its owner's to bring back, where the owner does so (`if_new`).
pub(crate) fn is_to_recover(log: &GroupLog, if_new: Part) -> bool {
    let is_owners = log.is_pristine() && if_new == Part::Nothing;
    log.tail() != TailState::Sound && !is_owners
}

/// Runs until the replica takes part again; the fence is over.
pub(crate) async fn recover(group: Group) {
    if let Err(error) = take_part_again(&group.0).await {
        // The log cannot be written: the process ends.
        warn!(group_id = %group.id(), %error, "the end of its log is lost, and stays so");
    }
}

async fn take_part_again(group: &Inner) -> Result<(), RaftError> {
    let group_id = group.group_id;
    // What the leader had when the replica began to follow.
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

impl Inner {
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

/// Holds the replica to logs up to `last`, and to no further vote in terms up to `term`; whether
/// that is so now.
async fn promise(group: &Inner, term: u64, last: Option<LogId>) -> Result<bool, RaftError> {
    if let Some(last) = last {
        group.log.raise_promised(last).await?;
    }
    if group.log.promised_term().0 >= term {
        return Ok(true);
    }
    // A vote for itself that nobody asked for, and nobody counts.
    let vote = Vote::new(term, group.node_id.0);
    let voting = group.raft.vote(VoteRequest::<TypeConfig>::new(vote, last));
    voting.await.map_err(|e| RaftError::raft("vote", e))?;
    Ok(group.log.promised_term().0 >= term)
}

/// What those of the other voters say who answer.
async fn ask_others(group: &Inner) -> BTreeMap<u64, Standing> {
    let mut known: BTreeSet<u64> = group.standing().voters.into_iter().flatten().collect();
    {
        let claimants = group
            .claimants
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known.extend(claimants.iter().map(|node| node.0));
    }
    let (mut answers, mut asked) = (BTreeMap::new(), BTreeSet::from([group.node_id.0]));
    // Those who answer may know of further voters.
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
        // Of every majority with this replica in it one is among so many of the others.
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

    /// A voter of three that remembers, in a term, with a log up to an index.
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
        // Nor does it remember, but all have said what they know.
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
        // By the others' log a fourth took the place of the third.
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
