//! The servers' answers: at once, as of a server whose group has applied the entry.

use std::collections::BTreeSet;

use coterie_protocol::server::{Digest, ImportState, ServerAnswer, ServerRequest};
use coterie_types::{
    Epoch, GroupId, KeyRange, LogIndex, NodeId, NodeState, RangeDescriptor, RangeId, Replica, Role,
};

use super::SimState;
use super::group::{SimGroup, SimImport, copying, failed};

impl SimState {
    pub(super) fn serve(&mut self, node_id: NodeId, request: ServerRequest) -> ServerAnswer {
        match request {
            ServerRequest::CreateReplica { .. } if self.barren.contains(&node_id) => {
                failed("open the store: it is damaged")
            }
            ServerRequest::CreateReplica { group_id, .. } => {
                let group = self.groups.entry(group_id).or_default();
                group.replicas.insert(node_id);
                ServerAnswer::Ok
            }
            ServerRequest::InitGroup {
                group_id,
                voters,
                ranges,
                ..
            } => self.init_group(node_id, group_id, voters, ranges),
            ServerRequest::TransferLeader { group_id, to, .. } => {
                let is_alive = self.alive.contains(&to);
                self.ask_leader(node_id, group_id, |group| {
                    if !is_alive {
                        return failed("it does not take over");
                    }
                    group.leader = Some(to);
                    group.term += 1;
                    ServerAnswer::Ok
                })
            }
            ServerRequest::ChangeReplicas {
                group_id, replicas, ..
            } => {
                let alive = self.alive.clone();
                self.ask_leader(node_id, group_id, |group| {
                    change_members(group, &replicas, &alive)
                })
            }
            ServerRequest::AddLearner {
                group_id,
                node_id: learner,
                ..
            } => {
                let keeps_up = self.alive.contains(&learner) && !self.behind.contains_key(&learner);
                self.ask_leader(node_id, group_id, |group| {
                    if !group.voters.contains(&learner) {
                        group.learners.insert(learner);
                    }
                    if !keeps_up || !group.replicas.contains(&learner) {
                        return failed(&format!("node {learner} is 7 entries behind"));
                    }
                    ServerAnswer::Ok
                })
            }
            ServerRequest::DestroyReplica { group_id, .. } => self.destroy(node_id, group_id),
            ServerRequest::Status => ServerAnswer::Status(self.heartbeat(node_id).replicas),
            ServerRequest::TakeDigest {
                group_id, nonce, ..
            } => self.ask_leader(node_id, group_id, |group| {
                group.digests.entry(nonce).or_default();
                ServerAnswer::Ok
            }),
            ServerRequest::Digest { group_id, nonce } => self.digest(node_id, group_id, nonce),
            ServerRequest::RecoverAlone { group_id, lost, .. } => {
                self.recover_alone(node_id, group_id, &lost)
            }
            other => self.serve_ranges(node_id, other),
        }
    }

    fn serve_ranges(&mut self, node_id: NodeId, request: ServerRequest) -> ServerAnswer {
        match request {
            ServerRequest::AddRanges {
                group_id, ranges, ..
            } => self.ask_leader(node_id, group_id, |group| group.add_ranges(ranges)),
            ServerRequest::DropRanges {
                group_id, ranges, ..
            } => self.ask_leader(node_id, group_id, |group| group.drop_ranges(&ranges)),
            ServerRequest::SplitRange {
                group_id,
                range,
                at,
                right_id,
                ..
            } => {
                let (start, end) = (range.bounds.start.clone(), range.bounds.end.clone());
                let left = part(
                    &range,
                    range.range_id,
                    (start, Some(at.clone())),
                    range.epoch,
                );
                let right = part(&range, right_id, (at, end), range.epoch);
                self.ask_leader(node_id, group_id, |group| {
                    group.exchange(&[range], vec![left, right])
                })
            }
            ServerRequest::MergeRanges {
                group_id,
                left,
                right,
                ..
            } => {
                let bounds = (left.bounds.start.clone(), right.bounds.end.clone());
                let union = part(&left, left.range_id, bounds, left.epoch.max(right.epoch));
                self.ask_leader(node_id, group_id, |group| {
                    group.exchange(&[left, right], vec![union])
                })
            }
            ServerRequest::SplitPoint { group_id, range_id } => {
                self.split_point(group_id, range_id)
            }
            other => self.serve_moves(node_id, other),
        }
    }

    fn serve_moves(&mut self, node_id: NodeId, request: ServerRequest) -> ServerAnswer {
        let now = self.now;
        match request {
            ServerRequest::BeginImport {
                group_id,
                range,
                source,
                ..
            } => self.ask_leader(node_id, group_id, |group| group.begin_import(range, source)),
            ServerRequest::CancelImport {
                group_id,
                range_id,
                epoch,
                ..
            } => self.ask_leader(node_id, group_id, |group| {
                group.cancel_import(range_id, epoch)
            }),
            ServerRequest::HandOff {
                group_id, range, ..
            } => {
                let answer =
                    self.ask_leader(node_id, group_id, |group| group.hand_off(&range, now));
                match answer {
                    ServerAnswer::HandedOff { clock, .. } if !self.sources_are_silent => {
                        ServerAnswer::HandedOff {
                            clock,
                            activated: self.tell_destination(group_id, &range),
                            pause_micros: None,
                        }
                    }
                    answer => answer,
                }
            }
            ServerRequest::Activate {
                group_id,
                range_id,
                epoch,
                ..
            } => self.ask_leader(node_id, group_id, |group| group.activate(range_id, epoch)),
            ServerRequest::ImportState {
                group_id,
                range_id,
                epoch,
            } => {
                self.copy_one(group_id, range_id, epoch);
                self.ask_leader(node_id, group_id, |group| {
                    let import = group.import(range_id, epoch);
                    let state = import.map_or(ImportState::Unknown, |import| import.state.clone());
                    ServerAnswer::Import(state)
                })
            }
            ServerRequest::DropFrozen {
                group_id,
                range_id,
                epoch,
                ..
            } => {
                let is_copied = self.groups.values().all(|group| {
                    let import = group.import(range_id, epoch);
                    import.is_none_or(SimImport::is_finished)
                });
                self.ask_leader(node_id, group_id, |group| {
                    group.conflicts += usize::from(!is_copied);
                    group.drop_frozen(range_id, epoch)
                })
            }
            other => failed(&format!("not played: {other:?}")),
        }
    }

    fn ask_leader(
        &mut self,
        node_id: NodeId,
        group_id: GroupId,
        change: impl FnOnce(&mut SimGroup) -> ServerAnswer,
    ) -> ServerAnswer {
        match self.groups.get_mut(&group_id) {
            None => ServerAnswer::NoSuchGroup,
            Some(group) if !group.replicas.contains(&node_id) => ServerAnswer::NoSuchGroup,
            Some(group) if group.leader != Some(node_id) => ServerAnswer::NotLeader {
                leader: group.leader,
            },
            Some(group) => change(group),
        }
    }

    fn init_group(
        &mut self,
        node_id: NodeId,
        group_id: GroupId,
        voters: Vec<NodeId>,
        ranges: Vec<RangeDescriptor>,
    ) -> ServerAnswer {
        let alive = voters.iter().filter(|id| self.alive.contains(id)).count();
        let group = self.groups.entry(group_id).or_default();
        if !group.replicas.contains(&node_id) {
            return ServerAnswer::NoSuchGroup;
        }
        if group.leader.is_some() {
            let same = group.voters == voters && group.ranges == ranges;
            group.conflicts += usize::from(!same);
            return ServerAnswer::Ok;
        }
        if 2 * alive <= voters.len() {
            return failed("no quorum");
        }
        group.voters = voters;
        group.ranges = ranges;
        group.leader = Some(node_id);
        group.term = 1;
        ServerAnswer::Ok
    }

    /// It is a conflict if a lost node is still listened to, or a leader loses its group.
    fn recover_alone(
        &mut self,
        node_id: NodeId,
        group_id: GroupId,
        lost: &[NodeId],
    ) -> ServerAnswer {
        let nodes = &self.meta.catalog.nodes;
        let is_removed = |id: &NodeId| nodes[id].state == NodeState::Removed;
        let all_removed = lost.iter().all(is_removed);
        let group = self.groups.get_mut(&group_id);
        let Some(group) = group.filter(|group| group.replicas.contains(&node_id)) else {
            return ServerAnswer::NoSuchGroup;
        };
        if group.voters != [node_id] {
            group.conflicts += usize::from(!all_removed || group.leader.is_some());
            group.voters = vec![node_id];
            group.leader = Some(node_id);
            group.term += 1;
        }
        ServerAnswer::Ok
    }

    /// Refused by a member of a group that meta knows.
    fn destroy(&mut self, node_id: NodeId, group_id: GroupId) -> ServerAnswer {
        let is_there = self.meta.catalog.groups.contains_key(&group_id);
        let Some(group) = self.groups.get_mut(&group_id) else {
            return ServerAnswer::NoSuchGroup;
        };
        if is_there && group.members().iter().any(|r| r.node_id == node_id) {
            group.conflicts += 1;
            return failed("it is a member");
        }
        group.replicas.remove(&node_id);
        if group.leader == Some(node_id) {
            group.leader = None;
        }
        ServerAnswer::Ok
    }

    /// Done when it is fetched for the second time.
    fn digest(&mut self, node_id: NodeId, group_id: GroupId, nonce: u64) -> ServerAnswer {
        let is_damaged = self.damaged.contains(&node_id);
        let group = self.groups.get_mut(&group_id);
        let Some(group) = group.filter(|group| group.replicas.contains(&node_id)) else {
            return ServerAnswer::NoSuchGroup;
        };
        let counted = match group.digests.get_mut(&nonce) {
            Some(counted) => !counted.insert(node_id),
            None => false,
        };
        ServerAnswer::Digest(counted.then(|| Digest {
            index: LogIndex(5),
            records: group.keys.len() as u64,
            bytes: 0,
            checksum: u64::from(is_damaged),
        }))
    }

    fn split_point(&self, group_id: GroupId, range_id: RangeId) -> ServerAnswer {
        let Some(group) = self.groups.get(&group_id) else {
            return ServerAnswer::NoSuchGroup;
        };
        let mut owned = group.ranges.iter();
        let Some(range) = owned.find(|owned| owned.range_id == range_id) else {
            return failed("it does not own the range");
        };
        let keys = group.keys_in(&range.bounds);
        let middle = keys.len() / 2;
        ServerAnswer::SplitPoint {
            at: (keys.len() > 1).then(|| keys[middle].1.clone()),
            left_bytes: middle as u64,
            right_bytes: (keys.len() - middle) as u64,
        }
    }

    /// The source's leader asks the destination's.
    fn tell_destination(&mut self, source: GroupId, range: &RangeDescriptor) -> bool {
        let leader = self
            .groups
            .get(&range.group_id)
            .and_then(|group| group.leader);
        let Some(leader) = leader.filter(|leader| self.alive.contains(leader)) else {
            return false;
        };
        let told = self.ask_leader(leader, range.group_id, |group| {
            group.activate(range.range_id, range.epoch)
        });
        let activated = told == ServerAnswer::Ok;
        let frozen = self.groups.get_mut(&source).into_iter();
        for frozen in frozen.flat_map(|group| &mut group.frozen) {
            frozen.activated |= activated && frozen.range == *range;
        }
        activated
    }

    /// Each look copies another key.
    fn copy_one(&mut self, group_id: GroupId, range_id: RangeId, epoch: Epoch) {
        let group = self.groups.get(&group_id);
        let import = group
            .and_then(|group| group.import(range_id, epoch))
            .cloned();
        let Some(import) = import.filter(|i| matches!(i.state, ImportState::Copying { .. })) else {
            return;
        };
        let bounds = &import.range.bounds;
        let keys = self.groups[&import.source].keys_in(bounds);
        let group = self.groups.get_mut(&group_id).unwrap();
        let missing = keys.iter().find(|key| !group.keys.contains(*key)).cloned();
        let state = match missing {
            None => ImportState::Finished {
                bytes: keys.len() as u64,
            },
            Some(key) => {
                group.keys.insert(key);
                copying(group.keys_in(bounds).len() as u64)
            }
        };
        group.import_mut(range_id, epoch).unwrap().state = state;
    }
}

/// New members must hold a replica and be up, so that they can catch up. Both quorums must be up.
fn change_members(
    group: &mut SimGroup,
    replicas: &[Replica],
    alive: &BTreeSet<NodeId>,
) -> ServerAnswer {
    let voters = replicas.iter().filter(|r| r.role == Role::Voter);
    let wanted: Vec<NodeId> = voters.map(|r| r.node_id).collect();
    let ready = |id: &NodeId| {
        group.voters.contains(id) || group.replicas.contains(id) && alive.contains(id)
    };
    if !wanted.iter().all(ready) {
        return failed("a new member does not catch up");
    }
    let up = |ids: &[NodeId]| 2 * ids.iter().filter(|id| alive.contains(id)).count() > ids.len();
    if !up(&group.voters) || !up(&wanted) {
        return failed("no quorum");
    }
    let is_kept = |id: &NodeId| wanted.contains(id) && alive.contains(id);
    if !group.leader.as_ref().is_some_and(is_kept) {
        group.leader = wanted.iter().copied().find(|id| alive.contains(id));
        group.term += 1;
    }
    group.learners.clear();
    group.voters = wanted;
    ServerAnswer::Ok
}

/// A part or the union of earlier ranges, at the next epoch.
fn part(
    range: &RangeDescriptor,
    range_id: RangeId,
    (start, end): (bytes::Bytes, Option<bytes::Bytes>),
    epoch: Epoch,
) -> RangeDescriptor {
    RangeDescriptor {
        range_id,
        epoch: epoch.next(),
        bounds: KeyRange {
            table: range.bounds.table,
            start,
            end,
        },
        group_id: range.group_id,
    }
}
