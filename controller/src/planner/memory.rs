//! The planner's memory of earlier views: since when conditions have lasted.
//!
//! One view cannot tell a blip from a lasting condition. Conditions that must hold for some time
//! are timed here, nothing else is stored. A new controller starts empty, waits again, and decides
//! the same. Time is the view's clock, of which a step counts for at most [`STEP_MAX`]: a clock
//! that jumps ahead must not make a node silent for an hour.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use coterie_protocol::catalog::{JobDescriptor, JobState};
use coterie_types::{Epoch, GroupId, JobId, LogIndex, NodeId, RangeId, UnixMillis};

use super::busy::ranges_of;
use super::facts::{Facts, GroupFacts};
use super::since::Since;
use super::slow::{self, Slow};
use crate::job::{AddReplica, ReplacePhase, ReplaceReplica, Step};

/// The longest time that may lie between two views.
const STEP_MAX: Duration = Duration::from_secs(5);

/// Entries that a follower may lack for long. A follower that lacks more does not keep up.
pub(super) const LAG_MAX: u64 = 100_000;

/// How long the planner does not ask a node again for a replica that it could not host.
const REFUSED_FOR: Duration = Duration::from_secs(600);

/// See the module's head.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    clock: Duration,
    seen_at: Option<UnixMillis>,
    /// Silent nodes.
    silent: Since<NodeId>,
    /// Usable nodes.
    usable: Since<NodeId>,
    /// The progress of each member of each group.
    followers: BTreeMap<(GroupId, NodeId), Follower>,
    /// The node that is judged slow. At most one at a time, since the others are its measure.
    slow: Option<Slow>,
    /// Nodes whose last heartbeats were slow.
    slowness: Since<NodeId>,
    /// Ranges with too much load.
    hot: Since<(RangeId, Epoch)>,
    /// Nearly idle ranges.
    cold: Since<RangeId>,
    /// Groups that own nothing.
    bare: Since<GroupId>,
    /// Groups with more than their share of the load.
    loaded: Since<GroupId>,
    /// Ranges whose group reports a higher epoch than meta's map.
    ahead: Since<(RangeId, Epoch)>,
    /// Jobs that wait for their judgement, and that are over together with the later jobs of their
    /// ranges.
    settled: Since<JobId>,
    /// For each job that was given up because a node could not host a replica: the group, the node,
    /// and when the planner saw it. `None` if the first view had it already, and the job had begun
    /// long before.
    refused: BTreeMap<JobId, (GroupId, NodeId, Option<Duration>)>,
    /// When a range last moved, or the time of the first view.
    moved_at: Duration,
}

/// The progress of a member.
#[derive(Debug, Clone, Copy, Default)]
struct Follower {
    applied: LogIndex,
    matched: LogIndex,
    /// Since when the member has lacked entries and applied none.
    stalled: Option<Duration>,
    /// When the leader last heard from the member that it has more of the log.
    acknowledged: Option<Duration>,
    /// Since when the member has lacked too many entries, and the fewest it lacked since.
    lagging: Option<(Duration, u64)>,
}

impl Memory {
    /// Notes a view.
    pub(super) fn observe(&mut self, facts: &Facts<'_>) {
        let view = facts.view;
        let step = self.seen_at.map_or(0, |before| view.now.since(before));
        self.clock += Duration::from_millis(step).min(STEP_MAX);
        let is_first = self.seen_at.replace(view.now).is_none();
        let now = self.clock;
        self.observe_nodes(facts, now);
        self.observe_followers(facts, now);
        self.observe_refused(facts, is_first, now);
        self.observe_settled(facts, now);
        let hot = facts.ranges.iter().filter(|range| facts.is_hot(range));
        let hot = hot.map(|range| (range.row.range_id, range.row.epoch));
        self.hot.keep(now, hot);
        let cold = facts.ranges.iter().filter(|range| facts.is_cold(range));
        self.cold.keep(now, cold.map(|range| range.row.range_id));
        let bare = facts.groups.iter().filter(|group| group.ranges.is_empty());
        self.bare.keep(now, bare.map(|group| group.id()));
        self.loaded.keep(now, facts.loaded_groups());
        self.ahead.keep(now, facts.ranges_ahead());
        // A job may begin and end between two views.
        let mut lately = facts
            .jobs
            .iter()
            .filter(|(job, _)| job.state == JobState::Running || view.is_recent(job, STEP_MAX));
        if lately.any(|(_, step)| matches!(step, Step::MoveRange(_))) {
            self.moved_at = now;
        }
    }

    fn observe_nodes(&mut self, facts: &Facts<'_>, now: Duration) {
        let (view, timeout) = (facts.view, facts.settings.liveness_timeout);
        let nodes = || view.catalog.nodes.keys().copied();
        // A new leader of meta has heard no node yet: its silence says nothing of the nodes.
        let may_judge = view.listening_for >= timeout;
        let before = self.silent.clone();
        let is_silent =
            |id: &NodeId| !view.is_heard(*id, timeout) && (may_judge || before.has(*id));
        self.silent.keep(now, nodes().filter(is_silent));
        let is_usable = |id: &NodeId| view.is_usable(*id, timeout);
        self.usable.keep(now, nodes().filter(is_usable));
        let slowest = slow::evidence(view, timeout);
        self.slowness
            .keep(now, slowest.iter().map(|evidence| evidence.node_id));
        self.slow = slow::judge(
            self.slow.take(),
            &slowest,
            &self.slowness,
            view,
            timeout,
            now,
        );
    }

    fn observe_followers(&mut self, facts: &Facts<'_>, now: Duration) {
        let mut followers = BTreeMap::new();
        for group in &facts.groups {
            for replica in &group.row.replicas {
                let key = (group.id(), replica.node_id);
                let before = self.followers.get(&key).copied();
                let follower = follow(facts, group, replica.node_id, before, now);
                followers.insert(key, follower);
            }
        }
        self.followers = followers;
    }

    fn observe_refused(&mut self, facts: &Facts<'_>, is_first: bool, now: Duration) {
        let before = std::mem::take(&mut self.refused);
        let jobs = facts.jobs.iter();
        let refused = jobs.filter_map(|(job, step)| Some((*job, refused_by(job, step)?)));
        self.refused = refused
            .map(|(job, (group_id, node_id))| {
                let seen = match before.get(&job.job_id) {
                    Some((.., seen)) => *seen,
                    None if is_first && !facts.view.is_recent(job, REFUSED_FOR) => None,
                    None => Some(now),
                };
                (job.job_id, (group_id, node_id, seen))
            })
            .collect();
    }

    fn observe_settled(&mut self, facts: &Facts<'_>, now: Duration) {
        let catalog = &facts.view.catalog;
        let running = facts.running().flat_map(|step| ranges_of(step, catalog));
        let busy: BTreeSet<RangeId> = running.collect();
        let settled = facts.tried.iter().filter(|tried| {
            !tried.is_judged() && !tried.ranges.iter().any(|range_id| busy.contains(range_id))
        });
        self.settled.keep(now, settled.map(|tried| tried.job_id));
    }

    /// How long a job that waits for its judgement has been over, with the later jobs of its
    /// ranges.
    pub(super) fn settled_for(&self, job_id: JobId) -> Option<Duration> {
        self.settled.age(job_id, self.clock)
    }

    /// Groups and nodes where the node lately could not host a replica of the group.
    pub(super) fn refused(&self) -> impl Iterator<Item = (GroupId, NodeId)> {
        let is_late = |seen: Duration| self.clock.saturating_sub(seen) < REFUSED_FOR;
        let lately = self.refused.values();
        lately
            .filter(move |(.., seen)| seen.is_some_and(is_late))
            .map(|(group_id, node_id, _)| (*group_id, *node_id))
    }

    /// How long a node has been silent, by this memory and by meta's.
    pub(super) fn silent_for(&self, facts: &Facts<'_>, node_id: NodeId) -> Option<Duration> {
        let remembered = self.silent.age(node_id, self.clock)?;
        let view = facts.view;
        let heard = view.heard.get(&node_id).map(|heard| heard.age);
        Some(remembered.max(heard.unwrap_or(view.listening_for)))
    }

    /// How long ago a leader last heard from the node that it has more of the log. It is the second
    /// witness of a node that meta does not hear. `None` if no view showed it.
    pub(super) fn acknowledged_ago(&self, node_id: NodeId) -> Option<Duration> {
        let of_node = self.followers.iter().filter(|((_, id), _)| *id == node_id);
        let last = of_node.filter_map(|(_, follower)| follower.acknowledged);
        Some(self.clock.saturating_sub(last.max()?))
    }

    /// How long a node has been usable without interruption.
    pub(super) fn usable_for(&self, node_id: NodeId) -> Option<Duration> {
        self.usable.age(node_id, self.clock)
    }

    /// How long a member has applied nothing although its leader has more entries.
    pub(super) fn stalled_for(&self, group_id: GroupId, node_id: NodeId) -> Option<Duration> {
        let since = self.followers.get(&(group_id, node_id))?.stalled?;
        Some(self.clock.saturating_sub(since))
    }

    /// How long a member has lacked too many entries without catching up, and how many it lacks.
    pub(super) fn lagging_for(
        &self,
        group_id: GroupId,
        node_id: NodeId,
    ) -> Option<(Duration, u64)> {
        let (since, lag) = self.followers.get(&(group_id, node_id))?.lagging?;
        Some((self.clock.saturating_sub(since), lag))
    }

    /// The node that is judged slow, for how long, and the reason.
    pub(super) fn slow(&self) -> Option<(NodeId, Duration, &str)> {
        let slow = self.slow.as_ref()?;
        let lasts = slow.last_seen.saturating_sub(slow.since);
        Some((slow.node_id, lasts, &slow.reason))
    }

    /// Whether the node is judged slow.
    pub(super) fn is_slow(&self, node_id: NodeId) -> bool {
        self.slow.as_ref().is_some_and(|s| s.node_id == node_id)
    }

    /// How long a range has had too much load.
    pub(super) fn hot_for(&self, range_id: RangeId, epoch: Epoch) -> Option<Duration> {
        self.hot.age((range_id, epoch), self.clock)
    }

    /// The time since the first view.
    pub(super) fn watched_for(&self) -> Duration {
        self.clock
    }

    /// How long a range has been nearly idle.
    pub(super) fn cold_for(&self, range_id: RangeId) -> Option<Duration> {
        self.cold.age(range_id, self.clock)
    }

    /// How long a group has owned nothing.
    pub(super) fn bare_for(&self, group_id: GroupId) -> Option<Duration> {
        self.bare.age(group_id, self.clock)
    }

    /// How long a group has had more than its share of the load.
    pub(super) fn loaded_for(&self, group_id: GroupId) -> Option<Duration> {
        self.loaded.age(group_id, self.clock)
    }

    /// How long no range has moved, as far back as views reach.
    pub(super) fn ranges_rest_for(&self) -> Duration {
        self.clock.saturating_sub(self.moved_at)
    }

    /// How long a group has reported a higher epoch of the range than meta's map.
    pub(super) fn ahead_for(&self, range_id: RangeId, epoch: Epoch) -> Option<Duration> {
        self.ahead.age((range_id, epoch), self.clock)
    }
}

/// The group and the node of a replacement that was given up because the node could not host the
/// replica.
fn refused_by(job: &JobDescriptor, step: &Step) -> Option<(GroupId, NodeId)> {
    match step {
        Step::ReplaceReplica(ReplaceReplica {
            phase: ReplacePhase::Refuse,
            group_id,
            to,
            ..
        })
        | Step::AddReplica(AddReplica {
            phase: ReplacePhase::Refuse,
            group_id,
            to,
            ..
        }) => (job.state == JobState::Failed).then_some((*group_id, *to)),
        _ => None,
    }
}

/// A member's progress, from its earlier progress and the current view.
fn follow(
    facts: &Facts<'_>,
    group: &GroupFacts<'_>,
    node_id: NodeId,
    before: Option<Follower>,
    now: Duration,
) -> Follower {
    let first = before.is_none();
    let mut follower = before.unwrap_or_default();
    let Some((leader_id, leader)) = group.leader else {
        // Without a leader there are no entries to follow: the time does not count.
        (follower.stalled, follower.lagging) = (None, None);
        return follower;
    };
    let mut matched = leader.matched.iter();
    if let Some((_, matched)) = matched.find(|(id, _)| *id == node_id) {
        if !first && *matched > follower.matched {
            follower.acknowledged = Some(now);
        }
        follower.matched = *matched;
    }
    let timeout = facts.settings.liveness_timeout;
    if node_id == leader_id || !facts.view.is_heard(node_id, timeout) {
        // Silence is a condition of its own.
        (follower.stalled, follower.lagging) = (None, None);
        return follower;
    }
    let status = facts.view.replica(node_id, group.id());
    let applied = status.map_or(LogIndex(0), |status| status.applied_index);
    let moved = first || applied > follower.applied;
    follower.applied = applied;
    let is_behind = status.is_none() || applied < leader.applied_index;
    follower.stalled = match follower.stalled {
        _ if !is_behind || moved => None,
        Some(since) => Some(since),
        None => Some(now),
    };
    let lag = leader.last_index.0.saturating_sub(applied.0);
    follower.lagging = match follower.lagging {
        _ if lag <= LAG_MAX => None,
        // The member lacks a tenth less than before: it catches up.
        Some((since, least)) if lag >= least - least / 10 => Some((since, least)),
        _ => Some((now, lag)),
    };
    follower
}
