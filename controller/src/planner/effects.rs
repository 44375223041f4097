//! Whether a split or a move for load helped.
//!
//! The job of each keeps the number of its range's commands, and their latency, when it was begun.
//! Some time after it is done, and after the moves that a split was for, both are measured again:
//! it helped when there are more commands per second, or as many in less time. An action that did
//! not help is not repeated for these ranges within an hour, unless their commands have doubled by
//! then; and nothing is done to them for load before the effect is known. All of it is in the jobs'
//! rows, so another controller knows it, and `prune` bounds it.

use std::time::Duration;

use coterie_protocol::catalog::{Effect, JobDescriptor, JobState, Traffic};
use coterie_types::{JobId, RangeId};

use super::draft::Draft;
use super::facts::{Facts, Range, is_recent};
use super::{Action, Memory};
use crate::job::{MoveRange, SplitRange, Step};
use crate::view::View;

/// How long a job must have been over, and nothing done to its ranges, before it is judged: several
/// of the windows of time in which servers count.
const SETTLED_AFTER: Duration = Duration::from_secs(15);

/// How long an action that did not help is not repeated.
const REMEMBERED_FOR: Duration = Duration::from_secs(3600);

/// An action for load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// A range is split.
    Cut,
    /// A range is moved to another group.
    Move,
}

/// An action that is over, and still counts.
pub(super) struct Tried {
    pub(super) job_id: JobId,
    deed: Deed,
    /// The range, or the two parts of it.
    pub(super) ranges: Vec<RangeId>,
    effect: Effect,
}

impl Tried {
    /// The action of a job, if it is yet to be judged, or did not help.
    pub(super) fn by(view: &View, job: &JobDescriptor, step: &Step) -> Option<Self> {
        let effect = job.effect.filter(|_| job.state == JobState::Done)?;
        if effect.after.is_some() && !is_remembered(view, job) {
            return None;
        }
        let (deed, ranges) = match step {
            Step::SplitRange(SplitRange {
                range, right_id, ..
            }) => (Deed::Cut, vec![range.range_id, *right_id]),
            Step::MoveRange(MoveRange { range, .. }) => (Deed::Move, vec![range.range_id]),
            _ => return None,
        };
        Some(Self {
            job_id: job.job_id,
            deed,
            ranges,
            effect,
        })
    }

    pub(super) fn is_judged(&self) -> bool {
        self.effect.after.is_some()
    }

    /// Whether it speaks against this action: a split alone gains nothing, so it does not speak
    /// against the moves of its parts.
    fn is_against(&self, deed: Deed) -> bool {
        deed == Deed::Cut || self.deed == Deed::Move
    }
}

/// Whether the job did not help, and still counts.
pub(super) fn is_remembered(view: &View, job: &JobDescriptor) -> bool {
    let is_useless = |effect: &Effect| effect.after.is_some() && !effect.helped;
    job.effect.as_ref().is_some_and(is_useless) && is_recent(view, job, REMEMBERED_FOR)
}

/// The present traffic of a range, if its leader knows the latency.
pub(super) fn traffic(range: &Range<'_>) -> Option<Traffic> {
    let latency_micros = range.cost?.latency_micros;
    (latency_micros > 0).then(|| Traffic {
        ops: range.ops(),
        latency_micros,
    })
}

/// The reason against an action for the load of the range, if there is any.
pub(super) fn why_not(facts: &Facts<'_>, range: &Range<'_>, deed: Deed) -> Option<String> {
    let tried = facts.tried_on(range.row.range_id);
    let mut against = tried.filter(|tried| tried.is_against(deed));
    against.find_map(|tried| {
        let job_id = tried.job_id;
        let Some(after) = tried.effect.after else {
            return Some(format!("whether job {job_id} helped is not known yet"));
        };
        let ops = asked(facts, &tried.ranges);
        (ops < 2 * after.ops).then(|| {
            format!(
                "job {job_id} did not help at {} commands/s, and there are not twice as many now",
                after.ops
            )
        })
    })
}

/// Judges the actions that have been over for long enough.
pub(super) fn plan(facts: &Facts<'_>, memory: &Memory, draft: &mut Draft<'_>) {
    for tried in facts.tried.iter().filter(|tried| !tried.is_judged()) {
        let settled_for = memory.settled_for(tried.job_id);
        let is_settled = settled_for.is_some_and(|lasts| lasts >= SETTLED_AFTER);
        let is_free = tried.ranges.iter().all(|id| draft.is_free_range(*id));
        if !is_settled || !is_free {
            continue;
        }
        let Some(after) = traffic_of(facts, &tried.ranges) else {
            continue;
        };
        let before = tried.effect.before;
        let helped = has_helped(before, after);
        draft.plan.actions.push(Action::Judge {
            job_id: tried.job_id,
            effect: Effect {
                before,
                after: Some(after),
                helped,
            },
            line: describe(before, after, helped),
        });
    }
}

/// A tenth more commands, or nearly as many a fifth sooner: loads vary by less.
fn has_helped(before: Traffic, after: Traffic) -> bool {
    let ops = |of: Traffic, times: u64| of.ops.saturating_mul(times);
    let is_more = ops(after, 10) >= ops(before, 11);
    let is_as_many = ops(after, 10) >= ops(before, 9);
    let is_sooner = after.latency_micros > 0
        && after.latency_micros.saturating_mul(10) <= before.latency_micros.saturating_mul(8);
    is_more || is_as_many && is_sooner
}

fn describe(before: Traffic, after: Traffic, helped: bool) -> String {
    let of = |traffic: Traffic| {
        let ms = traffic.latency_micros as f64 / 1000.0;
        format!("{} commands/s of {ms:.1} ms each", traffic.ops)
    };
    let verdict = match helped {
        true => "it helped",
        false => "it did not help, and is not repeated within an hour unless the load doubles",
    };
    let (before, after) = (of(before), of(after));
    format!("{before} before, {after} afterwards: {verdict}")
}

/// Commands per second of the ranges that exist.
fn asked(facts: &Facts<'_>, ranges: &[RangeId]) -> u64 {
    let there = ranges.iter().filter_map(|id| facts.range(*id));
    there.map(Range::ops).sum()
}

/// The traffic of the ranges that exist; `None` while it is unknown for any of them.
fn traffic_of(facts: &Facts<'_>, ranges: &[RangeId]) -> Option<Traffic> {
    let mut waited = 0u128;
    for range in ranges.iter().filter_map(|id| facts.range(*id)) {
        waited += u128::from(range.ops()) * u128::from(range.cost?.latency_micros);
    }
    let ops = asked(facts, ranges);
    let latency_micros = u64::try_from(waited / u128::from(ops.max(1))).unwrap_or(u64::MAX);
    Some(Traffic {
        ops,
        latency_micros,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(ops: u64, latency_micros: u64) -> Traffic {
        Traffic {
            ops,
            latency_micros,
        }
    }

    #[test]
    fn it_helped_when_there_are_more_commands_or_as_many_sooner() {
        let before = traffic(1000, 5000);
        for (after, helped) in [
            (traffic(1100, 6000), true),
            (traffic(1090, 5000), false),
            (traffic(1000, 4000), true),
            (traffic(1000, 4100), false),
            (traffic(890, 1000), false),
            (traffic(900, 0), false),
        ] {
            assert_eq!(has_helped(before, after), helped, "{after:?}");
        }
    }
}
