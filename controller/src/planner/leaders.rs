//! Leaders: away from nodes that are to be empty, and evenly over the others.
//!
//! Who is elected is Raft's to decide; here one asks a leader to hand over to a voter that is up
//! and has nearly all of the log. For balance one transfer runs at a time, only when it makes the
//! difference of two nodes smaller, and a group is left alone for a while after each. The setting
//! `balance` = `off` stops that, and only that.

use std::collections::BTreeMap;
use std::time::Duration;

use coterie_protocol::catalog::{JobDescriptor, JobState};
use coterie_types::{GroupId, NodeId, NodeState};

use super::{Action, Plan, Settings};
use crate::job::Step;
use crate::view::View;

/// The kind of job.
const KIND: &str = "transfer-leader";

/// Entries that a voter may lack: more take longer than the hand-over may.
const LAG_MAX: u64 = 10_000;

/// Transfers at once, away from nodes that are to be empty.
const URGENT_AT_ONCE: usize = 4;

/// How long a group is left alone after a transfer was begun.
const REST: Duration = Duration::from_secs(30);
const URGENT_REST: Duration = Duration::from_secs(3);

pub(super) fn plan(view: &View, settings: &Settings, plan: &mut Plan) {
    let mut leaders = Leaders::of(view, settings);
    let mut running = leaders.transfers_running();
    for (group_id, from) in leaders.led.clone() {
        let Some(reason) = leaders.must_leave(from) else {
            continue;
        };
        if running >= URGENT_AT_ONCE || leaders.is_busy(group_id, URGENT_REST) {
            continue;
        }
        let Some(to) = leaders.best_voter(group_id, from) else {
            plan.refusals.push(format!(
                "group {group_id}: node {from} should not lead ({reason}), and no other voter is \
                 up and near"
            ));
            continue;
        };
        running += 1;
        let reasons = vec![format!(
            "node {from} {reason}; {}",
            leaders.counted(from, to)
        )];
        plan.actions
            .push(leaders.hand_over(group_id, from, to, true, reasons));
    }
    let balanced = view.catalog.settings.get("balance");
    if running > 0 || balanced.is_some_and(|value| value.eq_ignore_ascii_case("off")) {
        return;
    }
    if let Some((group_id, from, to)) = leaders.most_uneven() {
        let reasons = vec![leaders.counted(from, to)];
        plan.actions
            .push(leaders.hand_over(group_id, from, to, false, reasons));
    }
}

struct Leaders<'a> {
    view: &'a View,
    timeout: Duration,
    /// Who leads each group, as far as known.
    led: BTreeMap<GroupId, NodeId>,
    /// How many each node leads, once the transfers that run are done and those that are done have
    /// been heard of.
    counts: BTreeMap<NodeId, usize>,
}

impl<'a> Leaders<'a> {
    fn of(view: &'a View, settings: &Settings) -> Self {
        let timeout = settings.liveness_timeout;
        let led: BTreeMap<GroupId, NodeId> = view
            .catalog
            .groups
            .keys()
            .filter_map(|group_id| Some((*group_id, view.leader(*group_id, timeout)?)))
            .collect();
        let nodes = view.catalog.nodes.keys().copied();
        let mut counts: BTreeMap<NodeId, usize> = nodes.map(|id| (id, 0)).collect();
        let mut expected = led.clone();
        for job in view.catalog.jobs.values() {
            let counts = match job.state {
                JobState::Running => true,
                // Heartbeats are older than this: without it, the next plan would repeat it.
                JobState::Done => is_recent(view, job, REST),
                JobState::Failed => false,
            };
            if let Ok(Step::TransferLeader {
                group_id, from, to, ..
            }) = Step::of(job)
                && counts
                && led.get(&group_id) == Some(&from)
            {
                expected.insert(group_id, to);
            }
        }
        for node_id in expected.into_values() {
            *counts.entry(node_id).or_default() += 1;
        }
        Self {
            view,
            timeout,
            led,
            counts,
        }
    }

    fn transfers_running(&self) -> usize {
        let steps = self.view.running_jobs().map(|(_, step)| step);
        steps
            .filter(|step| matches!(step, Step::TransferLeader { .. }))
            .count()
    }

    /// Why a node should lead nothing, if so.
    fn must_leave(&self, node_id: NodeId) -> Option<&'static str> {
        let node = self.view.catalog.nodes.get(&node_id)?;
        match node.state {
            NodeState::Draining => Some("is draining"),
            NodeState::Removed => Some("was removed"),
            _ if self.view.is_stopping(node_id) => Some("is stopping"),
            _ => None,
        }
    }

    /// Whether a job is about the group, or a transfer of it began not long ago.
    fn is_busy(&self, group_id: GroupId, rest: Duration) -> bool {
        let view = self.view;
        view.running_jobs().any(|(_, step)| step.is_about(group_id))
            || view.catalog.jobs.values().any(|job| {
                job.kind == KIND
                    && is_recent(view, job, rest)
                    && Step::of(job).is_ok_and(|step| step.is_about(group_id))
            })
    }

    /// Of the voters that could lead, the one that leads least.
    fn best_voter(&self, group_id: GroupId, leader: NodeId) -> Option<NodeId> {
        let group = self.view.catalog.groups.get(&group_id)?;
        group
            .voters()
            .filter(|node_id| self.could_lead(group_id, leader, *node_id))
            .min_by_key(|node_id| (self.count(*node_id), *node_id))
    }

    fn could_lead(&self, group_id: GroupId, leader: NodeId, node_id: NodeId) -> bool {
        let view = self.view;
        // Fresher than it takes to count as up: one that has just died is still up.
        if node_id == leader || !view.is_usable(node_id, self.timeout / 2) {
            return false;
        }
        let last = view
            .replica(leader, group_id)
            .map_or(0, |status| status.last_index.0);
        view.replica(node_id, group_id).is_some_and(|status| {
            status.fault.is_none() && last.saturating_sub(status.applied_index.0) <= LAG_MAX
        })
    }

    /// The hand-over that evens out the most: from the node that leads most to the one that leads
    /// least, at least two apart, or the two would only change places.
    fn most_uneven(&self) -> Option<(GroupId, NodeId, NodeId)> {
        self.led
            .iter()
            .filter(|(group_id, _)| !self.is_busy(**group_id, REST))
            .filter_map(|(group_id, from)| {
                let to = self.best_voter(*group_id, *from)?;
                let apart = self.count(*from).checked_sub(self.count(to))?;
                (apart >= 2).then_some((apart, *group_id, *from, to))
            })
            .max_by_key(|(apart, group_id, ..)| (*apart, std::cmp::Reverse(*group_id)))
            .map(|(_, group_id, from, to)| (group_id, from, to))
    }

    fn hand_over(
        &mut self,
        group_id: GroupId,
        from: NodeId,
        to: NodeId,
        urgent: bool,
        reasons: Vec<String>,
    ) -> Action {
        if let Some(count) = self.counts.get_mut(&from) {
            *count = count.saturating_sub(1);
        }
        *self.counts.entry(to).or_default() += 1;
        Action::Begin {
            kind: KIND,
            step: Step::TransferLeader {
                group_id,
                from,
                to,
                urgent,
            },
            reasons,
        }
    }

    fn count(&self, node_id: NodeId) -> usize {
        self.counts.get(&node_id).copied().unwrap_or(0)
    }

    fn counted(&self, from: NodeId, to: NodeId) -> String {
        let (most, least) = (self.count(from), self.count(to));
        format!("node {from} leads {most} group(s), node {to} leads {least}")
    }
}

/// Whether the job was begun less than `time` ago, or by a clock that is as much ahead.
fn is_recent(view: &View, job: &JobDescriptor, time: Duration) -> bool {
    let apart = view.now.0.abs_diff(job.started_at.0);
    u128::from(apart) < time.as_millis()
}
