//! A group as its members know it, and its log's answer to each request about its ranges.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use coterie_protocol::server::{ImportState, ServerAnswer};
use coterie_types::{
    Epoch, GroupId, KeyRange, NodeId, RangeDescriptor, RangeId, Replica, Role, TableId, UnixMillis,
};

/// A range that the group imports.
#[derive(Debug, Clone)]
pub(crate) struct SimImport {
    pub(crate) range: RangeDescriptor,
    pub(crate) source: GroupId,
    pub(crate) state: ImportState,
}

impl SimImport {
    pub(super) fn is_finished(&self) -> bool {
        matches!(self.state, ImportState::Finished { .. })
    }
}

/// A range that the group handed off, as it is after the hand-off.
#[derive(Debug, Clone)]
pub(crate) struct SimFrozen {
    pub(crate) range: RangeDescriptor,
    pub(crate) clock: UnixMillis,
    pub(crate) activated: bool,
}

/// See the module's head.
#[derive(Debug, Clone, Default)]
pub(crate) struct SimGroup {
    pub(crate) replicas: BTreeSet<NodeId>,
    pub(crate) voters: Vec<NodeId>,
    pub(crate) learners: BTreeSet<NodeId>,
    pub(crate) leader: Option<NodeId>,
    pub(crate) term: u64,
    pub(crate) ranges: Vec<RangeDescriptor>,
    pub(crate) imports: BTreeMap<RangeId, SimImport>,
    pub(crate) frozen: Vec<SimFrozen>,
    pub(crate) keys: BTreeSet<(TableId, Bytes)>,
    /// The requested digests, and the nodes that have finished them.
    pub(crate) digests: BTreeMap<u64, BTreeSet<NodeId>>,
    /// Requests that would have lost something. Must stay 0.
    pub(crate) conflicts: usize,
}

impl SimGroup {
    pub(crate) fn owns(&self, table: TableId, key: &[u8]) -> bool {
        let mut ranges = self.ranges.iter();
        ranges.any(|range| range.bounds.contains(table, key))
    }

    pub(super) fn members(&self) -> Vec<Replica> {
        let replica = |role| {
            move |node_id: &NodeId| Replica {
                node_id: *node_id,
                role,
            }
        };
        let voters = self.voters.iter().map(replica(Role::Voter));
        let learners = self.learners.iter().map(replica(Role::Learner));
        voters.chain(learners).collect()
    }

    pub(crate) fn importing(&self) -> Vec<RangeId> {
        let imports = self.imports.iter();
        let unfinished = imports.filter(|(_, import)| !import.is_finished());
        unfinished.map(|(range_id, _)| *range_id).collect()
    }

    pub(super) fn keys_in(&self, bounds: &KeyRange) -> Vec<(TableId, Bytes)> {
        let within = |(table, key): &&(TableId, Bytes)| bounds.contains(*table, key);
        self.keys.iter().filter(within).cloned().collect()
    }

    fn remove_keys(&mut self, bounds: &KeyRange) {
        self.keys
            .retain(|(table, key)| !bounds.contains(*table, key));
    }

    pub(super) fn add_ranges(&mut self, ranges: Vec<RangeDescriptor>) -> ServerAnswer {
        let overlaps = |range: &RangeDescriptor| {
            let mut owned = self.ranges.iter();
            owned.any(|owned| owned != range && owned.bounds.overlaps(&range.bounds))
        };
        if ranges.iter().any(overlaps) {
            return failed("a range overlaps");
        }
        for range in ranges {
            if !self.ranges.contains(&range) {
                self.ranges.push(range);
            }
        }
        ServerAnswer::Ok
    }

    pub(super) fn drop_ranges(&mut self, ids: &[RangeId]) -> ServerAnswer {
        let owned = self
            .ranges
            .iter()
            .filter(|range| ids.contains(&range.range_id));
        let dropped: Vec<RangeDescriptor> = owned.cloned().collect();
        for range in dropped {
            self.ranges.retain(|owned| *owned != range);
            self.imports.remove(&range.range_id);
            self.remove_keys(&range.bounds);
        }
        ServerAnswer::Ok
    }

    /// Replaces the ranges `before` by `after`. The group must have exactly the ranges `before`.
    pub(super) fn exchange(
        &mut self,
        before: &[RangeDescriptor],
        after: Vec<RangeDescriptor>,
    ) -> ServerAnswer {
        if after.iter().all(|range| self.ranges.contains(range)) {
            return ServerAnswer::Ok;
        }
        if !before.iter().all(|range| self.ranges.contains(range)) {
            return failed("the range is not as expected");
        }
        self.ranges.retain(|range| !before.contains(range));
        self.ranges.extend(after);
        ServerAnswer::Ok
    }

    pub(super) fn begin_import(&mut self, range: RangeDescriptor, source: GroupId) -> ServerAnswer {
        if self.import(range.range_id, range.epoch).is_some() || self.ranges.contains(&range) {
            return ServerAnswer::Ok;
        }
        let mut owned = self.ranges.iter();
        if owned.any(|owned| owned.bounds.overlaps(&range.bounds)) {
            return failed("it has keys of the range");
        }
        let import = SimImport {
            source,
            state: ImportState::Waiting,
            range,
        };
        self.imports.insert(import.range.range_id, import);
        ServerAnswer::Ok
    }

    pub(super) fn cancel_import(&mut self, range_id: RangeId, epoch: Epoch) -> ServerAnswer {
        match self.import(range_id, epoch) {
            Some(import) if import.state != ImportState::Waiting => failed("it is active"),
            Some(_) => {
                self.imports.remove(&range_id);
                ServerAnswer::Ok
            }
            None => ServerAnswer::Ok,
        }
    }

    pub(super) fn hand_off(&mut self, range: &RangeDescriptor, clock: UnixMillis) -> ServerAnswer {
        let handed = self.frozen.iter().find(|frozen| frozen.range == *range);
        if let Some(frozen) = handed {
            return ServerAnswer::HandedOff {
                clock: frozen.clock,
                activated: frozen.activated,
                pause_micros: None,
            };
        }
        let is_before = |owned: &RangeDescriptor| {
            owned.range_id == range.range_id
                && owned.epoch.next() == range.epoch
                && owned.bounds == range.bounds
        };
        if !self.ranges.iter().any(is_before) {
            return failed("the range is not as expected");
        }
        if self.importing().contains(&range.range_id) {
            return failed("it is being copied itself");
        }
        self.ranges.retain(|owned| !is_before(owned));
        self.imports.remove(&range.range_id);
        self.frozen.push(SimFrozen {
            range: range.clone(),
            clock,
            activated: false,
        });
        ServerAnswer::HandedOff {
            clock,
            activated: false,
            pause_micros: None,
        }
    }

    pub(super) fn activate(&mut self, range_id: RangeId, epoch: Epoch) -> ServerAnswer {
        match self.import_mut(range_id, epoch) {
            None => failed("it knows of no such import"),
            Some(import) => {
                if import.state == ImportState::Waiting {
                    import.state = copying(0);
                    let range = import.range.clone();
                    self.ranges.push(range);
                }
                ServerAnswer::Ok
            }
        }
    }

    pub(super) fn drop_frozen(&mut self, range_id: RangeId, epoch: Epoch) -> ServerAnswer {
        let is_it =
            |frozen: &SimFrozen| frozen.range.range_id == range_id && frozen.range.epoch == epoch;
        if let Some(at) = self.frozen.iter().position(is_it) {
            let bounds = self.frozen.remove(at).range.bounds;
            self.remove_keys(&bounds);
        }
        ServerAnswer::Ok
    }

    pub(super) fn import(&self, range_id: RangeId, epoch: Epoch) -> Option<&SimImport> {
        let import = self.imports.get(&range_id);
        import.filter(|import| import.range.epoch == epoch)
    }

    pub(super) fn import_mut(&mut self, range_id: RangeId, epoch: Epoch) -> Option<&mut SimImport> {
        let import = self.imports.get_mut(&range_id);
        import.filter(|import| import.range.epoch == epoch)
    }
}

pub(super) fn copying(bytes: u64) -> ImportState {
    ImportState::Copying {
        records: bytes,
        bytes,
        bytes_total: 0,
        problem: None,
    }
}

pub(super) fn failed(reason: &str) -> ServerAnswer {
    ServerAnswer::Failed(reason.to_owned())
}
