//! Ranges that come with a new table and go with a dropped one.
//!
//! The group's log says what it owns, and meta's map comes after it: a range is published once its
//! group serves it, and forgotten once its group has removed the records. A table that is dropped
//! before its ranges were published is in no map, so the job that was adding them takes them back.

use coterie_protocol::meta::ControllerOp;
use coterie_protocol::server::ServerRequest;
use coterie_types::{GroupId, NodeId, RangeDescriptor, RangeId};

use super::{ASK_TIMEOUT, Executor, Stop, Taken};
use crate::job::{AddPhase, Step};
use crate::ports::{Meta, Servers};

impl<M: Meta, S: Servers> Executor<M, S> {
    pub(super) async fn add_ranges(
        &self,
        phase: AddPhase,
        group_id: GroupId,
        ranges: &[RangeDescriptor],
    ) -> Result<Taken, Stop> {
        let catalog = self.meta.catalog();
        let has_table = |range: &RangeDescriptor| catalog.tables.contains_key(&range.bounds.table);
        if !ranges.iter().all(has_table) {
            let ids = ranges.iter().map(|range| range.range_id).collect();
            return Ok(match self.ask_to_drop(group_id, ids).await? {
                Ok(()) => Taken::Done("the table was dropped meanwhile".to_owned()),
                Err(reason) => Taken::Wait(reason),
            });
        }
        match phase {
            AddPhase::Add => self.ask_to_add(group_id, ranges).await,
            AddPhase::Publish => {
                let ops = ranges.iter().cloned().map(ControllerOp::PutRange);
                match self.change(ops.collect()).await {
                    Ok(_) => Ok(Taken::Done(format!(
                        "group {group_id} serves {} range(s) more",
                        ranges.len()
                    ))),
                    Err(Stop::Refused(rejection)) => Ok(Taken::Wait(format!("meta: {rejection}"))),
                    Err(stop) => Err(stop),
                }
            }
        }
    }

    async fn ask_to_add(
        &self,
        group_id: GroupId,
        ranges: &[RangeDescriptor],
    ) -> Result<Taken, Stop> {
        let request = ServerRequest::AddRanges {
            group_id,
            ranges: ranges.to_vec(),
            fence: self.fence,
        };
        let asked = self.ask_leader(group_id, self.members(group_id), &request, ASK_TIMEOUT);
        Ok(match asked.await? {
            Ok(()) => Taken::Next(Step::AddRanges {
                phase: AddPhase::Publish,
                group_id,
                ranges: ranges.to_vec(),
            }),
            Err(reason) => Taken::Wait(reason),
        })
    }

    pub(super) async fn drop_ranges(
        &self,
        group_id: GroupId,
        ranges: &[RangeId],
    ) -> Result<Taken, Stop> {
        if let Err(reason) = self.ask_to_drop(group_id, ranges.to_vec()).await? {
            return Ok(Taken::Wait(reason));
        }
        let ops = ranges.iter().copied().map(ControllerOp::ForgetDropped);
        self.change(ops.collect()).await?;
        Ok(Taken::Done(format!(
            "group {group_id} has removed {} range(s)",
            ranges.len()
        )))
    }

    async fn ask_to_drop(
        &self,
        group_id: GroupId,
        ranges: Vec<RangeId>,
    ) -> Result<Result<(), String>, Stop> {
        let fence = self.fence;
        let request = ServerRequest::DropRanges {
            group_id,
            ranges,
            fence,
        };
        self.ask_leader(group_id, self.members(group_id), &request, ASK_TIMEOUT)
            .await
    }

    fn members(&self, group_id: GroupId) -> Vec<NodeId> {
        let catalog = self.meta.catalog();
        let group = catalog.groups.get(&group_id);
        group.map_or_else(Vec::new, |group| {
            group.replicas.iter().map(|r| r.node_id).collect()
        })
    }
}
