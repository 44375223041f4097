//! An operator's wish, turned into steps by the newest catalog.
//!
//! While another job is about the same range or group, the wish waits, and its log names that job.
//! A wish that cannot be fulfilled is given up, and its log gives the operator the reason.

use bytes::Bytes;
use coterie_protocol::catalog::{Catalog, JobDescriptor, Wish};
use coterie_types::{GroupId, NodeId, RangeDescriptor, Replica, TableId};

use super::cx::{Cx, Stop, Taken};
use super::jobs::while_busy;
use super::lost::lost_for_good;
use crate::job::{
    MakeGroups, MakePhase, MergePhase, MergeRanges, MovePhase, MoveRange, NewGroup, Recover,
    RecoverPhase, ReplacePhase, ReplaceReplica, SplitPhase, SplitRange, Step, shown,
};
use crate::planner::{place_group, place_replica};
use crate::ports::{Meta, Servers};

pub(super) async fn take(
    wish: &Wish,
    cx: &Cx<impl Meta, impl Servers>,
    job: &JobDescriptor,
) -> Result<Taken, Stop> {
    match wish {
        Wish::Split { table, at } => split(cx, *table, at, job).await,
        Wish::Merge { table, key } => Ok(merge(&cx.catalog(), *table, key, job)),
        Wish::Move { table, key, to } => move_range(cx, *table, key, *to, job).await,
        Wish::Replace { group_id, node_id } => replace(cx, *group_id, *node_id, job).await,
        Wish::Recover { group_id, node_id } => recover(cx, *group_id, *node_id).await,
    }
}

async fn split(
    cx: &Cx<impl Meta, impl Servers>,
    table: TableId,
    at: &Bytes,
    job: &JobDescriptor,
) -> Result<Taken, Stop> {
    let catalog = cx.catalog();
    let range = match located(&catalog, table, at) {
        Ok(range) => range,
        Err(reason) => return Ok(Taken::GiveUp(reason)),
    };
    let range_id = range.range_id;
    if range.bounds.start == *at {
        return Ok(Taken::GiveUp(format!(
            "\"{}\" is the first key of range {range_id} already",
            shown(at)
        )));
    }
    if let Some(not_yet) = while_busy(&catalog, job, &[range_id], &[range.group_id]) {
        return Ok(not_yet);
    }
    let ids = cx.allocate(0, 1, 0).await?;
    Ok(Taken::Next(Step::SplitRange(SplitRange {
        phase: SplitPhase::Split,
        range,
        at: Some(at.clone()),
        right_id: ids.range,
    })))
}

fn merge(catalog: &Catalog, table: TableId, key: &Bytes, job: &JobDescriptor) -> Taken {
    let left = match located(catalog, table, key) {
        Ok(left) => left,
        Err(reason) => return Taken::GiveUp(reason),
    };
    let Some(end) = &left.bounds.end else {
        return Taken::GiveUp(format!("range {} is the last of its table", left.range_id));
    };
    let right = match located(catalog, table, end) {
        Ok(right) => right,
        Err(reason) => return Taken::GiveUp(reason),
    };
    let ranges = [left.range_id, right.range_id];
    let groups = [left.group_id, right.group_id];
    if let Some(not_yet) = while_busy(catalog, job, &ranges, &groups) {
        return not_yet;
    }
    if left.group_id == right.group_id {
        return Taken::Next(Step::MergeRanges(MergeRanges {
            phase: MergePhase::Merge,
            left,
            right,
        }));
    }
    // After the move both ranges are in one group, and the wish is taken again.
    Taken::Next(Step::MoveRange(MoveRange {
        phase: MovePhase::Begin,
        range: right,
        to: left.group_id,
    }))
}

async fn move_range(
    cx: &Cx<impl Meta, impl Servers>,
    table: TableId,
    key: &Bytes,
    to: Option<GroupId>,
    job: &JobDescriptor,
) -> Result<Taken, Stop> {
    let catalog = cx.catalog();
    let range = match located(&catalog, table, key) {
        Ok(range) => range,
        Err(reason) => return Ok(Taken::GiveUp(reason)),
    };
    let (range_id, source) = (range.range_id, range.group_id);
    if to == Some(source) {
        return Ok(Taken::GiveUp(format!(
            "range {range_id} is in group {source} already"
        )));
    }
    if let Some(to) = to
        && !catalog.groups.contains_key(&to)
    {
        return Ok(Taken::GiveUp(format!("there is no group {to}")));
    }
    let groups = [source, to.unwrap_or(source)];
    if let Some(not_yet) = while_busy(&catalog, job, &[range_id], &groups) {
        return Ok(not_yet);
    }
    match to {
        Some(to) => Ok(Taken::Next(Step::MoveRange(MoveRange {
            phase: MovePhase::Begin,
            range,
            to,
        }))),
        None => new_group_for(cx, range).await,
    }
}

async fn new_group_for(
    cx: &Cx<impl Meta, impl Servers>,
    range: RangeDescriptor,
) -> Result<Taken, Stop> {
    let view = cx.view().await?;
    let Some(voters) = place_group(&view, &cx.settings) else {
        return Ok(Taken::GiveUp(format!(
            "fewer than {} nodes are up",
            cx.settings.replicas
        )));
    };
    let ids = cx.allocate(1, 0, 0).await?;
    Ok(Taken::Next(Step::MakeGroups(MakeGroups {
        phase: MakePhase::Create,
        groups: vec![NewGroup {
            group_id: ids.group,
            voters,
            ranges: Vec::new(),
        }],
        then_move: Some(range),
    })))
}

async fn replace(
    cx: &Cx<impl Meta, impl Servers>,
    group_id: GroupId,
    node_id: NodeId,
    job: &JobDescriptor,
) -> Result<Taken, Stop> {
    let catalog = cx.catalog();
    let Some(group) = catalog.groups.get(&group_id) else {
        return Ok(Taken::GiveUp(format!("there is no group {group_id}")));
    };
    let mut replicas = group.replicas.iter().copied();
    let Some(old) = replicas.find(|replica| replica.node_id == node_id) else {
        return Ok(Taken::GiveUp(format!(
            "node {node_id} has no replica of group {group_id}"
        )));
    };
    if let Some(not_yet) = while_busy(&catalog, job, &[], &[group_id]) {
        return Ok(not_yet);
    }
    let view = cx.view().await?;
    let to = match place_replica(&view, &cx.settings, group, node_id) {
        Ok(to) => to,
        Err(reason) => return Ok(Taken::GiveUp(reason)),
    };
    let others = group.replicas.iter().filter(|r| r.node_id != node_id);
    let mut replicas: Vec<Replica> = others.copied().collect();
    replicas.push(Replica { node_id: to, ..old });
    replicas.sort();
    Ok(Taken::Next(Step::ReplaceReplica(ReplaceReplica {
        phase: ReplacePhase::Create,
        group_id,
        from: node_id,
        to,
        replicas,
    })))
}

/// Does not wait for other jobs about the group: they wait for a leader.
async fn recover(
    cx: &Cx<impl Meta, impl Servers>,
    group_id: GroupId,
    node_id: NodeId,
) -> Result<Taken, Stop> {
    let (view, timeout) = (cx.view().await?, cx.settings.liveness_timeout);
    if view.listening_for < timeout {
        let reason = "meta's leader is new: it does not know yet which nodes are up";
        return Ok(Taken::Wait(reason.to_owned()));
    }
    Ok(match lost_for_good(&view, timeout, group_id, node_id) {
        Ok(lost) => Taken::Next(Step::Recover(Recover {
            phase: RecoverPhase::Lose,
            group_id,
            node_id,
            lost,
        })),
        Err(reason) => Taken::GiveUp(reason),
    })
}

/// The range that holds a key, by the newest map.
fn located(catalog: &Catalog, table: TableId, key: &[u8]) -> Result<RangeDescriptor, String> {
    if !catalog.tables.contains_key(&table) {
        return Err(format!("there is no table {table}"));
    }
    let range = catalog.locate(table, key).cloned();
    range.ok_or_else(|| format!("table {table} has no ranges yet"))
}
