//! The choice of nodes for replicas: spread over zones, then over hosts, then over nodes.
//!
//! No group has a majority in a zone while there are three zones with nodes that could hold a
//! replica. The zone of a node that names no zone is its host, as nodes of a host fail together. If
//! the host is not known either, the node is a zone of its own.
//!
//! A node that has stopped a replica, or has hardly any room, gets nothing: the cause of the damage
//! may damage the next replica. Nor is a node asked again for a replica that it could not host
//! lately; and it is asked for other replicas only if there is no other node.

use std::collections::{BTreeMap, BTreeSet};

use coterie_types::{GroupDescriptor, GroupId, NodeId};

use super::memory::Memory;
use super::settings::Settings;
use crate::view::View;

/// From this number of zones on, no zone may have a majority of a group.
const ZONES: usize = 3;

/// The part of its disk that a node keeps free, of its free space and its replicas together.
const ROOM_PART: u64 = 32;

/// Chooses nodes for replicas or groups in turn, and counts its own choices.
pub(super) struct Placement<'a> {
    view: &'a View,
    /// In order.
    usable: Vec<NodeId>,
    /// Nodes that are up and get nothing, with the reason.
    unfit: BTreeMap<NodeId, String>,
    /// Replicas that nodes could not host lately.
    refused: BTreeSet<(GroupId, NodeId)>,
    /// Replicas of each usable node, with those chosen here.
    replicas: BTreeMap<NodeId, usize>,
    /// Groups chosen here that the node leads first.
    leads: BTreeMap<NodeId, usize>,
    /// Zones with usable nodes.
    zones: usize,
}

impl<'a> Placement<'a> {
    pub(super) fn new(view: &'a View, settings: &Settings) -> Self {
        let timeout = settings.liveness_timeout;
        let nodes = view.catalog.nodes.keys().copied();
        let mut placement = Self {
            view,
            usable: nodes.filter(|id| view.is_usable(*id, timeout)).collect(),
            unfit: BTreeMap::new(),
            refused: BTreeSet::new(),
            replicas: view.replica_counts(),
            leads: BTreeMap::new(),
            zones: 0,
        };
        let zones = placement.usable.iter().map(|id| placement.zone(*id));
        let (named, unnamed): (Vec<&str>, Vec<&str>) = zones.partition(|zone| !zone.is_empty());
        let named: BTreeSet<&str> = named.into_iter().collect();
        placement.zones = named.len() + unnamed.len();
        for node_id in std::mem::take(&mut placement.usable) {
            match why_unfit(view, node_id) {
                Some(reason) => drop(placement.unfit.insert(node_id, reason)),
                None => placement.usable.push(node_id),
            }
        }
        placement
    }

    /// As [`Self::new`], with the planner's memory: a node that is judged slow gets nothing.
    pub(super) fn remembering(view: &'a View, settings: &Settings, memory: &Memory) -> Self {
        let mut placement = Self::new(view, settings);
        placement.usable.retain(|id| !memory.is_slow(*id));
        placement.refused = memory.refused().collect();
        placement
    }

    /// The number of nodes to choose from.
    pub(super) fn usable(&self) -> usize {
        self.usable.len()
    }

    /// The replicas of a node, with those chosen here.
    pub(super) fn count(&self, node_id: NodeId) -> usize {
        self.replicas.get(&node_id).copied().unwrap_or(0)
    }

    /// The voters of another group, the first leader at the front; `None` if there are too few
    /// nodes. Zones without a replica of the group come first, then such hosts, then nodes with
    /// fewer replicas.
    pub(super) fn choose(&mut self, count: usize) -> Option<Vec<NodeId>> {
        if count > self.usable.len() {
            return None;
        }
        let mut chosen: Vec<NodeId> = Vec::new();
        let mut zones: BTreeMap<&str, usize> = BTreeMap::new();
        let mut hosts: BTreeMap<&str, usize> = BTreeMap::new();
        let mut left: BTreeSet<NodeId> = self.usable.iter().copied().collect();
        for _ in 0..count {
            let cost = |id: &NodeId| {
                let taken = |of: &BTreeMap<&str, usize>, name: &str| {
                    let taken = of.get(name).copied().filter(|_| !name.is_empty());
                    taken.unwrap_or(0)
                };
                let (zone, host) = (self.zone(*id), self.host(*id));
                let replicas = self.replicas.get(id).copied();
                (taken(&zones, zone), taken(&hosts, host), replicas, *id)
            };
            let next = left.iter().copied().min_by_key(cost)?;
            left.remove(&next);
            *zones.entry(self.zone(next)).or_default() += 1;
            *hosts.entry(self.host(next)).or_default() += 1;
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

    /// The node that replaces `lost` in a group, or joins the group if `lost` is `None`. Of the
    /// free nodes: a node in the zone with the fewest replicas of the group, then on the host with
    /// the fewest, then with the fewest replicas, so a spare if there is any. `Err` with the reason
    /// if no node is free.
    pub(super) fn replacement(
        &mut self,
        group: &GroupDescriptor,
        lost: Option<NodeId>,
        size_bytes: u64,
        busy: &[NodeId],
    ) -> Result<NodeId, String> {
        let members: BTreeSet<NodeId> = group.replicas.iter().map(|r| r.node_id).collect();
        let free = || {
            self.usable
                .iter()
                .copied()
                .filter(|id| !members.contains(id))
        };
        if free().next().is_none() {
            return Err(self.why_none(&members));
        }
        let fits = |id: &NodeId| self.fits_zones(group, lost, *id);
        if !free().any(|id| fits(&id)) {
            return Err("every other node is in a zone that would have a majority".to_owned());
        }
        let has_room = |id: &NodeId| self.has_room(*id, size_bytes);
        if !free().any(|id| fits(&id) && has_room(&id)) {
            return Err(format!("no other node has room for {size_bytes} bytes"));
        }
        let has_refused = |id: &NodeId| self.refused.contains(&(group.group_id, *id));
        if !free().any(|id| fits(&id) && has_room(&id) && !has_refused(&id)) {
            return Err("every other node that it fits on could not take it lately".to_owned());
        }
        let doubted: BTreeSet<NodeId> = self.refused.iter().map(|(_, id)| *id).collect();
        let cost = |id: &NodeId| {
            let taken = self.in_zone_of(group, lost, *id);
            let replicas = self.replicas.get(id).copied();
            let on_host = self.on_host_of(group, lost, *id);
            (doubted.contains(id), taken, on_host, replicas, *id)
        };
        let is_free = |id: &NodeId| !has_refused(id) && !busy.contains(id);
        let chosen = free()
            .filter(|id| fits(id) && has_room(id) && is_free(id))
            .min_by_key(cost)
            .ok_or("the node for it takes in another group first")?;
        *self.replicas.entry(chosen).or_default() += 1;
        Ok(chosen)
    }

    /// Why no node is left for a group with these members.
    fn why_none(&self, members: &BTreeSet<NodeId>) -> String {
        let others = self.unfit.iter().filter(|(id, _)| !members.contains(id));
        let unfit: Vec<String> = others.map(|(id, why)| format!("node {id} {why}")).collect();
        if unfit.is_empty() {
            "no other node is up and has no replica of it".to_owned()
        } else {
            format!("no other node is fit for it: {}", unfit.join("; "))
        }
    }

    /// Whether the node could host a replica of the group, zones apart.
    pub(super) fn may_take(&self, group_id: GroupId, to: NodeId, size_bytes: u64) -> bool {
        self.usable.binary_search(&to).is_ok()
            && self.has_room(to, size_bytes)
            && !self.refused.contains(&(group_id, to))
    }

    /// Whether no zone has a majority of the group with `to` in the place of `from`, or there are
    /// too few zones to demand that.
    pub(super) fn fits_zones(
        &self,
        group: &GroupDescriptor,
        from: Option<NodeId>,
        to: NodeId,
    ) -> bool {
        let members = group.replicas.len() + usize::from(from.is_none());
        members < ZONES
            || self.zones < ZONES
            || 2 * (self.in_zone_of(group, from, to) + 1) <= members
    }

    /// Whether a replica that moves `from` a node `to` another shares its host with at most as many
    /// replicas of its group as before.
    pub(super) fn fits_hosts(&self, group: &GroupDescriptor, from: NodeId, to: NodeId) -> bool {
        let beside = |id| self.on_host_of(group, Some(from), id);
        beside(to) <= beside(from)
    }

    /// A node of the group whose replica should move: its zone has a majority of the group although
    /// there are enough other zones.
    pub(super) fn crowded(
        &self,
        group: &GroupDescriptor,
        leader: Option<NodeId>,
    ) -> Option<NodeId> {
        let members = || group.replicas.iter().map(|replica| replica.node_id);
        if group.replicas.len() < ZONES || self.zones < ZONES {
            return None;
        }
        let is_crowded = |id: &NodeId| {
            let taken = members().filter(|other| self.is_together(*id, *other));
            2 * taken.count() > group.replicas.len()
        };
        let crowd = members().filter(is_crowded);
        crowd.min_by_key(|id| (Some(*id) == leader, *id))
    }

    /// The node's zone, in words.
    pub(super) fn where_is(&self, node_id: NodeId) -> String {
        let (zone, host) = (self.zone(node_id), self.host(node_id));
        if zone == host {
            format!("on host {host}")
        } else {
            format!("in zone {zone}")
        }
    }

    /// The replicas of the group in the zone of `to`, without those on `from` and `to`.
    fn in_zone_of(&self, group: &GroupDescriptor, from: Option<NodeId>, to: NodeId) -> usize {
        let kept = group.replicas.iter().map(|r| r.node_id);
        let kept = kept.filter(|id| Some(*id) != from && *id != to);
        kept.filter(|id| self.is_together(*id, to)).count()
    }

    /// The replicas of the group on the host of `to`, without those on `from` and `to`.
    fn on_host_of(&self, group: &GroupDescriptor, from: Option<NodeId>, to: NodeId) -> usize {
        let host = self.host(to);
        let others = group.replicas.iter().map(|r| r.node_id);
        let others = others.filter(|id| Some(*id) != from && *id != to);
        others
            .filter(|id| !host.is_empty() && self.host(*id) == host)
            .count()
    }

    fn is_together(&self, a: NodeId, b: NodeId) -> bool {
        let zone = self.zone(a);
        a == b || !zone.is_empty() && zone == self.zone(b)
    }

    fn has_room(&self, node_id: NodeId, size_bytes: u64) -> bool {
        has_room(self.view, node_id, size_bytes)
    }

    /// The failure domain of the node: its zone, or else its host.
    fn zone(&self, node_id: NodeId) -> &'a str {
        let node = self.view.catalog.nodes.get(&node_id);
        node.map_or("", |node| match node.zone.as_str() {
            "" => node.host.as_str(),
            zone => zone,
        })
    }

    fn host(&self, node_id: NodeId) -> &'a str {
        let node = self.view.catalog.nodes.get(&node_id);
        node.map_or("", |node| node.host.as_str())
    }
}

/// Why a node that is up gets nothing. `None` if it may.
fn why_unfit(view: &View, node_id: NodeId) -> Option<String> {
    let said = &view.heard.get(&node_id)?.heartbeat;
    let mut replicas = said.replicas.iter();
    let stopped = replicas.find_map(|status| Some((status.group_id, status.fault.as_ref()?)));
    if let Some((group_id, fault)) = stopped {
        return Some(format!(
            "has stopped its replica of group {group_id} ({fault})"
        ));
    }
    let free = said.disk_free_bytes;
    (!has_room(view, node_id, 0)).then(|| format!("has {free} bytes free on its disk"))
}

/// Whether the replica fits on the node's disk, as far as the node has reported its room.
fn has_room(view: &View, node_id: NodeId, size_bytes: u64) -> bool {
    view.heard.get(&node_id).is_none_or(|heard| {
        let said = &heard.heartbeat;
        let (used, free) = (said.disk_used_bytes, said.disk_free_bytes);
        let kept = used.saturating_add(free) / ROOM_PART;
        used == 0 && free == 0 || free > size_bytes.saturating_add(kept)
    })
}
