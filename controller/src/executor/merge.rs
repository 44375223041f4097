//! Making one range of two neighbours of one group: an entry of the group, then the map.

use coterie_protocol::catalog::JobDescriptor;
use coterie_protocol::meta::ControllerOp;
use coterie_protocol::server::{ReplicaStatus, ServerRequest};
use coterie_types::{KeyRange, RangeDescriptor};

use super::jobs::reconsider;
use super::{Executor, Recall, Stop, Taken};
use crate::job::{MergePhase, MergeRanges, Step};
use crate::ports::{Meta, Servers};

impl<M: Meta, S: Servers> Executor<M, S> {
    pub(super) async fn merge_ranges(
        &self,
        phase: MergePhase,
        (left, right): (&RangeDescriptor, &RangeDescriptor),
        job: &JobDescriptor,
        recall: &mut Recall,
    ) -> Result<Taken, Stop> {
        if self.is_dropped(left) {
            let ranges = vec![left.range_id, right.range_id];
            return self.remove_dropped(left.group_id, ranges).await;
        }
        match phase {
            MergePhase::Merge => self.ask_to_merge(left, right, job, recall).await,
            MergePhase::Publish => self.publish_union(left, right).await,
        }
    }

    async fn ask_to_merge(
        &self,
        left: &RangeDescriptor,
        right: &RangeDescriptor,
        job: &JobDescriptor,
        recall: &mut Recall,
    ) -> Result<Taken, Stop> {
        let are_neighbours = left.bounds.table == right.bounds.table
            && left.bounds.end.as_ref() == Some(&right.bounds.start);
        let (left_id, right_id) = (left.range_id, right.range_id);
        if !are_neighbours || left.group_id != right.group_id {
            return Ok(Taken::GiveUp(format!(
                "ranges {left_id} and {right_id} are not neighbours in one group"
            )));
        }
        if let Some(not_yet) = self.after_another(job, &[left_id, right_id]) {
            return Ok(not_yet);
        }
        let union = union(left, right);
        if let Some(reason) = self.why_changed(left).or_else(|| self.why_changed(right)) {
            return Ok(if self.has_published(&[union]) {
                Taken::Done(format!("range {left_id} is one already"))
            } else {
                reconsider(job, reason)
            });
        }
        let request = ServerRequest::MergeRanges {
            group_id: left.group_id,
            left: left.clone(),
            right: right.clone(),
            fence: self.fence,
        };
        let publish = Step::MergeRanges(MergeRanges {
            phase: MergePhase::Publish,
            left: left.clone(),
            right: right.clone(),
        });
        let has_merged = |status: &ReplicaStatus| status.ranges.contains(&union);
        self.change_own(left, &request, publish, has_merged, recall)
            .await
    }

    async fn publish_union(
        &self,
        left: &RangeDescriptor,
        right: &RangeDescriptor,
    ) -> Result<Taken, Stop> {
        let union = union(left, right);
        let line = format!(
            "range {} holds what range {} held",
            left.range_id, right.range_id
        );
        let ops = vec![
            ControllerOp::PutRange(union.clone()),
            ControllerOp::DeleteRange(right.range_id),
        ];
        Ok(match self.change(ops).await {
            Ok(_) => Taken::Done(line),
            // The right one is gone: an earlier attempt was heard.
            Err(Stop::Refused(_)) if self.is_known(&union) => Taken::Done(line),
            Err(Stop::Refused(rejection)) => Taken::Wait(format!("meta: {rejection}")),
            Err(stop) => return Err(stop),
        })
    }
}

/// What becomes of the two.
fn union(left: &RangeDescriptor, right: &RangeDescriptor) -> RangeDescriptor {
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
