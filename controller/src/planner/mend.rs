//! Where meta's map is behind a group's own log, the map follows.
//!
//! The group's log is the truth about what it serves. Jobs publish what they change, but one may be
//! given up half-way, or meta restored from a backup. So a serving leader that has reported a
//! higher epoch of a range for a while, when no job is about either, is believed. Only one row is
//! ever written, so its bounds must be those of the row there: of a cut or a merge that is not
//! published the other part is not known, and a table is never left untiled.

use std::time::Duration;

use super::Memory;
use super::draft::Draft;
use super::facts::Facts;

/// How long the two must differ: heartbeats and map are not of the same moment.
const AFTER: Duration = Duration::from_secs(5);

/// Rows mended in one plan.
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
