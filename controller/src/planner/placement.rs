//! Which nodes a replica goes to: spread over zones, then over nodes.

use std::collections::{BTreeMap, BTreeSet};

use coterie_types::{GroupDescriptor, NodeId};

use super::Settings;
use crate::view::View;

/// Chooses nodes, for one replica or group after another, and keeps count.
pub(super) struct Placement<'a> {
    view: &'a View,
    usable: Vec<NodeId>,
    /// Replicas of each usable node, those chosen here included.
    replicas: BTreeMap<NodeId, usize>,
    /// Groups chosen here that it is to lead first.
    leads: BTreeMap<NodeId, usize>,
}

impl<'a> Placement<'a> {
    pub(super) fn new(view: &'a View, settings: &Settings) -> Self {
        let timeout = settings.liveness_timeout;
        let nodes = view.catalog.nodes.keys().copied();
        Self {
            view,
            usable: nodes.filter(|id| view.is_usable(*id, timeout)).collect(),
            replicas: view.replica_counts(),
            leads: BTreeMap::new(),
        }
    }

    /// How many nodes there are to choose from.
    pub(super) fn usable(&self) -> usize {
        self.usable.len()
    }

    /// The voters of one more group, the one to lead first at the front; `None` when there are too
    /// few nodes. Zones that the group is not in yet come first, then nodes with fewer replicas. A
    /// node that says nothing of its zone is one of its own.
    pub(super) fn choose(&mut self, count: usize) -> Option<Vec<NodeId>> {
        if count > self.usable.len() {
            return None;
        }
        let mut chosen: Vec<NodeId> = Vec::new();
        let mut zones: BTreeMap<&str, usize> = BTreeMap::new();
        let mut left: BTreeSet<NodeId> = self.usable.iter().copied().collect();
        for _ in 0..count {
            let cost = |id: &NodeId| {
                let zone = self.zone(*id);
                let taken = zones.get(zone).copied().filter(|_| !zone.is_empty());
                (taken.unwrap_or(0), self.replicas.get(id).copied(), *id)
            };
            let next = left.iter().copied().min_by_key(cost)?;
            left.remove(&next);
            *zones.entry(self.zone(next)).or_default() += 1;
            chosen.push(next);
        }
        for id in &chosen {
            *self.replicas.entry(*id).or_default() += 1;
        }
        let first = |id: &NodeId| (self.leads.get(id).copied().unwrap_or(0), *id);
        let leader = chosen.iter().copied().min_by_key(first)?;
        *self.leads.entry(leader).or_default() += 1;
        chosen.sort_by_key(|id| (*id != leader, *id));
        Some(chosen)
    }

    /// The node that takes the place of `lost` in a group: of those that are free, one in a zone
    /// where the group has fewest, then one with few replicas. `Err` with the reason if none is.
    pub(super) fn replacement(
        &mut self,
        group: &GroupDescriptor,
        lost: NodeId,
        busy: &BTreeSet<NodeId>,
    ) -> Result<NodeId, String> {
        let members = group.replicas.iter().map(|replica| replica.node_id);
        let members: BTreeSet<NodeId> = members.collect();
        let kept = || members.iter().filter(|id| **id != lost);
        let free = self.usable.iter().filter(|id| !members.contains(id));
        if free.clone().next().is_none() {
            return Err("no other node is up and has no replica of it".to_owned());
        }
        let cost = |id: &NodeId| {
            let zone = self.zone(*id);
            let taken = kept().filter(|kept| !zone.is_empty() && self.zone(**kept) == zone);
            (taken.count(), self.replicas.get(id).copied(), *id)
        };
        let chosen = free
            .copied()
            .filter(|id| !busy.contains(id))
            .min_by_key(cost)
            .ok_or("the node for it takes in another group first")?;
        *self.replicas.entry(chosen).or_default() += 1;
        Ok(chosen)
    }

    fn zone(&self, node_id: NodeId) -> &'a str {
        let node = self.view.catalog.nodes.get(&node_id);
        node.map_or("", |node| node.zone.as_str())
    }
}
