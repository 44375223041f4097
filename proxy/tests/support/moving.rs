//! Ranges of the cluster in memory that are split, merged and moved. Groups know at once; the
//! catalog changes only when it is published.

use coterie_group::Body;
use coterie_protocol::catalog::{Row, RowKey};
use coterie_redis_compat::Changes;
use coterie_types::{GroupId, RangeDescriptor, RangeId};

use super::cluster::{Cluster, Group, group_row};

impl Cluster {
    /// Moves a range, as `after` says, to a group that is created if needed; the source keeps its
    /// memory of frames. Only the groups know; publish it to tell the proxy.
    pub(crate) fn move_range(&self, from: u64, after: RangeDescriptor) {
        let mut groups = self.groups.lock().unwrap();
        let source = groups.get_mut(&GroupId(from)).expect("the group exists");
        let store = source.store.clone();
        source.apply(Body::DropRanges(vec![after.range_id]));
        source
            .knows
            .retain(|known| known.range_id != after.range_id);
        source.knows.push(after.clone());
        let made = Group::new(after.group_id, Vec::new());
        let to = groups.entry(after.group_id).or_insert(made);
        let mut copied = Changes::default();
        let mut copy = |key, record| {
            let at = (after.bounds.table, key);
            copied.records.insert(at, Some(record));
            true
        };
        store
            .scan(&after.bounds, &mut copy)
            .expect("a map does not fail");
        to.store.view.apply(&copied);
        to.apply(Body::AddRanges(vec![after]));
    }

    /// Splits or merges ranges of a group: replaces `before` by `after`.
    pub(crate) fn reshape(&self, id: u64, before: &[u64], after: Vec<RangeDescriptor>) {
        self.group(id, |group| {
            let store = group.store.clone();
            let before = before.iter().map(|id| RangeId(*id)).collect();
            group.apply(Body::DropRanges(before));
            group.store = store;
            group.apply(Body::AddRanges(after));
        });
    }

    /// Removes a group from its nodes.
    pub(crate) fn remove_group(&self, id: u64) {
        self.groups.lock().unwrap().remove(&GroupId(id));
    }

    /// Changes the catalog: adds `ranges`, and removes the ranges `gone` and the group `group`.
    pub(crate) fn republish(&self, ranges: Vec<RangeDescriptor>, gone: &[u64], group: Option<u64>) {
        let gone = gone.iter().map(|id| RowKey::Range(RangeId(*id)));
        let group = group.map(|id| RowKey::Group(GroupId(id)));
        let mut upserts = Vec::new();
        for range in ranges {
            upserts.push(group_row(range.group_id.0));
            upserts.push(Row::Range(range));
        }
        self.change_rows(upserts, gone.chain(group).collect());
    }

    /// Replaces a group by others that own these ranges, with its data; only the groups know.
    pub(crate) fn hand_over(&self, from: u64, ranges: Vec<RangeDescriptor>) {
        let mut groups = self.groups.lock().unwrap();
        let old = groups.remove(&GroupId(from)).expect("the group exists");
        for range in &ranges {
            let id = range.group_id;
            let owned: Vec<_> = ranges
                .iter()
                .filter(|range| range.group_id == id)
                .cloned()
                .collect();
            let mut group = Group::new(id, owned);
            group.store = old.store.clone();
            group.knows.clone_from(&ranges);
            groups.insert(id, group);
        }
        if let std::collections::btree_map::Entry::Vacant(entry) = groups.entry(GroupId(from)) {
            let group = entry.insert(Group::new(GroupId(from), Vec::new()));
            group.knows = ranges;
        }
    }
}
