//! Ranges that come with a new table and go with a dropped one.
//!
//! The group's log says what it owns, and meta's map comes after it: a range is published once its
//! group serves it, and forgotten once its group has removed the records. A table that is dropped
//! before its ranges were published is in no map, so the job that was adding them takes them back.

use coterie_protocol::meta::ControllerOp;
use coterie_protocol::server::{ReplicaStatus, ServerAnswer, ServerRequest};
use coterie_types::{GroupId, RangeDescriptor, RangeId};

use tokio::time::Instant;

use super::leader::Consulted;
use super::{ASK_TIMEOUT, Executor, Recall, Stop, Taken};
use crate::job::{AddPhase, AddRanges, Step};
use crate::ports::{Meta, Servers};

/// How a job ends whose table is gone.
pub(super) const DROPPED: &str = "the table was dropped meanwhile";

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
                Ok(()) => Taken::Done(DROPPED.to_owned()),
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
            Ok(()) => Taken::Next(Step::AddRanges(AddRanges {
                phase: AddPhase::Publish,
                group_id,
                ranges: ranges.to_vec(),
            })),
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

    pub(super) async fn ask_to_drop(
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

    /// Whether the range's table is gone: what its groups hold of it is to be removed.
    pub(super) fn is_dropped(&self, range: &RangeDescriptor) -> bool {
        let catalog = self.meta.catalog();
        !catalog.tables.contains_key(&range.bounds.table)
    }

    /// Ends a job about ranges of a table that was dropped: their group removes them, and refuses
    /// from then on whatever else was asked of it. What meta wants removed besides, the planner
    /// sees to.
    pub(super) async fn remove_dropped(
        &self,
        group_id: GroupId,
        ranges: Vec<RangeId>,
    ) -> Result<Taken, Stop> {
        if !self.meta.catalog().groups.contains_key(&group_id) {
            return Ok(Taken::Done(DROPPED.to_owned()));
        }
        Ok(match self.ask_to_drop(group_id, ranges).await? {
            Ok(()) => Taken::Done(DROPPED.to_owned()),
            Err(reason) => Taken::Wait(reason),
        })
    }

    /// How the map differs from what a job began with, if it does.
    pub(super) fn why_changed(&self, range: &RangeDescriptor) -> Option<String> {
        let (range_id, epoch) = (range.range_id, range.epoch);
        let catalog = self.meta.catalog();
        match catalog.ranges.get(&range_id) {
            Some(now) if now == range => None,
            Some(now) => Some(format!(
                "range {range_id} is at epoch {} in group {}, not at epoch {epoch} in group {}",
                now.epoch, now.group_id, range.group_id
            )),
            None => Some(format!("there is no range {range_id} any more")),
        }
    }

    /// Whether the map has these ranges as they are here.
    pub(super) fn has_published(&self, ranges: &[RangeDescriptor]) -> bool {
        let catalog = self.meta.catalog();
        let mut ranges = ranges.iter();
        ranges.all(|range| catalog.ranges.get(&range.range_id) == Some(range))
    }

    /// Whether the map has this range as it is here, or newer.
    pub(super) fn is_known(&self, range: &RangeDescriptor) -> bool {
        let catalog = self.meta.catalog();
        let known = catalog.ranges.get(&range.range_id);
        known.is_some_and(|known| known.epoch >= range.epoch)
    }

    /// Asks a group to change its own ranges. When it says no, what its leader has applied tells
    /// whether it was done before, will not be done, or may be the next time.
    pub(super) async fn change_own(
        &self,
        range: &RangeDescriptor,
        request: &ServerRequest,
        publish: Step,
        is_done: impl Fn(&ReplicaStatus) -> bool,
        recall: &mut Recall,
    ) -> Result<Taken, Stop> {
        let group_id = range.group_id;
        let members = self.members(group_id);
        let asked_at = Instant::now();
        let refusal = match self
            .consult(group_id, members, request, ASK_TIMEOUT)
            .await?
        {
            Consulted::Answered(_, ServerAnswer::Ok) => {
                let elapsed_ms = asked_at.elapsed().as_millis();
                let line = format!(
                    "group {group_id} has changed range {}; its writes paused for {elapsed_ms} ms at most",
                    range.range_id
                );
                return Ok(Taken::Turn(publish, line));
            }
            Consulted::Answered(node_id, other) => {
                return Ok(Taken::Wait(format!("node {node_id}: {other:?}")));
            }
            Consulted::Unheard(reason) => return Ok(Taken::Wait(reason)),
            Consulted::Refused(reason) => reason,
        };
        Ok(match self.leader_status(group_id).await? {
            Err(reason) => Taken::Wait(reason),
            Ok((_, status)) if is_done(&status) => Taken::Next(publish),
            Ok((_, status)) if status.ranges.contains(range) && recall.may_be_refused() => {
                Taken::Wait(refusal)
            }
            Ok(_) => Taken::GiveUp(refusal),
        })
    }
}
