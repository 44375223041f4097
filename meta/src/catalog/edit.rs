//! An edit: rows are written one after another, then committed as a single change, or undone
//! without a trace.
//!
//! It remembers each row it touches as it was before. From that it derives the change (a row
//! touched twice appears once, an unchanged row not at all), and the undo.

use std::collections::BTreeMap;

use coterie_protocol::catalog::{Catalog, Change, Lease, Row, RowKey};
use coterie_protocol::meta::Rejection;
use coterie_protocol::objects::ObjectName;
use coterie_types::{GroupId, JobId, NodeId, RangeDescriptor, RangeId, TableId, UnixMillis};

use super::state::{MetaState, NextIds};

/// The name of a row of any kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowName {
    /// The cluster's id.
    Cluster,
    /// The controller's lease.
    Lease,
    /// A node.
    Node(NodeId),
    /// A table.
    Table(TableId),
    /// A group.
    Group(GroupId),
    /// A range.
    Range(RangeId),
    /// A job.
    Job(JobId),
    /// A setting.
    Setting(String),
    /// A range of a dropped table.
    Dropped(RangeId),
    /// The controller's refusals.
    Refusals,
    /// The groups that were removed.
    RemovedGroups,
    /// An object.
    Object(ObjectName),
}

impl RowName {
    /// The name of this row.
    #[must_use]
    pub fn of(row: &Row) -> Self {
        match row {
            Row::Cluster(_) => Self::Cluster,
            Row::Lease(_) => Self::Lease,
            Row::Node(node) => Self::Node(node.node_id),
            Row::Table(table) => Self::Table(table.table_id),
            Row::Group(group) => Self::Group(group.group_id),
            Row::Range(range) => Self::Range(range.range_id),
            Row::Job(job) => Self::Job(job.job_id),
            Row::Setting(name, _) => Self::Setting(name.clone()),
            Row::Dropped(range) => Self::Dropped(range.range_id),
            Row::Refusals(_) => Self::Refusals,
            Row::RemovedGroups(_) => Self::RemovedGroups,
            Row::Object(name, _) => Self::Object(name.clone()),
        }
    }

    /// The row of this name, if the catalog has it.
    #[must_use]
    pub fn row(&self, catalog: &Catalog) -> Option<Row> {
        match self {
            Self::Cluster => (catalog.cluster_id != 0).then_some(Row::Cluster(catalog.cluster_id)),
            Self::Lease => (catalog.lease != Lease::default()).then_some(Row::Lease(catalog.lease)),
            Self::Node(id) => catalog.nodes.get(id).cloned().map(Row::Node),
            Self::Table(id) => catalog.tables.get(id).cloned().map(Row::Table),
            Self::Group(id) => catalog.groups.get(id).cloned().map(Row::Group),
            Self::Range(id) => catalog.ranges.get(id).cloned().map(Row::Range),
            Self::Job(id) => catalog.jobs.get(id).cloned().map(Row::Job),
            Self::Setting(name) => {
                let value = catalog.settings.get(name)?;
                Some(Row::Setting(name.clone(), value.clone()))
            }
            Self::Dropped(id) => catalog.dropped.get(id).cloned().map(Row::Dropped),
            Self::Refusals => Some(Row::Refusals(catalog.refusals.clone())),
            Self::RemovedGroups => Some(Row::RemovedGroups(catalog.removed_groups.clone())),
            Self::Object(name) => {
                let value = catalog.objects.get(name)?;
                Some(Row::Object(name.clone(), value.clone()))
            }
        }
    }

    /// The key by which a change reports the row as deleted; `None` for rows that are never
    /// deleted.
    fn delete_key(self) -> Option<RowKey> {
        match self {
            Self::Cluster | Self::Lease | Self::Node(_) | Self::Refusals | Self::RemovedGroups => {
                None
            }
            Self::Table(id) => Some(RowKey::Table(id)),
            Self::Group(id) => Some(RowKey::Group(id)),
            Self::Range(id) => Some(RowKey::Range(id)),
            Self::Job(id) => Some(RowKey::Job(id)),
            Self::Setting(name) => Some(RowKey::Setting(name)),
            Self::Dropped(id) => Some(RowKey::Dropped(id)),
            Self::Object(name) => Some(RowKey::Object(name)),
        }
    }
}

/// See the module's head.
pub(super) struct Edit<'a> {
    state: &'a mut MetaState,
    before: BTreeMap<RowName, Option<Row>>,
    counters_before: (NextIds, UnixMillis),
    /// The token of a new node, recorded at commit.
    registration: Option<(u128, NodeId)>,
}

impl<'a> Edit<'a> {
    pub(super) fn new(state: &'a mut MetaState) -> Self {
        let counters_before = (state.next, state.clock);
        Self {
            state,
            before: BTreeMap::new(),
            counters_before,
            registration: None,
        }
    }

    /// The catalog with the edit so far.
    pub(super) fn catalog(&self) -> &Catalog {
        &self.state.catalog
    }

    /// The next unused ids.
    pub(super) fn next(&mut self) -> &mut NextIds {
        &mut self.state.next
    }

    /// The lease's clock.
    pub(super) fn clock(&mut self) -> &mut UnixMillis {
        &mut self.state.clock
    }

    /// Sets the lease's expiry, which moves without a revision while its holder renews it.
    pub(super) fn renew_lease(&mut self, until: UnixMillis) {
        self.state.catalog.lease.until = until;
    }

    pub(super) fn registered(&self, token: u128) -> Option<NodeId> {
        self.state.registrations.get(&token).copied()
    }

    pub(super) fn register(&mut self, token: u128, node_id: NodeId) {
        self.registration = Some((token, node_id));
    }

    /// Writes a row.
    pub(super) fn put(&mut self, row: Row) {
        if let Row::Range(range) = &row {
            let start = (range.bounds.table, range.bounds.start.clone());
            // A range that starts there already is touched, too: by the end it must start
            // elsewhere.
            if let Some(other) = self.state.catalog.range_starts.get(&start).copied() {
                self.remember(RowName::Range(other));
            }
        }
        self.remember(RowName::of(&row));
        self.apply(None, Some(row));
    }

    /// Removes a row if it exists. Nodes, the lease, the cluster's id, refusals and removed groups
    /// stay.
    pub(super) fn delete(&mut self, name: RowName) {
        self.remember(name.clone());
        self.apply(name.delete_key(), None);
    }

    /// The ranges written or removed so far, as they were before; `None` for new ranges.
    pub(super) fn touched_ranges(
        &self,
    ) -> impl Iterator<Item = (RangeId, Option<&RangeDescriptor>)> {
        self.before.iter().filter_map(|(name, row)| match name {
            RowName::Range(id) => match row {
                Some(Row::Range(range)) => Some((*id, Some(range))),
                _ => Some((*id, None)),
            },
            _ => None,
        })
    }

    /// Raises the revision if a row differs from before, and returns the change.
    pub(super) fn commit(self) -> Option<Change> {
        let Self {
            state,
            before,
            registration,
            ..
        } = self;
        state.registrations.extend(registration);
        let mut change = Change {
            revision: state.catalog.revision.next(),
            deletes: Vec::new(),
            upserts: Vec::new(),
        };
        for (name, old) in before {
            match name.row(&state.catalog) {
                Some(new) if old.as_ref() != Some(&new) => change.upserts.push(new),
                None if old.is_some() => change.deletes.extend(name.delete_key()),
                _ => {}
            }
        }
        if change.upserts.is_empty() && change.deletes.is_empty() {
            return None;
        }
        state.catalog.revision = change.revision;
        Some(change)
    }

    /// Restores everything as it was.
    pub(super) fn undo(mut self) {
        (self.state.next, self.state.clock) = self.counters_before;
        for (name, row) in std::mem::take(&mut self.before) {
            match row {
                Some(row) => self.apply(None, Some(row)),
                None => self.apply(name.delete_key(), None),
            }
        }
    }

    fn remember(&mut self, name: RowName) {
        let catalog = &self.state.catalog;
        self.before
            .entry(name)
            .or_insert_with_key(|name| name.row(catalog));
    }

    fn apply(&mut self, delete: Option<RowKey>, upsert: Option<Row>) {
        let catalog = &mut self.state.catalog;
        catalog.apply(&Change {
            revision: catalog.revision,
            deletes: delete.into_iter().collect(),
            upserts: upsert.into_iter().collect(),
        });
    }
}

/// The refusal of a command for this reason.
pub(super) fn invalid(reason: impl Into<String>) -> Rejection {
    Rejection::Invalid(reason.into())
}
