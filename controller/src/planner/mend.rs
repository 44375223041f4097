//! Meta's map follows where it is behind a group's own log.
//!
//! The group's log is the truth about its ranges. Jobs publish their changes, but a job may be
//! given up half-way, or meta restored from a backup. So the planner believes a serving leader that
//! has reported a higher epoch of a range for a while, if neither the group nor the range has a
//! job. Only a single row is ever written, so the bounds must equal those of the map: after an
//! unpublished split or merge the other part is unknown, and a table must never have a gap.

use std::time::Duration;

use super::Memory;
use super::draft::Draft;
use super::facts::Facts;

/// How long the two must differ: heartbeats and map are not from the same moment.
const AFTER: Duration = Duration::from_secs(5);

/// Rows mended in a plan.
const AT_ONCE: usize = 100;

pub(super) fn plan(facts: &Facts<'_>, memory: &Memory, draft: &mut Draft<'_>) {
    let mut mended = 0;
    for (group, told) in facts.told_ahead() {
        let range_id = told.range_id;
        let lasts = memory.ahead_for(range_id, told.epoch);
        if lasts.is_none_or(|lasts| lasts < AFTER) || mended == AT_ONCE {
            continue;
        }
        let Some(known) = facts.range(range_id) else {
            continue;
        };
        let is_free = draft.is_free_range(range_id)
            && draft.is_free(group.id())
            && draft.is_free(known.row.group_id);
        if !is_free {
            continue;
        }
        if known.row.bounds != told.bounds {
            draft.refuse(format!(
                "range {range_id}: group {} has it as {} at epoch {}, the map as {} at epoch {}; \
                 the rest of that change is not known",
                group.id(),
                told.bounds,
                told.epoch,
                known.row.bounds,
                known.row.epoch
            ));
            continue;
        }
        mended += 1;
        draft.mend(told);
    }
}
