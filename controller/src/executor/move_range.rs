//! Moving a range to another group while it serves: ownership first, data after.
//!
//! The log of the source decides. Until it has given the range up the job may be given up, which is
//! a phase of its own: whoever takes over must not go forward while another takes back. From then
//! on there is only forward, and everything asked is asked again until it is done.
//!
//! When the table is dropped meanwhile, nobody knows for a moment which of the two owns the range.
//! The job sees to both: the source first, which then cannot hand it off any more.

use coterie_protocol::catalog::{JobDescriptor, Progress};
use coterie_protocol::meta::ControllerOp;
use coterie_protocol::server::{ImportState, ReplicaStatus, ServerAnswer, ServerRequest};
use coterie_types::{GroupId, RangeDescriptor, UnixMillis};
use tokio::time::Instant;

use super::jobs::reconsider;
use super::leader::Consulted;
use super::ranges::DROPPED;
use super::{ASK_TIMEOUT, Executor, Recall, Stop, Taken};
use crate::job::{self, MovePhase, MoveRange, Step};
use crate::ports::{Meta, Servers};

/// The parameters of [`Step::MoveRange`].
#[derive(Clone, Copy)]
pub(super) struct Moving<'a> {
    pub(super) range: &'a RangeDescriptor,
    pub(super) to: GroupId,
}

impl Moving<'_> {
    fn source(self) -> GroupId {
        self.range.group_id
    }

    /// The range as it is to be.
    fn after(self) -> RangeDescriptor {
        RangeDescriptor {
            epoch: self.range.epoch.next(),
            group_id: self.to,
            ..self.range.clone()
        }
    }

    fn step(self, phase: MovePhase) -> Step {
        Step::MoveRange(MoveRange {
            phase,
            range: self.range.clone(),
            to: self.to,
        })
    }

    fn next(self, phase: MovePhase) -> Taken {
        Taken::Next(self.step(phase))
    }

    fn cancel(self, reason: &str) -> Taken {
        Taken::Turn(self.step(MovePhase::Cancel), job::turned_back(reason))
    }

    /// Whether the source still has the range, or has handed it to this destination.
    fn is_open(self, status: &ReplicaStatus) -> bool {
        let after = self.after();
        let is_ours = |frozen: &RangeDescriptor| {
            frozen.range_id == after.range_id
                && frozen.epoch == after.epoch
                && frozen.group_id == after.group_id
        };
        status.ranges.contains(self.range) || status.frozen.iter().any(is_ours)
    }
}

impl<M: Meta, S: Servers> Executor<M, S> {
    pub(super) async fn move_range(
        &self,
        phase: MovePhase,
        moving: Moving<'_>,
        job: &JobDescriptor,
        recall: &mut Recall,
    ) -> Result<Taken, Stop> {
        match phase {
            MovePhase::Begin => self.begin_move(moving, job, recall).await,
            MovePhase::Cancel => self.cancel_move(moving, job).await,
            _ if self.is_dropped(moving.range) => self.remove_both(moving).await,
            MovePhase::HandOff => self.hand_off(moving, recall).await,
            MovePhase::Activate => self.activate_again(moving, recall).await,
            MovePhase::Publish => self.publish_move(moving).await,
            MovePhase::Copy => self.watch_copy(moving, job, recall).await,
            MovePhase::Drop => self.drop_frozen(moving, job).await,
        }
    }

    async fn begin_move(
        &self,
        moving: Moving<'_>,
        job: &JobDescriptor,
        recall: &mut Recall,
    ) -> Result<Taken, Stop> {
        let Moving { range, to } = moving;
        if to == moving.source() {
            let range_id = range.range_id;
            return Ok(Taken::GiveUp(format!(
                "range {range_id} is in group {to} already"
            )));
        }
        if let Some(not_yet) = self
            .after_another(job, &[range.range_id])
            .or_else(|| self.while_removed(job, &[to, moving.source()]))
        {
            return Ok(not_yet);
        }
        if let Some(reason) = self.why_changed(range) {
            return Ok(moving.cancel(&reason));
        }
        if !self.meta.catalog().groups.contains_key(&to) {
            return Ok(moving.cancel(&format!("there is no group {to}")));
        }
        Ok(match self.announce(moving).await? {
            Consulted::Answered(_, ServerAnswer::Ok) => moving.next(MovePhase::HandOff),
            Consulted::Refused(reason) if !recall.may_be_refused() => moving.cancel(&reason),
            other => Taken::Wait(told(other)),
        })
    }

    async fn announce(&self, moving: Moving<'_>) -> Result<Consulted, Stop> {
        let request = ServerRequest::BeginImport {
            group_id: moving.to,
            range: moving.after(),
            source: moving.source(),
            fence: self.fence,
        };
        self.consult_group(moving.to, &request).await
    }

    /// Asks the source, and at once the destination, if its leader has not done that. First it must
    /// be heard of the destination that it is there: nobody serves the range until it does.
    async fn hand_off(&self, moving: Moving<'_>, recall: &mut Recall) -> Result<Taken, Stop> {
        match self.announce(moving).await? {
            Consulted::Answered(_, ServerAnswer::Ok) => {}
            other => return Ok(Taken::Wait(told(other))),
        }
        let asked_at = Instant::now();
        match self.ask_to_hand_off(moving).await? {
            Consulted::Answered(
                _,
                ServerAnswer::HandedOff {
                    clock,
                    activated,
                    pause_micros,
                },
            ) => {
                recall.handed_off_at = Some(asked_at);
                if activated {
                    return Ok(serves(moving, pause_micros, recall));
                }
                Ok(match self.activate(moving, clock).await? {
                    Ok(()) => serves(moving, None, recall),
                    Err(_) => moving.next(MovePhase::Activate),
                })
            }
            Consulted::Refused(reason) => self.hand_off_refused(moving, reason).await,
            other => Ok(Taken::Wait(told(other))),
        }
    }

    async fn ask_to_hand_off(&self, moving: Moving<'_>) -> Result<Consulted, Stop> {
        let request = ServerRequest::HandOff {
            group_id: moving.source(),
            range: moving.after(),
            fence: self.fence,
        };
        self.consult_group(moving.source(), &request).await
    }

    /// An entry whose fate is unknown may be applied yet. Only a source that has the range no more
    /// as it was will surely not hand it off: epochs do not go back.
    async fn hand_off_refused(&self, moving: Moving<'_>, reason: String) -> Result<Taken, Stop> {
        Ok(match self.leader_status(moving.source()).await? {
            Ok((_, status)) if !moving.is_open(&status) => moving.cancel(&reason),
            Ok(_) => Taken::Wait(reason),
            Err(unheard) => Taken::Wait(format!("{reason}; {unheard}")),
        })
    }

    /// The source is asked again, as it knows the clock.
    async fn activate_again(&self, moving: Moving<'_>, recall: &Recall) -> Result<Taken, Stop> {
        Ok(match self.ask_to_hand_off(moving).await? {
            Consulted::Answered(
                _,
                ServerAnswer::HandedOff {
                    activated,
                    clock,
                    pause_micros,
                },
            ) => {
                if activated {
                    return Ok(serves(moving, pause_micros, recall));
                }
                match self.activate(moving, clock).await? {
                    Ok(()) => serves(moving, None, recall),
                    Err(reason) => Taken::Wait(reason),
                }
            }
            other => Taken::Wait(told(other)),
        })
    }

    async fn activate(
        &self,
        moving: Moving<'_>,
        clock: UnixMillis,
    ) -> Result<Result<(), String>, Stop> {
        let after = moving.after();
        let request = ServerRequest::Activate {
            group_id: moving.to,
            range_id: after.range_id,
            epoch: after.epoch,
            clock,
        };
        let mut consulted = self.consult_group(moving.to, &request).await?;
        if let Consulted::Refused(_) = &consulted
            && let Consulted::Answered(_, ServerAnswer::Ok) = self.announce(moving).await?
        {
            // Another job's cancelling may have come in between; there is no way back any more.
            consulted = self.consult_group(moving.to, &request).await?;
        }
        Ok(match consulted {
            Consulted::Answered(_, ServerAnswer::Ok) => Ok(()),
            other => Err(told(other)),
        })
    }

    async fn publish_move(&self, moving: Moving<'_>) -> Result<Taken, Stop> {
        let after = moving.after();
        match self
            .change(vec![ControllerOp::PutRange(after.clone())])
            .await
        {
            Ok(_) => Ok(moving.next(MovePhase::Copy)),
            Err(Stop::Refused(_)) if self.is_known(&after) => Ok(moving.next(MovePhase::Copy)),
            Err(Stop::Refused(rejection)) => Ok(Taken::Wait(format!("meta: {rejection}"))),
            Err(stop) => Err(stop),
        }
    }

    async fn watch_copy(
        &self,
        moving: Moving<'_>,
        job: &JobDescriptor,
        recall: &mut Recall,
    ) -> Result<Taken, Stop> {
        let state = match self.import_state(moving).await? {
            Ok(state) => state,
            Err(reason) => return Ok(Taken::Wait(reason)),
        };
        match state {
            ImportState::Copying {
                bytes,
                bytes_total,
                problem,
                ..
            } => {
                let progress = Progress {
                    bytes,
                    bytes_total,
                    bytes_per_second: recall.rate(bytes),
                };
                Ok(Taken::Copying(progress, problem))
            }
            ImportState::Finished { bytes } => {
                let seen = job.progress.unwrap_or_default();
                let bytes = if bytes == 0 { seen.bytes } else { bytes };
                let progress = Progress {
                    bytes,
                    bytes_total: bytes,
                    ..seen
                };
                Ok(Taken::Copied(moving.step(MovePhase::Drop), progress))
            }
            ImportState::Unknown | ImportState::Waiting => self.after_import(moving, state).await,
        }
    }

    /// A destination that owns the range and imports it no more has finished, and forgotten it.
    async fn after_import(&self, moving: Moving<'_>, state: ImportState) -> Result<Taken, Stop> {
        let Moving { range, to } = moving;
        let (range_id, epoch) = (range.range_id, moving.after().epoch);
        let has_all = |status: &ReplicaStatus| {
            let mut owned = status.ranges.iter();
            owned.any(|owned| owned.range_id == range_id && owned.epoch >= epoch)
                && !status.importing.contains(&range_id)
        };
        Ok(match self.leader_status(to).await? {
            Ok((_, status)) if has_all(&status) => moving.next(MovePhase::Drop),
            Ok(_) => Taken::Wait(format!("group {to} says of the copy: {state:?}")),
            Err(reason) => Taken::Wait(reason),
        })
    }

    async fn import_state(&self, moving: Moving<'_>) -> Result<Result<ImportState, String>, Stop> {
        let after = moving.after();
        let request = ServerRequest::ImportState {
            group_id: moving.to,
            range_id: after.range_id,
            epoch: after.epoch,
        };
        Ok(match self.consult_group(moving.to, &request).await? {
            Consulted::Answered(_, ServerAnswer::Import(state)) => Ok(state),
            other => Err(told(other)),
        })
    }

    async fn drop_frozen(&self, moving: Moving<'_>, job: &JobDescriptor) -> Result<Taken, Stop> {
        let Moving { range, to } = moving;
        if let Err(reason) = self.ask_to_drop_frozen(moving).await? {
            return Ok(Taken::Wait(reason));
        }
        let line = format!("range {} is in group {to}", range.range_id);
        Ok(match &job.wish {
            // It was moved to its neighbour, to become one with it.
            Some(wish @ coterie_protocol::catalog::Wish::Merge { .. }) => {
                Taken::Turn(Step::Wish(wish.clone()), line)
            }
            _ => Taken::Done(line),
        })
    }

    async fn ask_to_drop_frozen(&self, moving: Moving<'_>) -> Result<Result<(), String>, Stop> {
        let (source, after) = (moving.source(), moving.after());
        if !self.meta.catalog().groups.contains_key(&source) {
            // Removed with all it held.
            return Ok(Ok(()));
        }
        let request = ServerRequest::DropFrozen {
            group_id: source,
            range_id: after.range_id,
            epoch: after.epoch,
            fence: self.fence,
        };
        self.ask_leader(source, self.members(source), &request, ASK_TIMEOUT)
            .await
    }

    /// Nothing was handed off, and nothing will be.
    async fn cancel_move(&self, moving: Moving<'_>, job: &JobDescriptor) -> Result<Taken, Stop> {
        if let Err(not_yet) = self.cancel_import(moving).await? {
            return Ok(Taken::Wait(not_yet));
        }
        let reason = job::why_turned_back(job);
        Ok(match self.why_changed(moving.range) {
            Some(_) => reconsider(job, reason),
            None => Taken::GiveUp(reason),
        })
    }

    /// Has the destination forget the range, unless it serves it.
    async fn cancel_import(&self, moving: Moving<'_>) -> Result<Result<(), String>, Stop> {
        let (to, after) = (moving.to, moving.after());
        if !self.meta.catalog().groups.contains_key(&to) {
            return Ok(Ok(()));
        }
        let request = ServerRequest::CancelImport {
            group_id: to,
            range_id: after.range_id,
            epoch: after.epoch,
            fence: self.fence,
        };
        let asked = self.ask_leader(to, self.members(to), &request, ASK_TIMEOUT);
        let Err(reason) = asked.await? else {
            return Ok(Ok(()));
        };
        Ok(match self.import_state(moving).await? {
            Ok(ImportState::Waiting) => Err(reason),
            // It serves: by another job, of which this one is a copy.
            Ok(_) => Ok(()),
            Err(unheard) => Err(format!("{reason}; {unheard}")),
        })
    }

    /// The table is gone, and with it what either group has of the range.
    async fn remove_both(&self, moving: Moving<'_>) -> Result<Taken, Stop> {
        let ranges = vec![moving.range.range_id];
        let catalog = self.meta.catalog();
        for group_id in [moving.source(), moving.to] {
            if !catalog.groups.contains_key(&group_id) {
                continue;
            }
            if group_id == moving.to
                && let Err(reason) = self.cancel_import(moving).await?
            {
                return Ok(Taken::Wait(reason));
            }
            if let Err(reason) = self.ask_to_drop(group_id, ranges.clone()).await? {
                return Ok(Taken::Wait(reason));
            }
        }
        Ok(match self.ask_to_drop_frozen(moving).await? {
            Ok(()) => Taken::Done(DROPPED.to_owned()),
            Err(reason) => Taken::Wait(reason),
        })
    }

    async fn consult_group(
        &self,
        group_id: GroupId,
        request: &ServerRequest,
    ) -> Result<Consulted, Stop> {
        let members = self.members(group_id);
        self.consult(group_id, members, request, ASK_TIMEOUT).await
    }
}

/// The destination serves. `pause_micros` is how long nobody served the range, as the source's
/// leader saw it; without it, at most the time since that leader was asked.
fn serves(moving: Moving<'_>, pause_micros: Option<u64>, recall: &Recall) -> Taken {
    let (range_id, to) = (moving.range.range_id, moving.to);
    let publish = moving.step(MovePhase::Publish);
    let pause = match (pause_micros, recall.handed_off_at) {
        (Some(micros), _) => format!("its writes paused for {:.1} ms", micros as f64 / 1000.0),
        (None, Some(asked_at)) => {
            let elapsed_ms = asked_at.elapsed().as_millis();
            format!("its writes paused for {elapsed_ms} ms at most")
        }
        (None, None) => return Taken::Next(publish),
    };
    let line = format!("group {to} serves range {range_id}; {pause}");
    Taken::Turn(publish, line)
}

/// What came of asking, for a job's log.
fn told(consulted: Consulted) -> String {
    match consulted {
        Consulted::Answered(node_id, answer) => format!("node {node_id}: {answer:?}"),
        Consulted::Refused(reason) | Consulted::Unheard(reason) => reason,
    }
}
