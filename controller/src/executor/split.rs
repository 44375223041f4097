//! Cutting a range in two: an entry of its group, then the map.
//!
//! Both parts stay where they are, so a map that does not know of it yet leads nobody astray. A
//! table that is dropped meanwhile has only the range before among what meta wants removed, so the
//! job removes both parts itself.

use std::time::Duration;

use bytes::Bytes;
use coterie_protocol::catalog::JobDescriptor;
use coterie_protocol::meta::ControllerOp;
use coterie_protocol::server::{ReplicaStatus, ServerAnswer, ServerRequest};
use coterie_types::{KeyRange, RangeDescriptor, RangeId};

use tokio::time::Instant;

use super::jobs::reconsider;
use super::leader::Consulted;
use super::{ASK_TIMEOUT, Executor, Recall, Stop, Taken};
use crate::job::{SplitPhase, SplitRange, Step, shown};
use crate::ports::{Meta, Servers};

/// From how long on the looking for a middle is a walk over all of a range that was in vain, on each
/// server that was asked: it is not asked for again at once.
const COSTLY: Duration = Duration::from_secs(2);

/// The parameters of [`Step::SplitRange`].
#[derive(Clone, Copy)]
pub(super) struct Splitting<'a> {
    pub(super) range: &'a RangeDescriptor,
    pub(super) at: Option<&'a Bytes>,
    pub(super) right_id: RangeId,
}

impl Splitting<'_> {
    fn step(self, phase: SplitPhase, at: &Bytes) -> Step {
        Step::SplitRange(SplitRange {
            phase,
            range: self.range.clone(),
            at: Some(at.clone()),
            right_id: self.right_id,
        })
    }

    /// The two parts.
    fn parts(self, at: &Bytes) -> [RangeDescriptor; 2] {
        let range = self.range;
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
            part(self.right_id, at.clone(), end),
        ]
    }
}

impl<M: Meta, S: Servers> Executor<M, S> {
    pub(super) async fn split_range(
        &self,
        phase: SplitPhase,
        splitting: Splitting<'_>,
        job: &JobDescriptor,
        recall: &mut Recall,
    ) -> Result<Taken, Stop> {
        let range = splitting.range;
        if self.is_dropped(range) {
            let ranges = vec![range.range_id, splitting.right_id];
            return self.remove_dropped(range.group_id, ranges).await;
        }
        match (phase, splitting.at) {
            (SplitPhase::Split, None) => self.find_middle(splitting, job).await,
            (SplitPhase::Split, Some(at)) => self.ask_to_split(splitting, at, job, recall).await,
            (SplitPhase::Publish, Some(at)) => self.publish_parts(splitting.parts(at)).await,
            (SplitPhase::Publish, None) => Ok(Taken::GiveUp("it was cut nowhere".to_owned())),
        }
    }

    async fn find_middle(
        &self,
        splitting: Splitting<'_>,
        job: &JobDescriptor,
    ) -> Result<Taken, Stop> {
        let range = splitting.range;
        let (group_id, range_id) = (range.group_id, range.range_id);
        if let Some(not_yet) = self.after_another(job, &[range_id]) {
            return Ok(not_yet);
        }
        if let Some(reason) = self.why_changed(range) {
            return Ok(reconsider(job, reason));
        }
        let request = ServerRequest::SplitPoint { group_id, range_id };
        let members = self.members(group_id);
        let asked_at = Instant::now();
        let consulted = self.consult(group_id, members, &request, ASK_TIMEOUT);
        let consulted = consulted.await?;
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
                splitting.step(SplitPhase::Split, &at),
                format!("{left_bytes} bytes on the left, {right_bytes} on the right"),
            ),
            Consulted::Answered(_, ServerAnswer::SplitPoint { at: None, .. }) => {
                Taken::GiveUp(format!("range {range_id} has fewer than two keys"))
            }
            Consulted::Answered(node_id, other) => {
                Taken::Wait(format!("node {node_id}: {other:?}"))
            }
            Consulted::Refused(reason) | Consulted::Unheard(reason) if elapsed >= COSTLY => {
                // The planner comes back to it, later each time, and the group is free meanwhile.
                let seconds = elapsed.as_secs();
                Taken::GiveUp(format!("nobody found its middle in {seconds} s: {reason}"))
            }
            Consulted::Refused(reason) | Consulted::Unheard(reason) => Taken::Wait(reason),
        })
    }

    async fn ask_to_split(
        &self,
        splitting: Splitting<'_>,
        at: &Bytes,
        job: &JobDescriptor,
        recall: &mut Recall,
    ) -> Result<Taken, Stop> {
        let Splitting {
            range, right_id, ..
        } = splitting;
        let (range_id, bounds) = (range.range_id, &range.bounds);
        if !bounds.contains(bounds.table, at) || *at == bounds.start {
            let at = shown(at);
            return Ok(Taken::GiveUp(format!(
                "\"{at}\" does not cut range {range_id}"
            )));
        }
        if let Some(not_yet) = self.after_another(job, &[range_id]) {
            return Ok(not_yet);
        }
        if let Some(reason) = self.why_changed(range) {
            let parts = splitting.parts(at);
            return Ok(if self.has_published(&parts) {
                Taken::Done(format!("range {range_id} is in two already"))
            } else {
                reconsider(job, reason)
            });
        }
        let request = ServerRequest::SplitRange {
            group_id: range.group_id,
            range: range.clone(),
            at: at.clone(),
            right_id,
            fence: self.fence,
        };
        let publish = splitting.step(SplitPhase::Publish, at);
        let has_split = |status: &ReplicaStatus| {
            let parts = splitting.parts(at);
            parts.iter().all(|part| status.ranges.contains(part))
        };
        self.change_own(range, &request, publish, has_split, recall)
            .await
    }

    async fn publish_parts(&self, parts: [RangeDescriptor; 2]) -> Result<Taken, Stop> {
        let line = format!(
            "ranges {} and {} of group {}",
            parts[0].range_id, parts[1].range_id, parts[0].group_id
        );
        let ops = parts.iter().cloned().map(ControllerOp::PutRange);
        Ok(match self.change(ops.collect()).await {
            Ok(_) => Taken::Done(line),
            Err(Stop::Refused(_)) if self.is_known(&parts[0]) => Taken::Done(line),
            Err(Stop::Refused(rejection)) => Taken::Wait(format!("meta: {rejection}")),
            Err(stop) => return Err(stop),
        })
    }
}
