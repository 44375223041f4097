//! The catalog: what meta holds, as rows, and how a copy of it follows along.
//!
//! Pure. Meta's own state machine keeps one and changes it by commands (`coterie-meta`, `catalog`);
//! proxies, servers and controllers keep copies and apply the [`Change`]s they are sent.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use coterie_types::{
    GroupDescriptor, GroupId, JobId, NodeDescriptor, NodeId, RangeDescriptor, RangeId, Revision,
    TableId, UnixMillis,
};
use serde::{Deserialize, Serialize};

/// One table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDescriptor {
    /// Its id; Redis database `n` is table `n`.
    pub table_id: TableId,
    /// Its name; `dbN` for Redis' databases.
    pub name: String,
    /// Where it is cut when it gets its first ranges; sorted, each once, none empty.
    pub split_at: Vec<Bytes>,
}

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobState {
    /// Being driven, or waiting to be.
    Running,
    /// Finished.
    Done,
    /// Given up; the reason is the last line of its log.
    Failed,
}

/// What an operator asks of the controller, by a command of `COTERIE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    /// Cut the range that holds this key, so that the key is the first of the right part.
    Split {
        /// The table.
        table: TableId,
        /// The key.
        at: Bytes,
    },
    /// Make one range of the one that holds this key and its right neighbour.
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
        /// To this group; `None` is one that is made for it.
        to: Option<GroupId>,
    },
    /// Put a replica of a group elsewhere.
    Replace {
        /// The group.
        group_id: GroupId,
        /// The node that holds the replica.
        node_id: NodeId,
    },
    /// Have a group whose majority is lost for good go on from one of the replicas that are left.
    /// Voters that are not heard are removed from the cluster.
    Recover {
        /// The group.
        group_id: GroupId,
        /// The node that holds that replica.
        node_id: NodeId,
    },
}

/// How far a job that copies is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Bytes copied.
    pub bytes: u64,
    /// Bytes there are to copy, about; 0 when that is not known.
    pub bytes_total: u64,
    /// Bytes per second, lately.
    pub bytes_per_second: u64,
}

/// What a range, or the parts of one, were asked and how long commands took there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Commands per second.
    pub ops: u64,
    /// Microseconds from a command's arrival at the leader to its answer, on average.
    pub latency_micros: u64,
}

/// What a job that was begun for load did to its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// When it was begun.
    pub before: Traffic,
    /// Some time after it was done; `None` until then.
    pub after: Option<Traffic>,
    /// Whether it helped, as far as `after` is known.
    pub helped: bool,
}

/// A crash-safe piece of the controller's work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobDescriptor {
    /// Its id.
    pub job_id: JobId,
    /// What it does: `bootstrap`, `transfer-leader`, ...
    pub kind: String,
    /// Its parameters and how far it is, in the executor's own encoding; empty while an operator's
    /// wish has not been looked at.
    pub step: Bytes,
    /// What an operator asked for, if that is how it began.
    pub wish: Option<Wish>,
    /// How far it is, if it copies.
    pub progress: Option<Progress>,
    /// What it did to the load of its range, if that is why it was begun.
    pub effect: Option<Effect>,
    /// Where it is in its life.
    pub state: JobState,
    /// Why it was started, in numbers, and what happened since; a line each, bounded.
    pub log: Vec<String>,
    /// When it was started.
    pub started_at: UnixMillis,
}

/// The controller's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lease {
    /// Who holds it; 0 is nobody.
    pub holder: u64,
    /// The fencing number: rises with each new holder.
    pub fence: u64,
    /// Until when, by meta's clock.
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
    /// What the controller wants and cannot do now, and why; a line each.
    Refusals(Vec<String>),
    /// Groups that were removed.
    RemovedGroups(BTreeSet<GroupId>),
}

/// What names a row that is gone.
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
}

/// One commit: rows gone, then rows written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The revision after it.
    pub revision: Revision,
    /// Rows gone; applied first.
    pub deletes: Vec<RowKey>,
    /// Rows written.
    pub upserts: Vec<Row>,
}

/// All rows at one revision.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Catalog {
    /// The commit it is of.
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
    /// The same ranges by where they start.
    pub range_starts: BTreeMap<(TableId, Bytes), RangeId>,
    /// Jobs by id.
    pub jobs: BTreeMap<JobId, JobDescriptor>,
    /// Settings by name.
    pub settings: BTreeMap<String, String>,
    /// The controller's lease.
    pub lease: Lease,
    /// Ranges of tables that were dropped, until their groups have removed the records.
    pub dropped: BTreeMap<RangeId, RangeDescriptor>,
    /// What the controller wants and cannot do now, and why; a line each.
    pub refusals: Vec<String>,
    /// Groups that were removed, the newest of them: a replica that comes back is nobody's. A group
    /// that is neither here nor among the groups is one that this catalog never knew.
    pub removed_groups: BTreeSet<GroupId>,
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

    /// Whether no group counts on the node. One that is draining, holds nothing and leads nothing
    /// is safe to stop, unless a running job names it: the steps of jobs are the controller's.
    #[must_use]
    pub fn holds_nothing(&self, node_id: NodeId) -> bool {
        let mut groups = self.groups.values();
        !groups.any(|group| group.replicas.iter().any(|r| r.node_id == node_id))
    }

    /// Applies one commit to this copy.
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
        }
    }

    fn remove_range(&mut self, range_id: RangeId) {
        let Some(old) = self.ranges.remove(&range_id) else {
            return;
        };
        let start = (old.bounds.table, old.bounds.start);
        // Another range may have taken this start in the same commit: only our own entry goes.
        if self.range_starts.get(&start) == Some(&range_id) {
            self.range_starts.remove(&start);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
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
    fn a_key_is_located_and_a_cut_range_moves_its_start() {
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
