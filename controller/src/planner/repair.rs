//! Lost and failing replicas are replaced on other nodes.
//!
//! The worst cases come first. A wiped disk registers as a new node, and takes over the address of
//! the old node: a node that has no address and is silent must never vote again. A node that is
//! down keeps its place for `--replace-after`. After that two witnesses are required: meta has no
//! heartbeat, and no leader gets acknowledgements. Next come replicas that stopped or have not
//! followed their leader for long, and all replicas of a node that is slow or draining. The last
//! are replicas that crowd a zone.
//!
//! A group is changed only while a majority is alive and no job works on it. Exception: a replica
//! that is as good as lost is replaced even during a range copy. A spare is preferred, else the
//! node with the fewest replicas. A node receives one replica at a time and the whole cluster a
//! few, as each may have to be sent whole. A lost node is removed once neither a group nor a job
//! names it.

use std::fmt;
use std::time::Duration;

use coterie_types::{GroupDescriptor, NodeId, NodeState, Replica};

use super::draft::Draft;
use super::facts::{Facts, GroupFacts};
use super::memory::Memory;
use super::placement::Placement;
use super::plan::Action;
use crate::job::{AddReplica, MakeGroups, ReplacePhase, ReplaceReplica, Step};
use crate::view::View;

/// The kind of job.
pub(super) const KIND: &str = "replace-replica";

/// The time to see whether a leader still hears from a node that meta does not hear.
const SECOND_LOOK: Duration = Duration::from_secs(10);

/// How long a replica may apply nothing although its leader has more entries.
const STALLED_AFTER: Duration = Duration::from_secs(30);

/// How long a replica may lack too many entries without catching up.
const LAGGING_AFTER: Duration = Duration::from_secs(60);

/// The fault of a replica where it is, the worst first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    Lost,
    Silent(Duration),
    Fault(String),
    Stalled(Duration, u64, u64),
    Lagging(Duration, u64),
    Leaving(&'static str),
    Slow(Duration, String),
    Crowded(String),
}

impl Cause {
    /// Whether the replica is as good as lost, and does not wait for the copy of a range.
    fn is_urgent(&self) -> bool {
        matches!(
            self,
            Self::Lost | Self::Silent(_) | Self::Fault(_) | Self::Stalled(..)
        )
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost => write!(f, "is lost"),
            Self::Silent(lasts) => write!(
                f,
                "has been silent for {} s, and no leader heard from it either",
                lasts.as_secs()
            ),
            Self::Fault(fault) => write!(f, "has stopped its replica ({fault})"),
            Self::Stalled(lasts, applied, leader) => write!(
                f,
                "has been at entry {applied} for {} s, and the leader is at {leader}",
                lasts.as_secs()
            ),
            Self::Lagging(lasts, lag) => write!(
                f,
                "has lacked {lag} entries or more for {} s",
                lasts.as_secs()
            ),
            Self::Leaving(why) => write!(f, "{why}"),
            Self::Slow(lasts, why) => write!(f, "{why}, for {} s", lasts.as_secs()),
            Self::Crowded(place) => write!(f, "is {place}, which has a majority of it"),
        }
    }
}

pub(super) fn plan(facts: &Facts<'_>, memory: &Memory, draft: &mut Draft<'_>) {
    let mut placement = Placement::remembering(facts.view, facts.settings, memory);
    let mut wanted: Vec<(Cause, &GroupFacts<'_>, Replica)> = Vec::new();
    for group in &facts.groups {
        let of_group = group.row.replicas.iter();
        let worst = of_group
            .filter_map(|replica| Some((cause(facts, memory, group, replica.node_id)?, *replica)))
            .min();
        let worst = worst.or_else(|| crowded(&placement, group));
        if let Some((cause, replica)) = worst
            && (draft.is_free(group.id()) || cause.is_urgent() && draft.is_mendable(group.id()))
        {
            wanted.push((cause, group, replica));
        }
    }
    wanted.sort_by(|(a, at, _), (b, bt, _)| (a, at.id()).cmp(&(b, bt.id())));
    let mut waiting = 0;
    for (cause, group, old) in wanted {
        if draft.receivers.len() >= facts.settings.snapshots_max {
            waiting += 1;
            continue;
        }
        let size_bytes = group.leader.map_or(0, |(_, said)| said.size_bytes);
        let found = check_majority(facts, group).and_then(|alive| {
            let busy = &draft.receivers;
            let to = placement.replacement(group.row, Some(old.node_id), size_bytes, busy)?;
            Ok((alive, to))
        });
        match found {
            Ok((alive, to)) => {
                let reason = format!(
                    "node {} {cause}; {alive} of {} voters are up; node {to} has {} replica(s) \
                     with this one",
                    old.node_id,
                    group.row.voters().count(),
                    placement.count(to)
                );
                let step = replace(group.row, old, to);
                draft.begin(KIND, step, vec![reason]);
            }
            Err(reason) => draft.refuse(format!(
                "group {}: node {} {cause}, and {reason}",
                group.id(),
                old.node_id
            )),
        }
    }
    if waiting > 0 {
        draft.refuse(format!(
            "{waiting} replica(s) are to be put elsewhere; {} move already, which is the limit",
            draft.receivers.len()
        ));
    }
    remove_lost(facts, draft);
}

/// The fault of a group's replica on a node. `None` if it is sound.
fn cause(
    facts: &Facts<'_>,
    memory: &Memory,
    group: &GroupFacts<'_>,
    node_id: NodeId,
) -> Option<Cause> {
    let (view, settings) = (facts.view, facts.settings);
    if is_lost(facts, node_id) {
        return Some(Cause::Lost);
    }
    if let Some(lasts) = memory.silent_for(facts, node_id) {
        let after = settings.replace_after;
        let is_vouched = memory
            .acknowledged_ago(node_id)
            .is_some_and(|ago| ago < after);
        let has_looked = memory.watched_for() >= SECOND_LOOK.min(after);
        if lasts >= after && has_looked && !is_vouched {
            return Some(Cause::Silent(lasts));
        }
    }
    let status = view.replica(node_id, group.id());
    if let Some(fault) = status.and_then(|status| status.fault.as_ref()) {
        return Some(Cause::Fault(fault.clone()));
    }
    if let Some(lasts) = memory.stalled_for(group.id(), node_id)
        && lasts >= STALLED_AFTER
    {
        let applied = status.map_or(0, |status| status.applied_index.0);
        let leader = group.leader.map_or(0, |(_, said)| said.applied_index.0);
        return Some(Cause::Stalled(lasts, applied, leader));
    }
    if let Some((lasts, lag)) = memory.lagging_for(group.id(), node_id)
        && lasts >= LAGGING_AFTER
    {
        return Some(Cause::Lagging(lasts, lag));
    }
    match view.catalog.nodes.get(&node_id).map(|node| node.state) {
        Some(NodeState::Draining) => return Some(Cause::Leaving("is draining")),
        Some(NodeState::Removed) => return Some(Cause::Leaving("was removed")),
        _ => {}
    }
    let (slow, lasts, why) = memory.slow()?;
    let is_over = slow == node_id && lasts >= settings.replace_after;
    is_over.then(|| Cause::Slow(lasts, why.to_owned()))
}

fn crowded(placement: &Placement<'_>, group: &GroupFacts<'_>) -> Option<(Cause, Replica)> {
    let leader = group.leader.map(|(leader, _)| leader);
    let node_id = placement.crowded(group.row, leader)?;
    let mut replicas = group.row.replicas.iter();
    let replica = replicas.find(|replica| replica.node_id == node_id)?;
    Some((Cause::Crowded(placement.where_is(node_id)), *replica))
}

fn is_lost(facts: &Facts<'_>, node_id: NodeId) -> bool {
    let (view, timeout) = (facts.view, facts.settings.liveness_timeout);
    let node = view.catalog.nodes.get(&node_id);
    node.is_some_and(|node| node.addr.is_empty() && node.state != NodeState::Removed)
        && !view.is_heard(node_id, timeout)
        && view.listening_for >= timeout
}

/// The number of voters that are up, if that is enough for a change of members.
pub(super) fn check_majority(facts: &Facts<'_>, group: &GroupFacts<'_>) -> Result<usize, String> {
    let timeout = facts.settings.liveness_timeout;
    let voters = group.row.voters().count();
    let up = |id: &NodeId| facts.view.is_heard(*id, timeout);
    let alive = group.row.voters().filter(up).count();
    if 2 * alive <= voters {
        return Err(format!("{alive} of {voters} voters are up"));
    }
    if group.leader.is_none() {
        return Err("nobody leads it".to_owned());
    }
    Ok(alive)
}

/// The first step of a replacement by a replica on node `to`.
pub(super) fn replace(group: &GroupDescriptor, old: Replica, to: NodeId) -> Step {
    let (group_id, from) = (group.group_id, old.node_id);
    let kept = group.replicas.iter().filter(|r| r.node_id != from);
    let mut replicas: Vec<Replica> = kept.copied().collect();
    replicas.push(Replica { node_id: to, ..old });
    replicas.sort();
    Step::ReplaceReplica(ReplaceReplica {
        phase: ReplacePhase::Create,
        group_id,
        from,
        to,
        replicas,
    })
}

fn remove_lost(facts: &Facts<'_>, draft: &mut Draft<'_>) {
    let nodes = facts.view.catalog.nodes.keys().copied();
    let lost = nodes.filter(|id| is_lost(facts, *id) && !is_named(facts.view, *id));
    for node_id in lost.collect::<Vec<_>>() {
        draft.plan.actions.push(Action::SetNodeState {
            node_id,
            state: NodeState::Removed,
            reason: "another node has its address, and it holds no replica".to_owned(),
        });
    }
}

/// Whether a group or a running job names the node.
fn is_named(view: &View, node_id: NodeId) -> bool {
    !view.catalog.holds_nothing(node_id)
        || view.running_jobs().any(|(_, step)| match step {
            Step::MakeGroups(MakeGroups { groups, .. }) => {
                groups.iter().any(|new| new.voters.contains(&node_id))
            }
            Step::ReplaceReplica(ReplaceReplica { from, to, .. }) => {
                from == node_id || to == node_id
            }
            Step::AddReplica(AddReplica { to, .. }) => to == node_id,
            _ => false,
        })
}
