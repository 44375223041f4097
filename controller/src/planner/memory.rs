//! What the planner remembers of earlier views: since when things have been as they are.
//!
//! One view cannot tell a moment from a state, so whatever is to be so "for a while" is noted here,
//! and nothing else: a new controller begins with an empty memory, waits as long again, and decides
//! the same. Time is the view's clock, of which a step counts for [`STEP_MAX`] at most: a clock
//! that jumps ahead must not make a node silent for an hour.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use coterie_protocol::catalog::{JobDescriptor, JobState};
use coterie_types::{Epoch, GroupId, JobId, LogIndex, NodeId, RangeId, UnixMillis};

use super::busy::ranges_of;
use super::facts::{Facts, Group};
use super::since::Since;
use super::slow::{self, Slow};
use crate::job::{AddReplica, ReplacePhase, ReplaceReplica, Step};

/// The longest time that is believed to lie between two views.
const STEP_MAX: Duration = Duration::from_secs(5);

/// Entries that a follower may lack for long: more is a follower that does not keep up.
pub(super) const LAG_MAX: u64 = 100_000;

/// How long a node is not asked again for what it could not take in.
const REFUSED_FOR: Duration = Duration::from_secs(600);

/// See the module's head.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    clock: Duration,
    seen_at: Option<UnixMillis>,
    /// Nodes that are not heard.
    silent: Since<NodeId>,
    /// Nodes that are usable.
    usable: Since<NodeId>,
    /// How each member of each group follows.
    followers: BTreeMap<(GroupId, NodeId), Follower>,
    /// The node that is judged slow; one at a time, as the others are what it is measured by.
    slow: Option<Slow>,
    /// Nodes whose last heartbeats were slow.
    slowness: Since<NodeId>,
    /// Ranges with more load than one should have.
    hot: Since<(RangeId, Epoch)>,
    /// Ranges that are hardly used.
    cold: Since<RangeId>,
    /// Groups that own nothing.
    bare: Since<GroupId>,
    /// Groups with more than their share of the load.
    loaded: Since<GroupId>,
    /// Ranges of which a group knows more than meta.
    ahead: Since<(RangeId, Epoch)>,
    /// Jobs that are to be judged, once they and the later jobs of their ranges are over.
    settled: Since<JobId>,
    /// Of jobs that were given up as a node could not take a replica in: which, and when that was
    /// seen; never, if it was so in the first view and they had begun long before.
    refused: BTreeMap<JobId, (GroupId, NodeId, Option<Duration>)>,
    /// When a range was last on its way, or when the first view was taken in.
    moved_at: Duration,
}

/// How a member follows its leader.
#[derive(Debug, Clone, Copy, Default)]
struct Follower {
    applied: LogIndex,
    matched: LogIndex,
    /// Since when it has had less than the leader and applied nothing.
    stalled: Option<Duration>,
    /// When the leader last heard that it has more.
    acknowledged: Option<Duration>,
    /// Since when it has lacked too much, and the least it lacked since.
    lagging: Option<(Duration, u64)>,
}

impl Memory {
    /// Takes in what is seen now.
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
        // One that is over between two views was never seen to run.
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
        // A meta leader that is new has heard nobody, which says nothing new of anybody.
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

    /// How long a job that is to be judged has been over, with the later jobs of its ranges.
    pub(super) fn settled_for(&self, job_id: JobId) -> Option<Duration> {
        self.settled.age(job_id, self.clock)
    }

    /// What nodes could not take in lately.
    pub(super) fn refused(&self) -> impl Iterator<Item = (GroupId, NodeId)> {
        let is_late = |seen: Duration| self.clock.saturating_sub(seen) < REFUSED_FOR;
        let lately = self.refused.values();
        lately
            .filter(move |(.., seen)| seen.is_some_and(is_late))
            .map(|(group_id, node_id, _)| (*group_id, *node_id))
    }

    /// How long a node has been silent, by what is remembered and what meta says of it.
    pub(super) fn silent_for(&self, facts: &Facts<'_>, node_id: NodeId) -> Option<Duration> {
        let remembered = self.silent.age(node_id, self.clock)?;
        let view = facts.view;
        let heard = view.heard.get(&node_id).map(|heard| heard.age);
        Some(remembered.max(heard.unwrap_or(view.listening_for)))
    }

    /// How long ago a leader last heard from the node that it has more of the log: the second
    /// observer of a node that meta does not hear. `None` if that was never seen.
    pub(super) fn acknowledged_ago(&self, node_id: NodeId) -> Option<Duration> {
        let of_node = self.followers.iter().filter(|((_, id), _)| *id == node_id);
        let last = of_node.filter_map(|(_, follower)| follower.acknowledged);
        Some(self.clock.saturating_sub(last.max()?))
    }

    /// How long a node has been usable without a break.
    pub(super) fn usable_for(&self, node_id: NodeId) -> Option<Duration> {
        self.usable.age(node_id, self.clock)
    }

    /// How long a member has applied nothing although its leader has more.
    pub(super) fn stalled_for(&self, group_id: GroupId, node_id: NodeId) -> Option<Duration> {
        let since = self.followers.get(&(group_id, node_id))?.stalled?;
        Some(self.clock.saturating_sub(since))
    }

    /// How long a member has lacked too much without coming closer, and how much it lacks.
    pub(super) fn lagging_for(
        &self,
        group_id: GroupId,
        node_id: NodeId,
    ) -> Option<(Duration, u64)> {
        let (since, lag) = self.followers.get(&(group_id, node_id))?.lagging?;
        Some((self.clock.saturating_sub(since), lag))
    }

    /// The node that is judged slow, for how long, and why.
    pub(super) fn slow(&self) -> Option<(NodeId, Duration, &str)> {
        let slow = self.slow.as_ref()?;
        let lasts = slow.last_seen.saturating_sub(slow.since);
        Some((slow.node_id, lasts, &slow.reason))
    }

    /// Whether this is the node that is judged slow.
    pub(super) fn is_slow(&self, node_id: NodeId) -> bool {
        self.slow.as_ref().is_some_and(|s| s.node_id == node_id)
    }

    /// How long a range has had more load than one should.
    pub(super) fn hot_for(&self, range_id: RangeId, epoch: Epoch) -> Option<Duration> {
        self.hot.age((range_id, epoch), self.clock)
    }

    /// How long views have been taken in.
    pub(super) fn watched_for(&self) -> Duration {
        self.clock
    }

    /// How long a range has hardly been used.
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

    /// How long no range has been on its way, as far back as views reach.
    pub(super) fn ranges_rest_for(&self) -> Duration {
        self.clock.saturating_sub(self.moved_at)
    }

    /// How long a group has known more of a range than meta.
    pub(super) fn ahead_for(&self, range_id: RangeId, epoch: Epoch) -> Option<Duration> {
        self.ahead.age((range_id, epoch), self.clock)
    }
}

/// What a node could not take in, if the job was given up for that.
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

/// How a member follows, from how it did before and what is seen now.
fn follow(
    facts: &Facts<'_>,
    group: &Group<'_>,
    node_id: NodeId,
    before: Option<Follower>,
    now: Duration,
) -> Follower {
    let first = before.is_none();
    let mut follower = before.unwrap_or_default();
    let Some((leader_id, leader)) = group.leader else {
        // Nothing to follow: whatever it lacked is not held against it.
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
        // A node that is silent is another matter.
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
        // Closer than it was by a tenth: it catches up.
        Some((since, least)) if lag >= least - least / 10 => Some((since, least)),
        _ => Some((now, lag)),
    };
    follower
}
