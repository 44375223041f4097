//! Moving a range to another group while it serves: ownership first, records after.
//!
//! The source's log decides. Until the source has handed the range off, the job may be given up.
//! That is a phase of its own, so that a controller that takes over does not go forward while
//! another turns back. After the hand-off the job only goes forward, and repeats each request until
//! it is carried out.
//!
//! If the table is dropped meanwhile, either group may own the range at that moment. The job has
//! both delete it: the source first, which then cannot hand it off any more.

use coterie_protocol::catalog::{JobDescriptor, Progress, Wish};
use coterie_protocol::meta::ControllerOp;
use coterie_protocol::server::{ImportState, ReplicaStatus, ServerAnswer, ServerRequest};
use coterie_types::{GroupId, RangeDescriptor, UnixMillis};
use tokio::time::Instant;

use super::cx::{Cx, Stop, Taken};
use super::dropped::{DROPPED, ask_to_drop};
use super::leader::Consulted;
use super::rate::Rate;
use super::tries::Tries;
use super::{jobs, map};
use crate::job::{self, MovePhase, MoveRange, Step};
use crate::ports::{Meta, Servers};

/// A move, with the memory of its attempts.
pub(super) struct Moving {
    step: MoveRange,
    tries: Tries,
    /// When the source was asked for the hand-off that took place.
    handed_off_at: Option<Instant>,
    rate: Rate,
}

impl Moving {
    pub(super) fn new(step: MoveRange) -> Self {
        Self {
            step,
            tries: Tries::default(),
            handed_off_at: None,
            rate: Rate::default(),
        }
    }

    /// The move in its next phase, which still knows when the hand-off was asked for.
    pub(super) fn next_phase(self, step: MoveRange) -> Self {
        Self {
            handed_off_at: self.handed_off_at,
            ..Self::new(step)
        }
    }

    pub(super) async fn take(
        &mut self,
        cx: &Cx<impl Meta, impl Servers>,
        job: &JobDescriptor,
    ) -> Result<Taken, Stop> {
        let is_dropped = map::is_dropped(&cx.catalog(), &self.step.range);
        match self.step.phase {
            MovePhase::Begin => self.begin(cx, job).await,
            MovePhase::Cancel => self.cancel(cx, job).await,
            _ if is_dropped => self.remove_both(cx).await,
            MovePhase::HandOff => self.hand_off(cx).await,
            MovePhase::Activate => self.activate_again(cx).await,
            MovePhase::Publish => self.publish(cx).await,
            MovePhase::Copy => self.watch_copy(cx, job).await,
            MovePhase::Drop => self.drop_frozen(cx, job).await,
        }
    }

    async fn begin(
        &mut self,
        cx: &Cx<impl Meta, impl Servers>,
        job: &JobDescriptor,
    ) -> Result<Taken, Stop> {
        let (range, to) = (&self.step.range, self.step.to);
        if to == self.source() {
            let range_id = range.range_id;
            return Ok(Taken::GiveUp(format!(
                "range {range_id} is in group {to} already"
            )));
        }
        let catalog = cx.catalog();
        if let Some(not_yet) = jobs::after_another(&catalog, job, &[range.range_id])
            .or_else(|| jobs::while_removed(&catalog, job, &[to, self.source()]))
        {
            return Ok(not_yet);
        }
        if let Some(reason) = map::why_changed(&catalog, range) {
            return Ok(self.turn_back(&reason));
        }
        if !catalog.groups.contains_key(&to) {
            return Ok(self.turn_back(&format!("there is no group {to}")));
        }
        Ok(match self.announce(cx).await? {
            Consulted::Answered(_, ServerAnswer::Ok) => self.next(MovePhase::HandOff),
            Consulted::Refused(reason) if !self.tries.may_be_refused() => self.turn_back(&reason),
            other => Taken::Wait(other.into_reason()),
        })
    }

    async fn announce(&self, cx: &Cx<impl Meta, impl Servers>) -> Result<Consulted, Stop> {
        let request = ServerRequest::BeginImport {
            group_id: self.step.to,
            range: self.after(),
            source: self.source(),
            fence: cx.fence,
        };
        cx.consult_group(self.step.to, &request).await
    }

    /// Asks the source for the hand-off, and then at once the destination to serve, if the source's
    /// leader has not done that. Before, the destination has to answer: between the hand-off and
    /// its activation no group serves the range.
    async fn hand_off(&mut self, cx: &Cx<impl Meta, impl Servers>) -> Result<Taken, Stop> {
        match self.announce(cx).await? {
            Consulted::Answered(_, ServerAnswer::Ok) => {}
            other => return Ok(Taken::Wait(other.into_reason())),
        }
        let asked_at = Instant::now();
        match self.ask_to_hand_off(cx).await? {
            Consulted::Answered(
                _,
                ServerAnswer::HandedOff {
                    clock,
                    activated,
                    pause_micros,
                },
            ) => {
                self.handed_off_at = Some(asked_at);
                if activated {
                    return Ok(self.serves(pause_micros));
                }
                Ok(match self.activate(cx, clock).await? {
                    Ok(()) => self.serves(None),
                    Err(_) => self.next(MovePhase::Activate),
                })
            }
            Consulted::Refused(reason) => self.hand_off_refused(cx, reason).await,
            other => Ok(Taken::Wait(other.into_reason())),
        }
    }

    async fn ask_to_hand_off(&self, cx: &Cx<impl Meta, impl Servers>) -> Result<Consulted, Stop> {
        let request = ServerRequest::HandOff {
            group_id: self.source(),
            range: self.after(),
            fence: cx.fence,
        };
        cx.consult_group(self.source(), &request).await
    }

    /// A proposed entry whose outcome is unknown may still be applied. Only if the source no longer
    /// has the range as it was is a hand-off impossible: epochs do not go back.
    async fn hand_off_refused(
        &self,
        cx: &Cx<impl Meta, impl Servers>,
        reason: String,
    ) -> Result<Taken, Stop> {
        Ok(match cx.leader_status(self.source()).await? {
            Ok((_, status)) if !self.is_open(&status) => self.turn_back(&reason),
            Ok(_) => Taken::Wait(reason),
            Err(unheard) => Taken::Wait(format!("{reason}; {unheard}")),
        })
    }

    /// Asks the source again: only the source knows the clock of the hand-off.
    async fn activate_again(&self, cx: &Cx<impl Meta, impl Servers>) -> Result<Taken, Stop> {
        Ok(match self.ask_to_hand_off(cx).await? {
            Consulted::Answered(
                _,
                ServerAnswer::HandedOff {
                    activated,
                    clock,
                    pause_micros,
                },
            ) => {
                if activated {
                    return Ok(self.serves(pause_micros));
                }
                match self.activate(cx, clock).await? {
                    Ok(()) => self.serves(None),
                    Err(reason) => Taken::Wait(reason),
                }
            }
            other => Taken::Wait(other.into_reason()),
        })
    }

    async fn activate(
        &self,
        cx: &Cx<impl Meta, impl Servers>,
        clock: UnixMillis,
    ) -> Result<Result<(), String>, Stop> {
        let after = self.after();
        let request = ServerRequest::Activate {
            group_id: self.step.to,
            range_id: after.range_id,
            epoch: after.epoch,
            clock,
        };
        let mut consulted = cx.consult_group(self.step.to, &request).await?;
        if let Consulted::Refused(_) = &consulted
            && let Consulted::Answered(_, ServerAnswer::Ok) = self.announce(cx).await?
        {
            // Another job may have cancelled the import. After the hand-off there is no way back.
            consulted = cx.consult_group(self.step.to, &request).await?;
        }
        Ok(match consulted {
            Consulted::Answered(_, ServerAnswer::Ok) => Ok(()),
            other => Err(other.into_reason()),
        })
    }

    /// The destination serves. `pause_micros` is how long no group served the range, by the clock
    /// of the source's leader. Without it the log says how long ago that leader was asked, at most.
    fn serves(&self, pause_micros: Option<u64>) -> Taken {
        let (range_id, to) = (self.step.range.range_id, self.step.to);
        let publish = self.step(MovePhase::Publish);
        let pause = match (pause_micros, self.handed_off_at) {
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

    async fn publish(&self, cx: &Cx<impl Meta, impl Servers>) -> Result<Taken, Stop> {
        let after = self.after();
        match cx.change(vec![ControllerOp::PutRange(after.clone())]).await {
            Ok(_) => Ok(self.next(MovePhase::Copy)),
            Err(Stop::Refused(_)) if map::is_known(&cx.catalog(), &after) => {
                Ok(self.next(MovePhase::Copy))
            }
            Err(Stop::Refused(rejection)) => Ok(Taken::Wait(format!("meta: {rejection}"))),
            Err(stop) => Err(stop),
        }
    }

    async fn watch_copy(
        &mut self,
        cx: &Cx<impl Meta, impl Servers>,
        job: &JobDescriptor,
    ) -> Result<Taken, Stop> {
        let state = match self.import_state(cx).await? {
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
                    bytes_per_second: self.rate.at(bytes),
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
                Ok(Taken::Copied(self.step(MovePhase::Drop), progress))
            }
            ImportState::Unknown | ImportState::Waiting => self.after_import(cx, state).await,
        }
    }

    /// A destination that owns the range and no longer imports it has finished the import, and
    /// forgotten it.
    async fn after_import(
        &self,
        cx: &Cx<impl Meta, impl Servers>,
        state: ImportState,
    ) -> Result<Taken, Stop> {
        let (to, after) = (self.step.to, self.after());
        let has_all = |status: &ReplicaStatus| {
            let mut owned = status.ranges.iter();
            owned.any(|owned| owned.range_id == after.range_id && owned.epoch >= after.epoch)
                && !status.importing.contains(&after.range_id)
        };
        Ok(match cx.leader_status(to).await? {
            Ok((_, status)) if has_all(&status) => self.next(MovePhase::Drop),
            Ok(_) => Taken::Wait(format!("group {to} reports the copy as {state:?}")),
            Err(reason) => Taken::Wait(reason),
        })
    }

    async fn import_state(
        &self,
        cx: &Cx<impl Meta, impl Servers>,
    ) -> Result<Result<ImportState, String>, Stop> {
        let after = self.after();
        let request = ServerRequest::ImportState {
            group_id: self.step.to,
            range_id: after.range_id,
            epoch: after.epoch,
        };
        Ok(match cx.consult_group(self.step.to, &request).await? {
            Consulted::Answered(_, ServerAnswer::Import(state)) => Ok(state),
            other => Err(other.into_reason()),
        })
    }

    async fn drop_frozen(
        &self,
        cx: &Cx<impl Meta, impl Servers>,
        job: &JobDescriptor,
    ) -> Result<Taken, Stop> {
        if let Err(reason) = self.ask_to_drop_frozen(cx).await? {
            return Ok(Taken::Wait(reason));
        }
        let line = format!(
            "range {} is in group {}",
            self.step.range.range_id, self.step.to
        );
        Ok(match &job.wish {
            // The range was moved to its neighbour, and is now merged with it.
            Some(wish @ Wish::Merge { .. }) => Taken::Turn(Step::Wish(wish.clone()), line),
            _ => Taken::Done(line),
        })
    }

    async fn ask_to_drop_frozen(
        &self,
        cx: &Cx<impl Meta, impl Servers>,
    ) -> Result<Result<(), String>, Stop> {
        let (source, after) = (self.source(), self.after());
        if !cx.catalog().groups.contains_key(&source) {
            // The group is removed, with its copy.
            return Ok(Ok(()));
        }
        let request = ServerRequest::DropFrozen {
            group_id: source,
            range_id: after.range_id,
            epoch: after.epoch,
            fence: cx.fence,
        };
        cx.ask_group(source, &request).await
    }

    /// The source has not handed the range off, and will not.
    async fn cancel(
        &self,
        cx: &Cx<impl Meta, impl Servers>,
        job: &JobDescriptor,
    ) -> Result<Taken, Stop> {
        if let Err(not_yet) = self.cancel_import(cx).await? {
            return Ok(Taken::Wait(not_yet));
        }
        let reason = job::why_turned_back(job);
        Ok(match map::why_changed(&cx.catalog(), &self.step.range) {
            Some(_) => jobs::reconsider(job, reason),
            None => Taken::GiveUp(reason),
        })
    }

    /// Has the destination forget the range, unless it serves it.
    async fn cancel_import(
        &self,
        cx: &Cx<impl Meta, impl Servers>,
    ) -> Result<Result<(), String>, Stop> {
        let (to, after) = (self.step.to, self.after());
        if !cx.catalog().groups.contains_key(&to) {
            return Ok(Ok(()));
        }
        let request = ServerRequest::CancelImport {
            group_id: to,
            range_id: after.range_id,
            epoch: after.epoch,
            fence: cx.fence,
        };
        let Err(reason) = cx.ask_group(to, &request).await? else {
            return Ok(Ok(()));
        };
        Ok(match self.import_state(cx).await? {
            Ok(ImportState::Waiting) => Err(reason),
            // The destination serves the range, by another job of the same move.
            Ok(_) => Ok(()),
            Err(unheard) => Err(format!("{reason}; {unheard}")),
        })
    }

    /// The table is dropped: both groups delete their records of the range.
    async fn remove_both(&self, cx: &Cx<impl Meta, impl Servers>) -> Result<Taken, Stop> {
        let ranges = vec![self.step.range.range_id];
        let catalog = cx.catalog();
        for group_id in [self.source(), self.step.to] {
            if !catalog.groups.contains_key(&group_id) {
                continue;
            }
            if group_id == self.step.to
                && let Err(reason) = self.cancel_import(cx).await?
            {
                return Ok(Taken::Wait(reason));
            }
            if let Err(reason) = ask_to_drop(cx, group_id, ranges.clone()).await? {
                return Ok(Taken::Wait(reason));
            }
        }
        Ok(match self.ask_to_drop_frozen(cx).await? {
            Ok(()) => Taken::Done(DROPPED.to_owned()),
            Err(reason) => Taken::Wait(reason),
        })
    }

    fn source(&self) -> GroupId {
        self.step.range.group_id
    }

    /// The range after the move.
    fn after(&self) -> RangeDescriptor {
        let range = &self.step.range;
        RangeDescriptor {
            epoch: range.epoch.next(),
            group_id: self.step.to,
            ..range.clone()
        }
    }

    /// Whether the source still has the range, or has handed it off to this destination.
    fn is_open(&self, status: &ReplicaStatus) -> bool {
        let after = self.after();
        let is_ours = |frozen: &RangeDescriptor| {
            frozen.range_id == after.range_id
                && frozen.epoch == after.epoch
                && frozen.group_id == after.group_id
        };
        status.ranges.contains(&self.step.range) || status.frozen.iter().any(is_ours)
    }

    fn next(&self, phase: MovePhase) -> Taken {
        Taken::Next(self.step(phase))
    }

    fn turn_back(&self, reason: &str) -> Taken {
        Taken::Turn(self.step(MovePhase::Cancel), job::turned_back(reason))
    }

    fn step(&self, phase: MovePhase) -> Step {
        Step::MoveRange(MoveRange {
            phase,
            ..self.step.clone()
        })
    }
}
