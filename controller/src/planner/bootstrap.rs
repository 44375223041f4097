//! A new cluster's first groups and ranges, once enough nodes have joined.
//!
//! Table 0 is split at the configured keys (the setting `bootstrap.split-at` in meta, or else
//! `--split-at`), and its ranges are dealt to the groups in turn. Without these keys it begins as a
//! single range: the distribution of keys over byte values cannot be guessed, and a wrong guess
//! costs every scan. The other databases are a range each, dealt in turn as well, so that every
//! group has something to do.

use bytes::Bytes;
use coterie_types::{Epoch, GroupId, KeyRange, RangeDescriptor, RangeId, TableId};

use super::placement::Placement;
use super::plan::{Action, GroupPlan, Plan};
use super::settings::Settings;
use crate::job::Step;
use crate::keys::parse_keys;
use crate::view::View;

/// The kind of job.
pub(super) const KIND: &str = "bootstrap";

/// The setting with the keys at which table 0 is split.
const SPLIT_AT: &str = "bootstrap.split-at";

pub(super) fn plan(view: &View, settings: &Settings, plan: &mut Plan) {
    let catalog = &view.catalog;
    let under_way = view
        .running_jobs()
        .any(|(_, step)| matches!(step, Step::MakeGroups(_)));
    if !catalog.groups.is_empty() || under_way || catalog.tables.is_empty() {
        return;
    }
    let mut placement = Placement::new(view, settings);
    let joined = placement.usable();
    if joined < settings.bootstrap_nodes {
        plan.refusals.push(format!(
            "bootstrap: {joined} of {} nodes are up",
            settings.bootstrap_nodes
        ));
        return;
    }
    let split_at = match split_keys(view, settings) {
        Ok(keys) => keys,
        Err(reason) => {
            plan.refusals
                .push(format!("bootstrap: {SPLIT_AT}: {reason}"));
            return;
        }
    };
    let mut groups: Vec<GroupPlan> = Vec::new();
    for _ in 0..settings.groups {
        let Some(voters) = placement.choose(settings.replicas) else {
            return;
        };
        groups.push(GroupPlan {
            voters,
            ranges: Vec::new(),
        });
    }
    let count = groups.len();
    for (index, bounds) in divide(TableId(0), &split_at).into_iter().enumerate() {
        groups[index % count].ranges.push(unnumbered(bounds));
    }
    for table in catalog.tables.keys().filter(|table| table.0 != 0) {
        let group = table.0 as usize % count;
        groups[group].ranges.push(unnumbered(KeyRange::all(*table)));
    }
    let reasons = vec![format!(
        "{joined} nodes are up, {} are asked for: {count} groups of {} replicas, table 0 in {} \
         range(s)",
        settings.bootstrap_nodes,
        settings.replicas,
        split_at.len() + 1
    )];
    plan.actions.push(Action::MakeGroups {
        kind: KIND,
        groups,
        reasons,
    });
}

/// The keys at which table 0 is split from the start.
pub(super) fn split_keys(view: &View, settings: &Settings) -> Result<Vec<Bytes>, String> {
    match view.catalog.settings.get(SPLIT_AT) {
        Some(text) => parse_keys(text.split(',')),
        None => Ok(settings.split_at.clone()),
    }
}

/// A range without ids. They are allocated when its job begins.
pub(super) fn unnumbered(bounds: KeyRange) -> RangeDescriptor {
    RangeDescriptor {
        range_id: RangeId(0),
        epoch: Epoch(1),
        bounds,
        group_id: GroupId(0),
    }
}

/// The bounds of a table's ranges that is split at these sorted keys.
pub(super) fn divide(table: TableId, split_at: &[Bytes]) -> Vec<KeyRange> {
    let starts = std::iter::once(Bytes::new()).chain(split_at.iter().cloned());
    let ends = split_at.iter().cloned().map(Some).chain([None]);
    starts
        .zip(ends)
        .map(|(start, end)| KeyRange { table, start, end })
        .collect()
}
