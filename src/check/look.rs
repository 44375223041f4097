//! A look at a cluster, and the faults it shows. Pure.
//!
//! A group's own log decides what the group serves; meta's map says where to look (design §3). So
//! owners are judged by the groups' own reports, and meta's map by the owners.

use std::collections::{BTreeMap, BTreeSet};

use coterie_protocol::catalog::Catalog;
use coterie_protocol::server::ReplicaStatus;
use coterie_types::{
    GroupDescriptor, GroupId, KeyRange, NodeId, NodeState, RangeDescriptor, RangeId,
};

use super::finding::Finding;
use super::tiles::{Misfit, misfits};

/// The answers of meta and of the nodes.
#[derive(Debug, Default)]
pub(crate) struct Look {
    pub(crate) catalog: Catalog,
    /// Each node's report of its replicas, or why there is none.
    pub(crate) said: BTreeMap<NodeId, Result<Vec<ReplicaStatus>, String>>,
}

impl Look {
    /// The nodes to ask: all except removed nodes.
    pub(crate) fn nodes(catalog: &Catalog) -> Vec<NodeId> {
        let nodes = catalog.nodes.values();
        let there = nodes.filter(|node| node.state != NodeState::Removed);
        there.map(|node| node.node_id).collect()
    }

    /// Every reported replica, with its node.
    pub(crate) fn replicas(&self) -> impl Iterator<Item = (NodeId, &ReplicaStatus)> {
        let said = self.said.iter();
        let said = said.filter_map(|(node, said)| Some((*node, said.as_ref().ok()?)));
        said.flat_map(|(node, replicas)| replicas.iter().map(move |replica| (node, replica)))
    }

    /// A group's own word: the report of its leader or, without a leader, of the replica that has
    /// applied the most. A node that the group has dropped may still report its replica, which has
    /// applied less.
    pub(crate) fn word(&self, group_id: GroupId) -> Option<&ReplicaStatus> {
        let of_group = self.replicas();
        of_group
            .filter(|(_, replica)| replica.group_id == group_id)
            .max_by_key(|(node, r)| (leads(*node, r), r.term, r.applied_index))
            .map(|(_, replica)| replica)
    }

    fn has_leader(&self, group_id: GroupId) -> bool {
        self.replicas()
            .any(|(node, replica)| replica.group_id == group_id && leads(node, replica))
    }

    /// All faults of the cluster.
    pub(crate) fn findings(&self) -> BTreeSet<Finding> {
        let mut findings = BTreeSet::new();
        self.check_map(&mut findings);
        self.check_owners(&mut findings);
        self.check_ranges(&mut findings);
        self.check_groups(&mut findings);
        self.check_replicas(&mut findings);
        findings
    }

    /// Checks that meta's map tiles every table.
    fn check_map(&self, findings: &mut BTreeSet<Finding>) {
        let ranges = self.catalog.ranges.values();
        let named: Vec<_> = ranges
            .map(|range| (&range.bounds, range.range_id))
            .collect();
        for table in self.catalog.tables.keys() {
            findings.extend(
                misfits(*table, &named)
                    .into_iter()
                    .map(|misfit| match misfit {
                        Misfit::Gap(keys) => Finding::wrong(
                            "gap",
                            format!("no range of meta's map holds {}", shown(&keys)),
                        ),
                        Misfit::Overlap(a, b) => Finding::wrong(
                            "overlap",
                            format!("ranges {a} and {b} of meta's map overlap"),
                        ),
                    }),
            );
        }
    }

    /// Checks that every key has a single owner, by the groups' own word.
    fn check_owners(&self, findings: &mut BTreeSet<Finding>) {
        let mut owned: Vec<&RangeDescriptor> = Vec::new();
        for group_id in self.catalog.groups.keys() {
            match self.word(*group_id) {
                Some(word) => owned.extend(&word.ranges),
                // Presumed to own its ranges; its silence is reported elsewhere.
                None => owned.extend(self.mapped_to(*group_id)),
            }
        }
        let named: Vec<_> = owned.iter().map(|range| (&range.bounds, *range)).collect();
        for table in self.catalog.tables.keys() {
            findings.extend(
                misfits(*table, &named)
                    .into_iter()
                    .map(|misfit| match misfit {
                        Misfit::Gap(keys) => {
                            Finding::wrong("no-owner", format!("no group serves {}", shown(&keys)))
                        }
                        Misfit::Overlap(a, b) => Finding::wrong(
                            "two-owners",
                            format!(
                                "group {} owns range {}, and group {} range {}, which overlaps it",
                                a.group_id, a.range_id, b.group_id, b.range_id
                            ),
                        ),
                    }),
            );
        }
    }

    /// Checks that meta's map and the groups' logs agree on every range.
    fn check_ranges(&self, findings: &mut BTreeSet<Finding>) {
        for range in self.catalog.ranges.values() {
            let Some(word) = self.word(range.group_id) else {
                continue;
            };
            if word.ranges.contains(range) {
                continue;
            }
            let text = format!(
                "meta's map says epoch {} of group {}, {}",
                range.epoch,
                range.group_id,
                self.truth(range.range_id)
            );
            let text = format!("range {}: {text}", range.range_id);
            findings.insert(Finding::wrong("map", text));
        }
        for group_id in self.catalog.groups.keys() {
            let owned = self
                .word(*group_id)
                .into_iter()
                .flat_map(|word| &word.ranges);
            let known = |id: &RangeId| {
                self.catalog.ranges.contains_key(id) || self.catalog.dropped.contains_key(id)
            };
            for range in owned.filter(|range| !known(&range.range_id)) {
                let (range_id, keys) = (range.range_id, shown(&range.bounds));
                let text = format!(
                    "group {group_id} owns range {range_id}, {keys}, which meta's map has not"
                );
                findings.insert(Finding::wrong("map", text));
            }
        }
    }

    /// The owners and copies of a range, by the groups' own word.
    fn truth(&self, range_id: RangeId) -> String {
        let mut owners = Vec::new();
        let mut copies = Vec::new();
        for group_id in self.catalog.groups.keys() {
            let Some(word) = self.word(*group_id) else {
                continue;
            };
            let own = word.ranges.iter().find(|range| range.range_id == range_id);
            owners.extend(own.map(|own| {
                let keys = shown(&own.bounds);
                format!("group {group_id} owns {keys} at epoch {}", own.epoch)
            }));
            if word.importing.contains(&range_id) {
                copies.push(format!("group {group_id} imports it"));
            }
            if word.frozen.iter().any(|range| range.range_id == range_id) {
                copies.push(format!("group {group_id} has handed it off"));
            }
        }
        if owners.is_empty() {
            owners.push("no group owns it".to_owned());
        }
        owners.extend(copies);
        owners.join(", ")
    }

    /// Checks that every group has a leader and the members of meta's row, and that meta knows
    /// every group.
    fn check_groups(&self, findings: &mut BTreeSet<Finding>) {
        for group in self.catalog.groups.values() {
            let group_id = group.group_id;
            let Some(word) = self.word(group_id) else {
                let text = format!("group {group_id}: none of its replicas answered");
                findings.insert(Finding::unchecked("silent", text));
                continue;
            };
            if !self.has_leader(group_id) {
                let text = format!("group {group_id} has no leader");
                findings.insert(Finding::wrong("no-leader", text));
            }
            let (row, log) = (members(&group.replicas), members(&word.replicas));
            if row != log {
                let text = format!(
                    "group {group_id}: meta's row says it is on nodes {row}, its log says {log}"
                );
                findings.insert(Finding::wrong("members", text));
            }
            for node in group.replicas.iter().map(|replica| replica.node_id) {
                findings.extend(self.check_member(group, node));
            }
        }
        for (node, replica) in self.replicas() {
            let group_id = replica.group_id;
            if !self.catalog.groups.contains_key(&group_id) {
                let text = format!(
                    "node {node} holds a replica of group {group_id}, which meta does not know"
                );
                findings.insert(Finding::wrong("stray", text));
            }
        }
    }

    fn check_member(&self, group: &GroupDescriptor, node: NodeId) -> Option<Finding> {
        let group_id = group.group_id;
        match self.said.get(&node) {
            Some(Ok(replicas)) => {
                let missing = !replicas.iter().any(|replica| replica.group_id == group_id);
                missing.then(|| {
                    let text =
                        format!("node {node} has no replica of group {group_id}, though it should");
                    Finding::wrong("missing", text)
                })
            }
            Some(Err(reason)) => {
                let text = format!("node {node}, with a replica of group {group_id}: {reason}");
                Some(Finding::unchecked("silent", text))
            }
            None => {
                let text = format!("group {group_id} has a replica on node {node}, which is gone");
                Some(Finding::wrong("members", text))
            }
        }
    }

    /// Checks that no replica has stopped.
    fn check_replicas(&self, findings: &mut BTreeSet<Finding>) {
        for (node, replica) in self.replicas() {
            if let Some(fault) = &replica.fault {
                let group_id = replica.group_id;
                let text =
                    format!("the replica of group {group_id} on node {node} stopped: {fault}");
                findings.insert(Finding::wrong("fault", text));
            }
        }
    }

    fn mapped_to(&self, group_id: GroupId) -> impl Iterator<Item = &RangeDescriptor> {
        let ranges = self.catalog.ranges.values();
        ranges.filter(move |range| range.group_id == group_id)
    }
}

/// Whether the replica on this node leads, as far as it knows. Its lease need not be in force:
/// without other voters nobody renews it.
fn leads(node: NodeId, replica: &ReplicaStatus) -> bool {
    replica.serving || replica.leader == Some(node)
}

fn shown(keys: &KeyRange) -> String {
    format!("the keys of table {keys}")
}

fn members(replicas: &[coterie_types::Replica]) -> String {
    let mut nodes: Vec<_> = replicas
        .iter()
        .map(|replica| match replica.role {
            coterie_types::Role::Voter => (replica.node_id, ""),
            coterie_types::Role::Learner => (replica.node_id, " (learner)"),
        })
        .collect();
    nodes.sort();
    let nodes: Vec<_> = nodes
        .iter()
        .map(|(node, role)| format!("{node}{role}"))
        .collect();
    nodes.join(", ")
}
