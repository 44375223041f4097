//! Leaders: away from nodes that should not lead, and evenly over the others.
//!
//! Raft alone elects leaders. The planner asks a leader to transfer its leadership to a voter that
//! is up, has nearly all of the log, and reports that it may lead: a node that was started a moment
//! ago may not, and a node without room on its disk should not. Nodes that are slow, stopping or
//! draining lose their leaders at once, even beside long copies; nodes without room, if another
//! voter has room. For balance few transfers run at a time. Each must lower the difference of two
//! nodes, and its group then rests for a while. A group weighs the same for itself as an average
//! group does for its load: so a single number is evened out, not two that work against each other.
//! Between hosts the average over their nodes is evened out. The nodes of a host share its CPU, so
//! between them only the number of groups is evened out. The setting `balance` = `off` stops
//! transfers for balance only.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use coterie_protocol::catalog::JobState;
use coterie_protocol::server::Unfit;
use coterie_types::{GroupId, NodeId, NodeState};

use super::Memory;
use super::draft::Draft;
use super::facts::{FULL, Facts};
use crate::job::{Step, TransferLeader};

/// The kind of job.
const KIND: &str = "transfer-leader";

/// Entries that a voter may lack. More would take longer than a transfer may last.
const LAG_MAX: u64 = 10_000;

/// Transfers at the same time, away from nodes that should not lead.
const URGENT_AT_ONCE: usize = 8;

/// For this many nodes, one transfer for balance at a time.
const NODES_PER_TRANSFER: usize = 16;

/// How long a group rests after a transfer began.
const REST: Duration = Duration::from_secs(30);
const URGENT_REST: Duration = Duration::from_secs(3);

/// The weight of a group. The loads of all groups together weigh as much again, when there is load.
const GROUP: u64 = 1000;

/// The load of all groups below which load does not count.
const LOAD_MIN: u64 = FULL / 20;

pub(super) fn plan(facts: &Facts<'_>, memory: &Memory, draft: &mut Draft<'_>) {
    let mut leaders = Leaders::of(facts, memory);
    for (group_id, from) in leaders.led.clone() {
        let Some(reason) = leaders.must_leave(group_id, from) else {
            continue;
        };
        let is_resting = leaders.rests(group_id, URGENT_REST) || !draft.is_pliant(group_id);
        if draft.transfers >= URGENT_AT_ONCE || is_resting {
            continue;
        }
        let Some(to) = leaders.best_voter(group_id, from) else {
            draft.refuse(format!(
                "group {group_id}: node {from} should not lead ({reason}), and no other voter is \
                 up and has nearly all of its log"
            ));
            continue;
        };
        let reasons = vec![format!(
            "node {from} {reason}; {}",
            leaders.counted(from, to)
        )];
        leaders.hand_over(draft, group_id, from, to, true, reasons);
    }
    let at_once = (facts.view.catalog.nodes.len() / NODES_PER_TRANSFER).max(1);
    if facts.is_balance_off() {
        return;
    }
    while draft.transfers < at_once {
        let Some((group_id, from, to)) = leaders.most_uneven(draft) else {
            return;
        };
        let reasons = vec![leaders.counted(from, to)];
        leaders.hand_over(draft, group_id, from, to, false, reasons);
    }
}

struct Leaders<'a> {
    facts: &'a Facts<'a>,
    memory: &'a Memory,
    /// The leader of each group, as far as known.
    led: BTreeMap<GroupId, NodeId>,
    /// The weight of each group.
    weights: BTreeMap<GroupId, u64>,
    /// The groups that each node leads, and their weight: after the running transfers, and after
    /// the finished transfers that no heartbeat shows yet.
    counts: BTreeMap<NodeId, (usize, u64)>,
    /// The weight of the leaders on each host, by the host's index.
    host_sums: Vec<u64>,
    /// Groups with a recent transfer.
    resting: BTreeSet<GroupId>,
    resting_briefly: BTreeSet<GroupId>,
}

impl<'a> Leaders<'a> {
    fn of(facts: &'a Facts<'a>, memory: &'a Memory) -> Self {
        let led = facts.groups.iter();
        let led: BTreeMap<GroupId, NodeId> = led
            .filter_map(|group| Some((group.id(), group.leader?.0)))
            .collect();
        let nodes = facts.view.catalog.nodes.keys().copied();
        let mut leaders = Self {
            facts,
            memory,
            led,
            weights: weights(facts),
            counts: nodes.map(|id| (id, (0, 0))).collect(),
            host_sums: vec![0; facts.hosts.count()],
            resting: BTreeSet::new(),
            resting_briefly: BTreeSet::new(),
        };
        let mut expected = leaders.led.clone();
        for (job, step) in &facts.jobs {
            let Step::TransferLeader(TransferLeader {
                group_id, from, to, ..
            }) = step
            else {
                continue;
            };
            let is_recent = |time| facts.view.is_recent(job, time);
            if is_recent(REST) {
                leaders.resting.insert(*group_id);
            }
            if is_recent(URGENT_REST) {
                leaders.resting_briefly.insert(*group_id);
            }
            let counts = match job.state {
                JobState::Running => true,
                // Heartbeats are older than the transfer. Without this, the next plan would repeat
                // it.
                JobState::Done => is_recent(REST),
                JobState::Failed => false,
            };
            if counts && leaders.led.get(group_id) == Some(from) {
                expected.insert(*group_id, *to);
            }
        }
        for (group_id, node_id) in expected {
            let weight = leaders.weight(group_id);
            leaders.count(node_id, weight);
        }
        leaders
    }

    /// Counts a group for its leader.
    fn count(&mut self, node_id: NodeId, weight: u64) {
        let (groups, sum) = self.counts.entry(node_id).or_default();
        (*groups, *sum) = (*groups + 1, *sum + weight);
        if let Some(host) = self.facts.hosts.number(node_id) {
            self.host_sums[host] += weight;
        }
    }

    /// No longer counts a group for its leader.
    fn discount(&mut self, node_id: NodeId, weight: u64) {
        if let Some((groups, sum)) = self.counts.get_mut(&node_id) {
            (*groups, *sum) = (groups.saturating_sub(1), sum.saturating_sub(weight));
        }
        if let Some(host) = self.facts.hosts.number(node_id) {
            self.host_sums[host] = self.host_sums[host].saturating_sub(weight);
        }
    }

    /// Why the node should not lead the group. `None` if it may.
    fn must_leave(&self, group_id: GroupId, node_id: NodeId) -> Option<&'a str> {
        let view = self.facts.view;
        let node = view.catalog.nodes.get(&node_id)?;
        match node.state {
            NodeState::Draining => Some("is draining"),
            NodeState::Removed => Some("was removed"),
            _ if view.is_stopping(node_id) => Some("is stopping"),
            _ => self
                .slow(node_id)
                .or_else(|| self.no_room(group_id, node_id)),
        }
    }

    fn slow(&self, node_id: NodeId) -> Option<&'a str> {
        let (slow, _, why) = self.memory.slow()?;
        (slow == node_id).then_some(why)
    }

    /// The leader transfers by itself; this is for a leader that could not. While no voter has
    /// room, the leader is as good as any.
    fn no_room(&self, group_id: GroupId, node_id: NodeId) -> Option<&'a str> {
        let status = self.facts.view.replica(node_id, group_id)?;
        let is_full = status.unfit == Some(Unfit::NoRoom);
        let leaves = is_full && self.best_voter(group_id, node_id).is_some();
        leaves.then_some(Unfit::NoRoom.reason())
    }

    /// Whether a transfer of the group began less than `rest` ago.
    fn rests(&self, group_id: GroupId, rest: Duration) -> bool {
        let resting = match rest {
            URGENT_REST => &self.resting_briefly,
            _ => &self.resting,
        };
        resting.contains(&group_id)
    }

    /// The voter that leads least, of those that may lead.
    fn best_voter(&self, group_id: GroupId, leader: NodeId) -> Option<NodeId> {
        let heirs = self.heirs(group_id, leader);
        heirs.min_by_key(|node_id| (self.sum(*node_id), *node_id))
    }

    /// The other voters that may lead.
    fn heirs(&self, group_id: GroupId, leader: NodeId) -> impl Iterator<Item = NodeId> {
        let group = self.facts.group(group_id).into_iter();
        let voters = group.flat_map(|group| group.row.voters());
        voters.filter(move |node_id| self.could_lead(group_id, leader, *node_id))
    }

    fn could_lead(&self, group_id: GroupId, leader: NodeId, node_id: NodeId) -> bool {
        let view = self.facts.view;
        let timeout = self.facts.settings.liveness_timeout;
        // Fresher than the limit for being up: a node that has just died still counts as up.
        let is_fresh = view.is_usable(node_id, timeout / 2);
        if node_id == leader || !is_fresh || self.memory.is_slow(node_id) {
            return false;
        }
        let last = view
            .replica(leader, group_id)
            .map_or(0, |status| status.last_index.0);
        view.replica(node_id, group_id).is_some_and(|status| {
            status.fault.is_none()
                && status.unfit.is_none()
                && last.saturating_sub(status.applied_index.0) <= LAG_MAX
        })
    }

    /// The transfer that evens out the most. The gain is at least half the weight of an average
    /// group, or the two nodes would only change places.
    fn most_uneven(&self, draft: &Draft<'_>) -> Option<(GroupId, NodeId, NodeId)> {
        let led = self.led.iter();
        let free =
            led.filter(|(group_id, _)| draft.is_free(**group_id) && !self.rests(**group_id, REST));
        let best = free.filter_map(|(group_id, from)| {
            let (group_id, from) = (*group_id, *from);
            let heirs = self.heirs(group_id, from);
            let evened = heirs.filter_map(|to| Some((self.evened(group_id, from, to)?, to)));
            let (evened, to) = evened.max_by_key(|(evened, to)| {
                let (least, first) = (Reverse(self.sum(*to)), Reverse(*to));
                (*evened, least, first)
            })?;
            Some((evened, group_id, from, to))
        });
        best.max_by_key(|(evened, group_id, ..)| (*evened, Reverse(*group_id)))
            .map(|(_, group_id, from, to)| (group_id, from, to))
    }

    /// The difference that a transfer evens out, if it is enough.
    fn evened(&self, group_id: GroupId, from: NodeId, to: NodeId) -> Option<u64> {
        let hosts = &self.facts.hosts;
        let (apart, moved, ordinary) = if hosts.are_together(from, to) {
            let groups = |id| self.counts.get(&id).map_or(0, |(groups, _)| *groups as u64);
            let apart = groups(from).checked_sub(groups(to))? * GROUP;
            (apart, 2 * GROUP, 2 * GROUP)
        } else {
            let (of, on) = (hosts.number(from)?, hosts.number(to)?);
            let (givers, takers) = (hosts.nodes_on(of), hosts.nodes_on(on));
            let mean = |host: usize, nodes: u64| self.host_sums[host] / nodes;
            let apart = mean(of, givers).checked_sub(mean(on, takers))?;
            let each = |weight: u64| weight / givers + weight / takers;
            (apart, each(self.weight(group_id)), each(GROUP))
        };
        let evened = apart.checked_sub(apart.abs_diff(moved))?;
        (2 * evened >= ordinary).then_some(evened)
    }

    fn hand_over(
        &mut self,
        draft: &mut Draft<'_>,
        group_id: GroupId,
        from: NodeId,
        to: NodeId,
        urgent: bool,
        reasons: Vec<String>,
    ) {
        let weight = self.weight(group_id);
        self.discount(from, weight);
        self.count(to, weight);
        let step = Step::TransferLeader(TransferLeader {
            group_id,
            from,
            to,
            urgent,
        });
        draft.begin(KIND, step, reasons);
    }

    fn weight(&self, group_id: GroupId) -> u64 {
        self.weights.get(&group_id).copied().unwrap_or(GROUP)
    }

    fn sum(&self, node_id: NodeId) -> u64 {
        self.counts.get(&node_id).map_or(0, |(_, sum)| *sum)
    }

    fn counted(&self, from: NodeId, to: NodeId) -> String {
        let count = |id| self.counts.get(&id).copied().unwrap_or((0, 0));
        let ((most, most_sum), (least, least_sum)) = (count(from), count(to));
        let mut text = format!("node {from} leads {most} group(s), node {to} leads {least}");
        if most_sum != most as u64 * GROUP || least_sum != least as u64 * GROUP {
            text += &format!("; with their load they weigh {most_sum} and {least_sum}");
        }
        text
    }
}

/// The weight of each group: its own, and as much again for an even share of the load.
fn weights(facts: &Facts<'_>) -> BTreeMap<GroupId, u64> {
    let load = |places: &[usize]| -> u64 {
        let loads = places.iter().map(|place| facts.ranges[*place].load);
        loads.sum()
    };
    let loads = facts.groups.iter();
    let loads: Vec<(GroupId, u64)> = loads.map(|g| (g.id(), load(&g.ranges))).collect();
    let total: u64 = loads.iter().map(|(_, load)| load).sum();
    let count = loads.len() as u64;
    let share = |load: u64| match total {
        0..LOAD_MIN => 0,
        _ => load.saturating_mul(GROUP).saturating_mul(count) / total,
    };
    let weights = loads.into_iter();
    weights
        .map(|(id, load)| (id, GROUP + share(load)))
        .collect()
}
