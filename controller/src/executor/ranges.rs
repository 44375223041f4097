//! Adding the ranges of a new table to a group, and deleting the ranges of a dropped table.
//!
//! The group's log decides what the group owns, and meta's map follows. A range is published once
//! its group serves it, and forgotten once its group has deleted the records. If a table is dropped
//! before its ranges are published, no map has them, so the job that adds them deletes them again.

use coterie_protocol::meta::ControllerOp;
use coterie_protocol::server::ServerRequest;

use super::cx::{Cx, Stop, Taken};
use super::dropped::{DROPPED, ask_to_drop};
use super::map;
use crate::job::{AddPhase, AddRanges, DropRanges, Step};
use crate::ports::{Meta, Servers};

impl AddRanges {
    pub(super) async fn take(&self, cx: &Cx<impl Meta, impl Servers>) -> Result<Taken, Stop> {
        let catalog = cx.catalog();
        let is_dropped = |range| map::is_dropped(&catalog, range);
        if self.ranges.iter().any(is_dropped) {
            let ids = self.ranges.iter().map(|range| range.range_id).collect();
            return Ok(match ask_to_drop(cx, self.group_id, ids).await? {
                Ok(()) => Taken::Done(DROPPED.to_owned()),
                Err(reason) => Taken::Wait(reason),
            });
        }
        match self.phase {
            AddPhase::Add => self.add(cx).await,
            AddPhase::Publish => self.publish(cx).await,
        }
    }

    async fn add(&self, cx: &Cx<impl Meta, impl Servers>) -> Result<Taken, Stop> {
        let request = ServerRequest::AddRanges {
            group_id: self.group_id,
            ranges: self.ranges.clone(),
            fence: cx.fence,
        };
        Ok(match cx.ask_group(self.group_id, &request).await? {
            Ok(()) => Taken::Next(Step::AddRanges(Self {
                phase: AddPhase::Publish,
                ..self.clone()
            })),
            Err(reason) => Taken::Wait(reason),
        })
    }

    async fn publish(&self, cx: &Cx<impl Meta, impl Servers>) -> Result<Taken, Stop> {
        let ops = self.ranges.iter().cloned().map(ControllerOp::PutRange);
        match cx.change(ops.collect()).await {
            Ok(_) => Ok(Taken::Done(format!(
                "group {} serves {} range(s) more",
                self.group_id,
                self.ranges.len()
            ))),
            Err(Stop::Refused(rejection)) => Ok(Taken::Wait(format!("meta: {rejection}"))),
            Err(stop) => Err(stop),
        }
    }
}

impl DropRanges {
    pub(super) async fn take(&self, cx: &Cx<impl Meta, impl Servers>) -> Result<Taken, Stop> {
        let (group_id, ranges) = (self.group_id, self.ranges.clone());
        if let Err(reason) = ask_to_drop(cx, group_id, ranges).await? {
            return Ok(Taken::Wait(reason));
        }
        let ops = self.ranges.iter().copied().map(ControllerOp::ForgetDropped);
        cx.change(ops.collect()).await?;
        Ok(Taken::Done(format!(
            "group {group_id} has removed {} range(s)",
            self.ranges.len()
        )))
    }
}
