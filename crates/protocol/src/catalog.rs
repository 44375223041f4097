//! The catalog: meta's rows, and how a copy of them follows meta's.
//!
//! Pure. Meta's own state machine keeps the catalog and changes it by commands (`coterie-meta`,
//! `catalog`); proxies, servers and controllers keep copies and apply the [`Change`]s they receive.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use coterie_types::{
    GroupDescriptor, GroupId, JobId, NodeDescriptor, NodeId, RangeDescriptor, RangeId, Revision,
    TableId, UnixMillis,
};
use serde::{Deserialize, Serialize};

use crate::objects::{ObjectKind, ObjectName};

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDescriptor {
    /// Its id; Redis database `n` is table `n`.
    pub table_id: TableId,
    /// Its name; `dbN` for Redis' databases.
    pub name: String,
    /// Keys at which the table is split when it gets its first ranges; sorted, each once, none
    /// empty.
    pub split_at: Vec<Bytes>,
}

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobState {
    /// In progress, or waiting to be.
    Running,
    /// Finished.
    Done,
    /// Given up; the reason is the last line of its log.
    Failed,
}

/// An operator's request to the controller, by a command of `COTERIE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    /// Split the range that holds this key, so that the key is the first of the right part.
    Split {
        /// The table.
        table: TableId,
        /// The key.
        at: Bytes,
    },
    /// Merge the range that holds this key with its right neighbour.
    Merge {
        /// The table.
        table: TableId,
        /// The key.
        key: Bytes,
    },
    /// Move the range that holds this key.
    Move {
        /// The table.
        table: TableId,
        /// The key.
        key: Bytes,
        /// To this group; `None` for a group that is created for it.
        to: Option<GroupId>,
    },
    /// Replace a group's replica by a replica on another node.
    Replace {
        /// The group.
        group_id: GroupId,
        /// The node that holds the replica.
        node_id: NodeId,
    },
    /// Recover a group whose majority is permanently lost from one of the remaining replicas.
    /// Voters that cannot be reached are removed from the cluster.
    Recover {
        /// The group.
        group_id: GroupId,
        /// The node that holds the remaining replica.
        node_id: NodeId,
    },
}

/// The progress of a job that copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Bytes copied.
    pub bytes: u64,
    /// Approximate bytes to copy; 0 when unknown.
    pub bytes_total: u64,
    /// Bytes per second over the last seconds.
    pub bytes_per_second: u64,
}

/// The commands of a range, or of the parts of a split range, and how long they took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Commands per second.
    pub ops: u64,
    /// Microseconds from a command's arrival at the leader to its answer, on average.
    pub latency_micros: u64,
}

/// The effect of a job that was begun for load on its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// The traffic when the job was begun.
    pub before: Traffic,
    /// The traffic some time after it was done; `None` until then.
    pub after: Option<Traffic>,
    /// Whether it helped, as far as `after` is known.
    pub helped: bool,
}

/// A crash-safe unit of the controller's work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobDescriptor {
    /// Its id.
    pub job_id: JobId,
    /// Its kind: `bootstrap`, `transfer-leader`, ...
    pub kind: String,
    /// Its parameters and progress, in the executor's own encoding; empty until the controller has
    /// first looked at an operator's wish.
    pub step: Bytes,
    /// The operator's wish that started it, if any.
    pub wish: Option<Wish>,
    /// Its progress, if it copies.
    pub progress: Option<Progress>,
    /// Its effect on the load of its range, if it was begun for load.
    pub effect: Option<Effect>,
    /// Its state.
    pub state: JobState,
    /// Why it was started, in numbers, and its events since; a line each, bounded.
    pub log: Vec<String>,
    /// When it was started.
    pub started_at: UnixMillis,
}

/// The controller's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lease {
    /// The holder; 0 for none.
    pub holder: u64,
    /// The fencing number: rises with each new holder.
    pub fence: u64,
    /// Its end, by meta's clock.
    pub until: UnixMillis,
}

/// A row of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Row {
    /// The cluster's id.
    Cluster(u128),
    /// A node.
    Node(NodeDescriptor),
    /// A group.
    Group(GroupDescriptor),
    /// A table.
    Table(TableDescriptor),
    /// A range.
    Range(RangeDescriptor),
    /// A job.
    Job(JobDescriptor),
    /// A setting.
    Setting(String, String),
    /// The controller's lease.
    Lease(Lease),
    /// A range of a table that was dropped, whose group may still hold its records.
    Dropped(RangeDescriptor),
    /// Actions that the controller wants and cannot take now, with the reason; a line each.
    Refusals(Vec<String>),
    /// Groups that were removed.
    RemovedGroups(BTreeSet<GroupId>),
    /// An object.
    Object(ObjectName, Bytes),
}

/// The key of a deleted row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RowKey {
    /// A group.
    Group(GroupId),
    /// A table.
    Table(TableId),
    /// A range.
    Range(RangeId),
    /// A job.
    Job(JobId),
    /// A setting.
    Setting(String),
    /// A range of a table that was dropped.
    Dropped(RangeId),
    /// An object.
    Object(ObjectName),
}

/// A commit: rows deleted, then rows written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The revision after it.
    pub revision: Revision,
    /// Rows deleted; applied first.
    pub deletes: Vec<RowKey>,
    /// Rows written.
    pub upserts: Vec<Row>,
}

/// All rows at a revision.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Catalog {
    /// The last commit it contains.
    pub revision: Revision,
    /// The cluster's id; 0 before its birth.
    pub cluster_id: u128,
    /// Nodes by id.
    pub nodes: BTreeMap<NodeId, NodeDescriptor>,
    /// Groups by id.
    pub groups: BTreeMap<GroupId, GroupDescriptor>,
    /// Tables by id.
    pub tables: BTreeMap<TableId, TableDescriptor>,
    /// Ranges by id.
    pub ranges: BTreeMap<RangeId, RangeDescriptor>,
    /// The same ranges by their start.
    pub range_starts: BTreeMap<(TableId, Bytes), RangeId>,
    /// Jobs by id.
    pub jobs: BTreeMap<JobId, JobDescriptor>,
    /// Settings by name.
    pub settings: BTreeMap<String, String>,
    /// The controller's lease.
    pub lease: Lease,
    /// Ranges of tables that were dropped, until their groups have removed the records.
    pub dropped: BTreeMap<RangeId, RangeDescriptor>,
    /// Actions that the controller wants and cannot take now, with the reason; a line each.
    pub refusals: Vec<String>,
    /// The most recently removed groups: a returning replica of a removed group is a stray. This
    /// catalog never knew a group that is neither here nor among the groups.
    pub removed_groups: BTreeSet<GroupId>,
    /// Objects by kind and name.
    pub objects: BTreeMap<ObjectName, Bytes>,
}

impl Catalog {
    /// The range that holds `key`, if the map has one.
    #[must_use]
    pub fn locate(&self, table: TableId, key: &[u8]) -> Option<&RangeDescriptor> {
        let from = (table, Bytes::new());
        let to = (table, Bytes::copy_from_slice(key));
        let (_, range_id) = self.range_starts.range(from..=to).next_back()?;
        self.ranges
            .get(range_id)
            .filter(|range| range.bounds.contains(table, key))
    }

    /// A table's ranges in key order.
    pub fn ranges_of(&self, table: TableId) -> impl Iterator<Item = &RangeDescriptor> {
        let end = (TableId(table.0 + 1), Bytes::new());
        self.range_starts
            .range((table, Bytes::new())..end)
            .filter_map(|(_, range_id)| self.ranges.get(range_id))
    }

    /// Whether no group has a replica on the node. A draining node that holds nothing and leads
    /// nothing is safe to stop, unless a running job names it: the steps of jobs are the
    /// controller's.
    #[must_use]
    pub fn holds_nothing(&self, node_id: NodeId) -> bool {
        let mut groups = self.groups.values();
        !groups.any(|group| group.replicas.iter().any(|r| r.node_id == node_id))
    }

    /// The value of an object.
    #[must_use]
    pub fn object(&self, kind: ObjectKind, name: &[u8]) -> Option<&Bytes> {
        let name = Bytes::copy_from_slice(name);
        self.objects.get(&ObjectName { kind, name })
    }

    /// The objects of a kind, by name.
    pub fn objects_of(&self, kind: ObjectKind) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        let first = ObjectName::new(kind, Bytes::new());
        let all = self.objects.range(first..);
        all.take_while(move |(name, _)| name.kind == kind)
            .map(|(name, value)| (&name.name, value))
    }

    /// Applies a commit to this copy.
    pub fn apply(&mut self, change: &Change) {
        for key in &change.deletes {
            self.delete(key);
        }
        for row in &change.upserts {
            self.upsert(row.clone());
        }
        self.revision = change.revision;
    }

    fn delete(&mut self, key: &RowKey) {
        match key {
            RowKey::Group(id) => drop(self.groups.remove(id)),
            RowKey::Table(id) => drop(self.tables.remove(id)),
            RowKey::Range(id) => self.remove_range(*id),
            RowKey::Job(id) => drop(self.jobs.remove(id)),
            RowKey::Setting(name) => drop(self.settings.remove(name)),
            RowKey::Dropped(id) => drop(self.dropped.remove(id)),
            RowKey::Object(name) => drop(self.objects.remove(name)),
        }
    }

    fn upsert(&mut self, row: Row) {
        match row {
            Row::Cluster(id) => self.cluster_id = id,
            Row::Node(node) => drop(self.nodes.insert(node.node_id, node)),
            Row::Group(group) => drop(self.groups.insert(group.group_id, group)),
            Row::Table(table) => drop(self.tables.insert(table.table_id, table)),
            Row::Range(range) => {
                self.remove_range(range.range_id);
                let start = (range.bounds.table, range.bounds.start.clone());
                self.range_starts.insert(start, range.range_id);
                self.ranges.insert(range.range_id, range);
            }
            Row::Job(job) => drop(self.jobs.insert(job.job_id, job)),
            Row::Setting(name, value) => drop(self.settings.insert(name, value)),
            Row::Lease(lease) => self.lease = lease,
            Row::Dropped(range) => drop(self.dropped.insert(range.range_id, range)),
            Row::Refusals(lines) => self.refusals = lines,
            Row::RemovedGroups(removed) => self.removed_groups = removed,
            Row::Object(name, value) => drop(self.objects.insert(name, value)),
        }
    }

    fn remove_range(&mut self, range_id: RangeId) {
        let Some(old) = self.ranges.remove(&range_id) else {
            return;
        };
        let start = (old.bounds.table, old.bounds.start);
        // Another range may have taken this start in the same commit: remove only our own entry.
        if self.range_starts.get(&start) == Some(&range_id) {
            self.range_starts.remove(&start);
        }
    }
}

#[cfg(test)]
mod tests {
    use coterie_types::{Epoch, KeyRange, Replica, Role};

    use super::*;

    fn range(id: u64, start: &'static str, end: Option<&'static str>) -> Row {
        Row::Range(RangeDescriptor {
            range_id: RangeId(id),
            epoch: Epoch(1),
            bounds: KeyRange {
                table: TableId(0),
                start: Bytes::from_static(start.as_bytes()),
                end: end.map(|e| Bytes::from_static(e.as_bytes())),
            },
            group_id: GroupId(id),
        })
    }

    #[test]
    fn a_node_holds_nothing_when_no_group_names_it() {
        let mut catalog = Catalog::default();
        assert!(catalog.holds_nothing(NodeId(1)));
        let replicas = vec![Replica {
            node_id: NodeId(1),
            role: Role::Learner,
        }];
        catalog.apply(&Change {
            revision: Revision(1),
            deletes: vec![],
            upserts: vec![Row::Group(GroupDescriptor {
                group_id: GroupId(1),
                replicas,
            })],
        });
        assert!(!catalog.holds_nothing(NodeId(1)) && catalog.holds_nothing(NodeId(2)));
    }

    #[test]
    fn a_key_is_located_and_a_split_range_moves_its_start() {
        let mut catalog = Catalog::default();
        let upserts = vec![range(1, "", Some("m")), range(2, "m", None)];
        catalog.apply(&Change {
            revision: Revision(1),
            deletes: vec![],
            upserts,
        });
        assert_eq!(
            catalog.locate(TableId(0), b"a").unwrap().range_id,
            RangeId(1)
        );
        assert_eq!(
            catalog.locate(TableId(0), b"m").unwrap().range_id,
            RangeId(2)
        );
        assert_eq!(catalog.locate(TableId(1), b"m"), None);
        let upserts = vec![range(2, "p", None), range(3, "m", Some("p"))];
        catalog.apply(&Change {
            revision: Revision(2),
            deletes: vec![],
            upserts,
        });
        assert_eq!(
            catalog.locate(TableId(0), b"n").unwrap().range_id,
            RangeId(3)
        );
        assert_eq!(catalog.ranges_of(TableId(0)).count(), 3);
    }
}
