//! Splitting a range: an entry of its group's log, then meta's map.
//!
//! Both parts stay in the group, so routing by the old map still reaches the right group. If the
//! table is dropped meanwhile, meta's list of dropped ranges has only the range before the split,
//! so the job deletes both parts itself.

use std::time::Duration;

use bytes::Bytes;
use coterie_protocol::catalog::JobDescriptor;
use coterie_protocol::meta::ControllerOp;
use coterie_protocol::server::{ReplicaStatus, ServerAnswer, ServerRequest};
use coterie_types::{KeyRange, RangeDescriptor};
use tokio::time::Instant;

use super::change_own::change_own;
use super::cx::{Cx, Stop, Taken};
use super::leader::Consulted;
use super::tries::Tries;
use super::{dropped, jobs, map};
use crate::job::{SplitPhase, SplitRange, Step, shown};
use crate::ports::{Meta, Servers};

/// A failed search for the middle that took this long has walked the range on every server that was
/// asked. It is not repeated at once.
const COSTLY: Duration = Duration::from_secs(2);

/// A split, with the memory of its attempts.
pub(super) struct Splitting {
    step: SplitRange,
    tries: Tries,
}

impl Splitting {
    pub(super) fn new(step: SplitRange) -> Self {
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
        let range = &self.step.range;
        if map::is_dropped(&cx.catalog(), range) {
            let ranges = vec![range.range_id, self.step.right_id];
            return dropped::remove(cx, range.group_id, ranges).await;
        }
        match (self.step.phase, self.step.at.clone()) {
            (SplitPhase::Split, None) => self.find_middle(cx, job).await,
            (SplitPhase::Split, Some(at)) => self.ask_to_split(cx, &at, job).await,
            (SplitPhase::Publish, Some(at)) => self.publish(cx, self.parts(&at)).await,
            (SplitPhase::Publish, None) => {
                Ok(Taken::GiveUp("the job has no key to split at".to_owned()))
            }
        }
    }

    async fn find_middle(
        &self,
        cx: &Cx<impl Meta, impl Servers>,
        job: &JobDescriptor,
    ) -> Result<Taken, Stop> {
        let range = &self.step.range;
        let (group_id, range_id) = (range.group_id, range.range_id);
        let catalog = cx.catalog();
        if let Some(not_yet) = jobs::after_another(&catalog, job, &[range_id]) {
            return Ok(not_yet);
        }
        if let Some(reason) = map::why_changed(&catalog, range) {
            return Ok(jobs::reconsider(job, reason));
        }
        let request = ServerRequest::SplitPoint { group_id, range_id };
        let asked_at = Instant::now();
        let consulted = cx.consult_group(group_id, &request).await?;
        let elapsed = asked_at.elapsed();
        Ok(match consulted {
            Consulted::Answered(
                _,
                ServerAnswer::SplitPoint {
                    at: Some(at),
                    left_bytes,
                    right_bytes,
                },
            ) => Taken::Turn(
                self.step_at(SplitPhase::Split, &at),
                format!("{left_bytes} bytes on the left, {right_bytes} on the right"),
            ),
            Consulted::Answered(
                _,
                ServerAnswer::SplitPoint {
                    at: None,
                    left_bytes,
                    ..
                },
            ) => Taken::GiveUp(format!(
                "range {range_id} has fewer than two keys, and a key is never split: {left_bytes} \
                 bytes on disk stay in one range"
            )),
            Consulted::Refused(reason) | Consulted::Unheard(reason) if elapsed >= COSTLY => {
                // The planner tries again later, with growing pauses. Other jobs may use the group
                // meanwhile.
                let seconds = elapsed.as_secs();
                Taken::GiveUp(format!("nobody found its middle in {seconds} s: {reason}"))
            }
            other => Taken::Wait(other.into_reason()),
        })
    }

    async fn ask_to_split(
        &mut self,
        cx: &Cx<impl Meta, impl Servers>,
        at: &Bytes,
        job: &JobDescriptor,
    ) -> Result<Taken, Stop> {
        let range = &self.step.range;
        let (range_id, bounds) = (range.range_id, &range.bounds);
        if !bounds.contains(bounds.table, at) || *at == bounds.start {
            let at = shown(at);
            return Ok(Taken::GiveUp(format!(
                "\"{at}\" cannot split range {range_id}"
            )));
        }
        let catalog = cx.catalog();
        if let Some(not_yet) = jobs::after_another(&catalog, job, &[range_id]) {
            return Ok(not_yet);
        }
        let parts = self.parts(at);
        if let Some(reason) = map::why_changed(&catalog, range) {
            return Ok(if map::has_published(&catalog, &parts) {
                Taken::Done(format!("range {range_id} is split already"))
            } else {
                jobs::reconsider(job, reason)
            });
        }
        let request = ServerRequest::SplitRange {
            group_id: range.group_id,
            range: range.clone(),
            at: at.clone(),
            right_id: self.step.right_id,
            fence: cx.fence,
        };
        let publish = self.step_at(SplitPhase::Publish, at);
        let has_split =
            |status: &ReplicaStatus| parts.iter().all(|part| status.ranges.contains(part));
        change_own(cx, range, &request, publish, has_split, &mut self.tries).await
    }

    async fn publish(
        &self,
        cx: &Cx<impl Meta, impl Servers>,
        parts: [RangeDescriptor; 2],
    ) -> Result<Taken, Stop> {
        let line = format!(
            "ranges {} and {} of group {}",
            parts[0].range_id, parts[1].range_id, parts[0].group_id
        );
        let ops = parts.iter().cloned().map(ControllerOp::PutRange);
        Ok(match cx.change(ops.collect()).await {
            Ok(_) => Taken::Done(line),
            Err(Stop::Refused(_)) if map::is_known(&cx.catalog(), &parts[0]) => Taken::Done(line),
            Err(Stop::Refused(rejection)) => Taken::Wait(format!("meta: {rejection}")),
            Err(stop) => return Err(stop),
        })
    }

    fn step_at(&self, phase: SplitPhase, at: &Bytes) -> Step {
        Step::SplitRange(SplitRange {
            phase,
            at: Some(at.clone()),
            ..self.step.clone()
        })
    }

    /// The left and the right part.
    fn parts(&self, at: &Bytes) -> [RangeDescriptor; 2] {
        let range = &self.step.range;
        let (start, end) = (range.bounds.start.clone(), range.bounds.end.clone());
        let part = |range_id, start, end| RangeDescriptor {
            range_id,
            epoch: range.epoch.next(),
            bounds: KeyRange {
                table: range.bounds.table,
                start,
                end,
            },
            group_id: range.group_id,
        };
        [
            part(range.range_id, start, Some(at.clone())),
            part(self.step.right_id, at.clone(), end),
        ]
    }
}
