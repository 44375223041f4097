//! What an operator wished for: looked up in the newest catalog, and made a step of.
//!
//! Nothing is begun while another job is about the same range or group: the wish waits, and says
//! for what. What cannot be is given up with the reason, which is what the operator reads.

use bytes::Bytes;
use coterie_protocol::catalog::{JobDescriptor, Wish};
use coterie_protocol::meta::{ControllerOp, Outcome};
use coterie_types::{GroupId, NodeId, RangeDescriptor, RangeId, Replica, TableId};

use super::{Executor, Stop, Taken, unexpected};
use crate::job::{
    MakeGroups, MakePhase, MergePhase, MergeRanges, MovePhase, MoveRange, NewGroup, ReplacePhase,
    ReplaceReplica, SplitPhase, SplitRange, Step, shown,
};
use crate::planner::{place_group, place_replica};
use crate::ports::{Meta, Servers};

impl<M: Meta, S: Servers> Executor<M, S> {
    pub(super) async fn wish(&self, wish: &Wish, job: &JobDescriptor) -> Result<Taken, Stop> {
        match wish {
            Wish::Split { table, at } => self.wish_split(*table, at, job).await,
            Wish::Merge { table, key } => Ok(self.wish_merge(*table, key, job)),
            Wish::Move { table, key, to } => self.wish_move(*table, key, *to, job).await,
            Wish::Replace { group_id, node_id } => {
                self.wish_replace(*group_id, *node_id, job).await
            }
            Wish::Recover { group_id, node_id } => self.wish_recover(*group_id, *node_id).await,
        }
    }

    async fn wish_split(
        &self,
        table: TableId,
        at: &Bytes,
        job: &JobDescriptor,
    ) -> Result<Taken, Stop> {
        let range = match self.located(table, at) {
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
        if let Some(not_yet) = self.while_busy(job, &[range_id], &[range.group_id]) {
            return Ok(not_yet);
        }
        let (_, right_id) = self.set_aside(0, 1).await?;
        Ok(Taken::Next(Step::SplitRange(SplitRange {
            phase: SplitPhase::Split,
            range,
            at: Some(at.clone()),
            right_id,
        })))
    }

    fn wish_merge(&self, table: TableId, key: &Bytes, job: &JobDescriptor) -> Taken {
        let left = match self.located(table, key) {
            Ok(left) => left,
            Err(reason) => return Taken::GiveUp(reason),
        };
        let Some(end) = &left.bounds.end else {
            return Taken::GiveUp(format!("range {} is the last of its table", left.range_id));
        };
        let right = match self.located(table, end) {
            Ok(right) => right,
            Err(reason) => return Taken::GiveUp(reason),
        };
        let ranges = [left.range_id, right.range_id];
        let groups = [left.group_id, right.group_id];
        if let Some(not_yet) = self.while_busy(job, &ranges, &groups) {
            return not_yet;
        }
        if left.group_id == right.group_id {
            return Taken::Next(Step::MergeRanges(MergeRanges {
                phase: MergePhase::Merge,
                left,
                right,
            }));
        }
        // The wish is looked at again once the two are in one group.
        Taken::Next(Step::MoveRange(MoveRange {
            phase: MovePhase::Begin,
            range: right,
            to: left.group_id,
        }))
    }

    async fn wish_move(
        &self,
        table: TableId,
        key: &Bytes,
        to: Option<GroupId>,
        job: &JobDescriptor,
    ) -> Result<Taken, Stop> {
        let range = match self.located(table, key) {
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
            && !self.meta.catalog().groups.contains_key(&to)
        {
            return Ok(Taken::GiveUp(format!("there is no group {to}")));
        }
        if let Some(not_yet) = self.while_busy(job, &[range_id], &[source, to.unwrap_or(source)]) {
            return Ok(not_yet);
        }
        match to {
            Some(to) => Ok(Taken::Next(Step::MoveRange(MoveRange {
                phase: MovePhase::Begin,
                range,
                to,
            }))),
            None => self.new_group_for(range).await,
        }
    }

    async fn new_group_for(&self, range: RangeDescriptor) -> Result<Taken, Stop> {
        let view = self.meta.view().await?;
        let Some(voters) = place_group(&view, &self.settings) else {
            return Ok(Taken::GiveUp(format!(
                "fewer than {} nodes are up",
                self.settings.replicas
            )));
        };
        let (group_id, _) = self.set_aside(1, 0).await?;
        Ok(Taken::Next(Step::MakeGroups(MakeGroups {
            phase: MakePhase::Create,
            groups: vec![NewGroup {
                group_id,
                voters,
                ranges: Vec::new(),
            }],
            then_move: Some(range),
        })))
    }

    async fn wish_replace(
        &self,
        group_id: GroupId,
        node_id: NodeId,
        job: &JobDescriptor,
    ) -> Result<Taken, Stop> {
        let Some(group) = self.meta.catalog().groups.get(&group_id).cloned() else {
            return Ok(Taken::GiveUp(format!("there is no group {group_id}")));
        };
        let Some(old) = group
            .replicas
            .iter()
            .find(|r| r.node_id == node_id)
            .copied()
        else {
            return Ok(Taken::GiveUp(format!(
                "node {node_id} has no replica of group {group_id}"
            )));
        };
        if let Some(not_yet) = self.while_busy(job, &[], &[group_id]) {
            return Ok(not_yet);
        }
        let view = self.meta.view().await?;
        let to = match place_replica(&view, &self.settings, &group, node_id) {
            Ok(to) => to,
            Err(reason) => return Ok(Taken::GiveUp(reason)),
        };
        let kept = group.replicas.iter().filter(|r| r.node_id != node_id);
        let mut replicas: Vec<Replica> = kept.copied().collect();
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

    /// The range that holds a key, as the map has it now.
    fn located(&self, table: TableId, key: &[u8]) -> Result<RangeDescriptor, String> {
        let catalog = self.meta.catalog();
        if !catalog.tables.contains_key(&table) {
            return Err(format!("there is no table {table}"));
        }
        let range = catalog.locate(table, key).cloned();
        range.ok_or_else(|| format!("table {table} has no ranges yet"))
    }

    /// The first of so many ids of groups and ranges that nobody else has.
    async fn set_aside(&self, groups: u64, ranges: u64) -> Result<(GroupId, RangeId), Stop> {
        let ops = vec![ControllerOp::AllocateIds {
            groups,
            ranges,
            jobs: 0,
        }];
        match self.change(ops).await? {
            Outcome::Ids { group, range, .. } => Ok((GroupId(group), RangeId(range))),
            other => Err(unexpected(&other)),
        }
    }
}
