//! Assembles a catalog from the servers' knowledge. Pure.
//!
//! The newest copy of the catalog is the base. Groups are the truth about their members and ranges,
//! so their reports override it, those of ranges if they tile every table. A range that is just
//! handed off has no owner. Then the ranges of the copy stand, and meta follows the groups later,
//! as after any restore.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use coterie_protocol::catalog::{Catalog, Change, Row, RowKey, TableDescriptor};
use coterie_protocol::server::ReplicaStatus;
use coterie_types::{GroupDescriptor, GroupId, NodeId, RangeDescriptor, RangeId, TableId};

use super::heard::Heard;
use crate::check::tiles::misfits;

/// The assembled catalog.
#[derive(Debug)]
pub(super) struct Assembled {
    pub(super) catalog: Catalog,
    /// The registration token of each known node.
    pub(super) tokens: BTreeMap<u128, NodeId>,
    /// Notes for the operator.
    pub(super) notes: Vec<String>,
}

pub(super) fn assemble(heard: &BTreeMap<NodeId, Heard>) -> anyhow::Result<Assembled> {
    let witnesses = || heard.values().map(|heard| &heard.witness);
    let newest = witnesses().max_by_key(|witness| witness.catalog.revision);
    let newest = newest.context("no server answered")?;
    let cluster_id = newest.cluster_id;
    for witness in witnesses() {
        ensure!(
            witness.cluster_id == cluster_id && witness.catalog.cluster_id == cluster_id,
            "node {} is of cluster {:032x}, node {} of {cluster_id:032x}, or one has no copy of the \
             catalog",
            witness.node_id,
            witness.cluster_id,
            newest.node_id
        );
    }
    let mut catalog = newest.catalog.clone();
    let mut notes = Vec::new();
    let words = words(heard);
    let mut upserts = members(&words);
    match ranges(&catalog, &words, &mut notes) {
        Some(owned) => {
            let kept: BTreeSet<RangeId> = owned.iter().map(|range| range.range_id).collect();
            let gone = catalog.ranges.keys().filter(|id| !kept.contains(id));
            let deletes = gone.map(|id| RowKey::Range(*id)).collect();
            upserts.extend(new_tables(&catalog, &owned, &mut notes));
            upserts.extend(owned.into_iter().map(Row::Range));
            apply(&mut catalog, deletes, upserts);
        }
        None => apply(&mut catalog, Vec::new(), upserts),
    }
    let known = witnesses().filter(|witness| catalog.nodes.contains_key(&witness.node_id));
    let tokens = known
        .map(|witness| (witness.token, witness.node_id))
        .collect();
    Ok(Assembled {
        catalog,
        tokens,
        notes,
    })
}

fn apply(catalog: &mut Catalog, deletes: Vec<RowKey>, upserts: Vec<Row>) {
    let revision = catalog.revision.next();
    catalog.apply(&Change {
        revision,
        deletes,
        upserts,
    });
}

/// Each group's report by its leader; if several replicas claim to lead, by that of the latest
/// term.
fn words(heard: &BTreeMap<NodeId, Heard>) -> BTreeMap<GroupId, &ReplicaStatus> {
    let mut words: BTreeMap<GroupId, &ReplicaStatus> = BTreeMap::new();
    let replicas = heard.values().flat_map(|heard| &heard.replicas);
    for status in replicas.filter(|status| status.serving) {
        let word = words.entry(status.group_id).or_insert(status);
        if word.term < status.term {
            *word = status;
        }
    }
    words
}

fn members(words: &BTreeMap<GroupId, &ReplicaStatus>) -> Vec<Row> {
    let row = |(group_id, word): (&GroupId, &&ReplicaStatus)| {
        Row::Group(GroupDescriptor {
            group_id: *group_id,
            replicas: word.replicas.clone(),
        })
    };
    words.iter().map(row).collect()
}

/// The ranges that the groups own, if they tile every table.
fn ranges(
    catalog: &Catalog,
    words: &BTreeMap<GroupId, &ReplicaStatus>,
    notes: &mut Vec<String>,
) -> Option<Vec<RangeDescriptor>> {
    let silent = catalog.groups.keys().find(|id| !words.contains_key(id));
    if let Some(silent) = silent {
        notes.push(format!(
            "group {silent} has no leader: ranges are as the copy of revision {} has them",
            catalog.revision.0
        ));
        return None;
    }
    let is_dropped = |range: &&RangeDescriptor| !catalog.dropped.contains_key(&range.range_id);
    let owned = words.values().flat_map(|word| &word.ranges);
    let owned: Vec<RangeDescriptor> = owned.filter(is_dropped).cloned().collect();
    let named: Vec<_> = owned.iter().map(|r| (&r.bounds, r.range_id)).collect();
    let mapped = catalog.ranges.values().chain(&owned);
    let tables: BTreeSet<TableId> = mapped.map(|range| range.bounds.table).collect();
    if let Some(table) = tables
        .iter()
        .find(|table| !misfits(**table, &named).is_empty())
    {
        notes.push(format!(
            "a range of table {table} is just changing hands: ranges are as the copy of revision {} \
             has them",
            catalog.revision.0
        ));
        return None;
    }
    Some(owned)
}

/// Tables that a group has ranges of and no copy knows: their names are lost.
fn new_tables(catalog: &Catalog, owned: &[RangeDescriptor], notes: &mut Vec<String>) -> Vec<Row> {
    let tables: BTreeSet<TableId> = owned.iter().map(|range| range.bounds.table).collect();
    let unknown = tables
        .into_iter()
        .filter(|id| !catalog.tables.contains_key(id));
    let row = |table_id: TableId| {
        let name = format!("recovered-{table_id}");
        notes.push(format!(
            "the name of table {table_id} is lost: it is now {name}"
        ));
        Row::Table(TableDescriptor {
            table_id,
            name,
            split_at: Vec::new(),
        })
    };
    unknown.map(row).collect()
}
