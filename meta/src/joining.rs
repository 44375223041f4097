//! How a member with an empty log takes part: at once in a new cluster; in a cluster that was born
//! before, only when it has everything it may have acknowledged before its disk was lost.
//!
//! Members keep their ids, so a member that starts with an empty directory cannot know its earlier
//! promises. It asks the others, and takes part in nothing until it has learned enough from the
//! answers:
//!
//! - No answer says that the cluster is born, and a majority has answered, this member included:
//!   the cluster is new. (The first leader waits for the others for a while: `birth`.)
//! - An answer says so: the member has lost its log. It follows a leader, and neither votes nor
//!   campaigns, until it has applied all that this leader had when it was asked. The leader must be
//!   of the highest term in which the others have promised anything. Enough of them must answer
//!   that every majority the member may have been part of is represented (`Part`).
//!
//! A member whose own log is empty counts towards the first case, not towards the quorum of the
//! second. When too many have lost their logs, only a backup helps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use coterie_protocol::meta::{Birth, MetaAnswer, MetaRequest, Standing};
use coterie_protocol::{decode, encode, method};
use coterie_raft::{Group, Part};
use coterie_rpc::Client;
use coterie_telemetry::Component;
use coterie_types::Term;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::RunError;
use crate::members::Members;

/// Pause between two rounds of questions.
const PAUSE: Duration = Duration::from_millis(100);

/// How long to wait for the answer of a member.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);

/// See the module's head.
pub(crate) struct Joining {
    pub(crate) group: Group,
    pub(crate) members: Arc<Members>,
    pub(crate) rpc: Client,
    /// The stage of birth in the member's own directory.
    pub(crate) own: Birth,
    /// When this process began: its predecessors granted no lease and no vote after that.
    pub(crate) since: Instant,
    /// How long a lease, or a vote in progress, can last.
    pub(crate) lease: Duration,
}

/// The conclusion from the answers.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// The cluster is new.
    Begin,
    /// The log is lost: follow from this term on.
    Follow(Term),
    /// The answers are not enough yet.
    Wait(&'static str),
}

impl Joining {
    /// Finds out how far this member takes part; returns when that is settled.
    pub(crate) async fn find_part(&self, component: &Component) -> Result<(), RunError> {
        let mut told = "";
        while self.group.part() == Part::Nothing {
            let asked = Instant::now();
            let answers = self.ask_others().await;
            match decide(self.own, self.members.ids().len(), &answers) {
                Decision::Begin => {
                    self.group.take_part().await?;
                    // Every member does so with the same list; only the first call changes
                    // anything.
                    self.group.initialize(self.members.ids()).await?;
                }
                Decision::Follow(term) if asked >= self.since + self.lease => {
                    warn!(%term, "this member's log is lost: it does not vote before it has caught up");
                    self.group.follow_from(term).await?;
                }
                Decision::Follow(_) => tokio::time::sleep(PAUSE).await,
                Decision::Wait(reason) => {
                    if told != reason {
                        info!(reason, "this member does not take part yet");
                        component.waiting(reason);
                        told = reason;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        Ok(())
    }

    /// If this member has lost its log: waits until it has caught up, then lets it take part in
    /// everything.
    pub(crate) async fn catch_up(&self, component: &Component) -> Result<(), RunError> {
        let Part::Follows(from) = self.group.part() else {
            return Ok(());
        };
        component.waiting("its log was lost, and it catches up");
        let last = loop {
            let answers = self.ask_others().await;
            let leaders = answers.iter().filter(|answer| answer.term >= Some(from));
            let newest = leaders
                .filter(|answer| answer.leads.is_some())
                .max_by_key(|answer| answer.term);
            if let Some(last) = newest.and_then(|leader| leader.leads) {
                break last;
            }
            tokio::time::sleep(PAUSE).await;
        };
        while self.group.status().applied_index < last {
            tokio::time::sleep(PAUSE).await;
        }
        self.group.take_part().await?;
        info!(log_index = %last, "this member has caught up: it votes again");
        Ok(())
    }

    /// Whether every other member takes part in everything.
    pub(crate) async fn all_take_part(&self) -> bool {
        let answers = self.ask_others().await;
        let others = self.members.ids().len() - 1;
        answers
            .iter()
            .filter(|answer| answer.term.is_some())
            .count()
            == others
    }

    /// The answers of the other members; silent members are left out.
    async fn ask_others(&self) -> Vec<Standing> {
        let own = self.members.own_id();
        let mut asking = JoinSet::new();
        for member in self.members.ids() {
            if let Some(addr) = self.members.addr(member).filter(|_| member != own) {
                asking.spawn(ask(self.rpc.clone(), addr, own.0));
            }
        }
        asking.join_all().await.into_iter().flatten().collect()
    }
}

async fn ask(rpc: Client, addr: String, member: u64) -> Option<Standing> {
    let request = encode(&MetaRequest::Standing { member });
    let answer = rpc.call(&addr, method::META, request, ASK_TIMEOUT).await;
    // Unreachable, still starting, or of another version: no answer.
    match decode(&answer.ok()?).ok()? {
        MetaAnswer::Standing(standing) => Some(standing),
        _ => None,
    }
}

/// Decides by the rules in the module's head. `own` is the stage of birth in the asker's directory;
/// `members` includes the asker.
fn decide(own: Birth, members: usize, answers: &[Standing]) -> Decision {
    // A directory that names its cluster had a log. Restored members begin together, with unborn
    // members too; an unborn member among restored members has missed the restore. Either has
    // missed the birth if another member is born.
    let was_born = own == Birth::Born || answers.iter().any(|answer| answer.birth > own);
    if !was_born {
        return if answers.len() + 1 > members / 2 {
            Decision::Begin
        } else {
            Decision::Wait("too few other members answer to tell whether the cluster is new")
        };
    }
    let terms = answers.iter().filter_map(|answer| answer.term);
    // If fewer answer, the silent members may include all others of a majority that this member was
    // part of.
    if terms.clone().count() < members - members / 2 {
        return Decision::Wait("its log is lost, and too few others remember what was promised");
    }
    let highest = terms.max();
    let leads = |answer: &Standing| answer.leads.is_some() && answer.term == highest;
    match highest {
        Some(term) if answers.iter().any(leads) => Decision::Follow(term),
        _ => Decision::Wait("its log is lost, and the others have no leader"),
    }
}

#[cfg(test)]
mod tests {
    use coterie_types::LogIndex;

    use super::*;

    fn standing(birth: Birth, term: Option<u64>) -> Standing {
        Standing {
            birth,
            term: term.map(Term),
            leads: None,
        }
    }

    fn leader(term: u64) -> Standing {
        Standing {
            leads: Some(LogIndex(9)),
            ..standing(Birth::Born, Some(term))
        }
    }

    fn waits(own: Birth, members: usize, answers: &[Standing]) -> bool {
        matches!(decide(own, members, answers), Decision::Wait(_))
    }

    #[test]
    fn a_new_cluster_begins_when_a_majority_knows_of_none() {
        let new = standing(Birth::Unborn, None);
        let begun = standing(Birth::Unborn, Some(1));
        assert!(waits(Birth::Unborn, 3, &[]));
        assert_eq!(decide(Birth::Unborn, 3, &[new]), Decision::Begin);
        assert_eq!(decide(Birth::Unborn, 3, &[new, begun]), Decision::Begin);
        assert!(waits(Birth::Unborn, 5, &[new]));
        assert_eq!(decide(Birth::Unborn, 5, &[new, begun]), Decision::Begin);
    }

    #[test]
    fn an_empty_member_of_a_born_cluster_needs_the_leader_and_all_who_may_know_better() {
        let own = Birth::Unborn;
        let (follower, new) = (standing(Birth::Born, Some(7)), standing(own, None));
        assert!(waits(own, 3, &[follower]), "the other one may know more");
        assert!(waits(own, 3, &[leader(7)]));
        assert!(waits(own, 3, &[leader(7), new]), "it has forgotten, too");
        assert!(waits(own, 3, &[follower, follower]), "no leader");
        assert!(
            waits(own, 3, &[leader(7), standing(Birth::Born, Some(8))]),
            "of a term that is over"
        );
        let follow = Decision::Follow(Term(7));
        assert_eq!(decide(own, 3, &[follower, leader(7)]), follow);
        let lagging = standing(Birth::Unborn, Some(2));
        assert_eq!(decide(own, 3, &[lagging, leader(7)]), follow);
        assert!(waits(own, 5, &[follower, leader(7)]));
        assert_eq!(decide(own, 5, &[follower, leader(7), lagging]), follow);
        assert_eq!(decide(own, 2, &[leader(7)]), follow);
    }

    #[test]
    fn a_directory_that_lost_its_log_alone_is_no_new_one() {
        let new = standing(Birth::Unborn, None);
        assert!(waits(Birth::Born, 3, &[new, new]));
    }

    #[test]
    fn restored_members_begin_together_and_late_ones_follow() {
        let restored = standing(Birth::Restored, None);
        let own = Birth::Restored;
        assert_eq!(decide(own, 3, &[restored]), Decision::Begin);
        let new = standing(Birth::Unborn, None);
        assert_eq!(decide(own, 3, &[new]), Decision::Begin);
        assert!(
            waits(Birth::Unborn, 3, &[restored]),
            "the state of the backup is there"
        );
        let follow = Decision::Follow(Term(7));
        assert_eq!(
            decide(own, 3, &[standing(Birth::Born, Some(7)), leader(7)]),
            follow
        );
    }
}
