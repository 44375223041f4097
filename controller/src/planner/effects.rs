//! Whether a split or a move for load helped.
//!
//! When such a job begins, its row gets the rate of its range's commands and their latency. Some
//! time after the job, and after the moves that a split was for, both are measured again. The job
//! helped if there are more commands per second, or as many in less time. An action that did not
//! help is not repeated for its ranges within an hour, unless their commands have doubled. Before
//! the effect is known the ranges get no other action for load. Everything is in the jobs' rows, so
//! another controller knows it, and `prune` bounds it.

use std::time::Duration;

use coterie_protocol::catalog::{Effect, Traffic};
use coterie_types::RangeId;

use super::draft::Draft;
use super::facts::{Facts, Range};
use super::memory::Memory;
use super::plan::Action;
use super::tried::Deed;

/// How long a job must have been over, with no other job of its ranges, before it is judged:
/// several times the window in which servers count.
const SETTLED_AFTER: Duration = Duration::from_secs(15);

/// The current traffic of a range, if its leader knows the latency.
pub(super) fn traffic(range: &Range<'_>) -> Option<Traffic> {
    let latency_micros = range.cost?.latency_micros;
    (latency_micros > 0).then(|| Traffic {
        ops: range.ops(),
        latency_micros,
    })
}

/// The reason against an action for the load of the range. `None` if it is allowed.
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

/// Judges the jobs that have been over for long enough.
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

/// Whether there are a tenth more commands, or nearly as many in four fifths of the time. Loads
/// vary by less.
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
    let verdict = if helped {
        "it helped"
    } else {
        "it did not help, and is not repeated within an hour unless the load doubles"
    };
    let (before, after) = (of(before), of(after));
    format!("{before} before, {after} afterwards: {verdict}")
}

/// Commands per second of the ranges that exist.
fn asked(facts: &Facts<'_>, ranges: &[RangeId]) -> u64 {
    let there = ranges.iter().filter_map(|id| facts.range(*id));
    there.map(Range::ops).sum()
}

/// The traffic of the ranges that exist. `None` while it is unknown for any of them.
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
