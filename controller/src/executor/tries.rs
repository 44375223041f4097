//! A bound on a group's refusals in a phase of a job.

/// How often a group may refuse a change that its state allows, before the job is given up.
const REFUSALS_MAX: u32 = 10;

/// The refusals so far. A new phase begins with none.
#[derive(Default)]
pub(super) struct Tries(u32);

impl Tries {
    /// Counts a refusal. Returns whether the job may try again.
    pub(super) fn may_be_refused(&mut self) -> bool {
        self.0 += 1;
        self.0 < REFUSALS_MAX
    }
}
