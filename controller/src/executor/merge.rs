//! Merging two neighbouring ranges of a group: an entry of the group's log, then meta's map.

use coterie_protocol::catalog::JobDescriptor;
use coterie_protocol::meta::ControllerOp;
use coterie_protocol::server::{ReplicaStatus, ServerRequest};
use coterie_types::{KeyRange, RangeDescriptor};

use super::change_own::change_own;
use super::cx::{Cx, Stop, Taken};
use super::tries::Tries;
use super::{dropped, jobs, map};
use crate::job::{MergePhase, MergeRanges, Step};
use crate::ports::{Meta, Servers};

/// A merge, with the memory of its attempts.
pub(super) struct Merging {
    step: MergeRanges,
    tries: Tries,
}

impl Merging {
    pub(super) fn new(step: MergeRanges) -> Self {
        Self {
            step,
            tries: Tries::default(),
        }
    }

    pub(super) async fn take(
        &mut self,
        cx: &Cx<impl Meta, impl Servers>,
        job: &JobDescriptor,
    ) -> Result<Taken, Stop> {
        let MergeRanges { phase, left, right } = &self.step;
        if map::is_dropped(&cx.catalog(), left) {
            let ranges = vec![left.range_id, right.range_id];
            return dropped::remove(cx, left.group_id, ranges).await;
        }
        match phase {
            MergePhase::Merge => self.ask_to_merge(cx, job).await,
            MergePhase::Publish => self.publish(cx).await,
        }
    }

    async fn ask_to_merge(
        &mut self,
        cx: &Cx<impl Meta, impl Servers>,
        job: &JobDescriptor,
    ) -> Result<Taken, Stop> {
        let MergeRanges { left, right, .. } = &self.step;
        let are_neighbours = left.bounds.table == right.bounds.table
            && left.bounds.end.as_ref() == Some(&right.bounds.start);
        let (left_id, right_id) = (left.range_id, right.range_id);
        if !are_neighbours || left.group_id != right.group_id {
            return Ok(Taken::GiveUp(format!(
                "ranges {left_id} and {right_id} are not neighbours in one group"
            )));
        }
        let catalog = cx.catalog();
        if let Some(not_yet) = jobs::after_another(&catalog, job, &[left_id, right_id]) {
            return Ok(not_yet);
        }
        let merged = merged(left, right);
        let changed = |range| map::why_changed(&catalog, range);
        if let Some(reason) = changed(left).or_else(|| changed(right)) {
            return Ok(if map::has_published(&catalog, &[merged]) {
                Taken::Done(format!(
                    "range {left_id} is merged with range {right_id} already"
                ))
            } else {
                jobs::reconsider(job, reason)
            });
        }
        let request = ServerRequest::MergeRanges {
            group_id: left.group_id,
            left: left.clone(),
            right: right.clone(),
            fence: cx.fence,
        };
        let publish = Step::MergeRanges(MergeRanges {
            phase: MergePhase::Publish,
            left: left.clone(),
            right: right.clone(),
        });
        let has_merged = |status: &ReplicaStatus| status.ranges.contains(&merged);
        change_own(cx, left, &request, publish, has_merged, &mut self.tries).await
    }

    async fn publish(&self, cx: &Cx<impl Meta, impl Servers>) -> Result<Taken, Stop> {
        let MergeRanges { left, right, .. } = &self.step;
        let merged = merged(left, right);
        let line = format!(
            "range {} is merged with range {}",
            left.range_id, right.range_id
        );
        let ops = vec![
            ControllerOp::PutRange(merged.clone()),
            ControllerOp::DeleteRange(right.range_id),
        ];
        Ok(match cx.change(ops).await {
            Ok(_) => Taken::Done(line),
            // Meta took an earlier attempt, which deleted the right range.
            Err(Stop::Refused(_)) if map::is_known(&cx.catalog(), &merged) => Taken::Done(line),
            Err(Stop::Refused(rejection)) => Taken::Wait(format!("meta: {rejection}")),
            Err(stop) => return Err(stop),
        })
    }
}

/// The range that the two become.
fn merged(left: &RangeDescriptor, right: &RangeDescriptor) -> RangeDescriptor {
    RangeDescriptor {
        range_id: left.range_id,
        epoch: left.epoch.max(right.epoch).next(),
        bounds: KeyRange {
            table: left.bounds.table,
            start: left.bounds.start.clone(),
            end: right.bounds.end.clone(),
        },
        group_id: left.group_id,
    }
}
