//! The planner: from a view to actions, with reasons. Pure: the same views give the same plans.
//!
//! Each duty has a file, looks at the whole view and adds to the plan. A wanted change that cannot
//! be made yet is a refusal with its reason, so that an operator can read why nothing happens. A
//! group or range with a job, running or just planned, is left to that job, so the order of the
//! duties is their precedence. [`Memory`] times conditions across views.

use crate::view::View;

mod balance;
mod bootstrap;
mod busy;
mod draft;
mod dropped;
mod effects;
mod facts;
mod fill;
mod groups;
mod hosts;
mod leaders;
mod liveness;
mod memory;
mod mend;
mod merge;
mod placement;
mod plan;
mod prune;
mod repair;
mod replicas;
mod settings;
mod since;
mod slow;
mod split;
mod strays;
mod tables;
#[cfg(test)]
mod tests;
mod tried;
mod wishes;

pub use memory::Memory;
pub use plan::{Action, GroupPlan, Plan};
pub use settings::Settings;
pub(crate) use wishes::{place_group, place_replica};

use draft::Draft;
use facts::Facts;

/// Plans by a single view, as a controller does that has just started.
#[must_use]
pub fn plan(view: &View, settings: &Settings) -> Plan {
    plan_on(view, settings, &mut Memory::default())
}

/// Notes the view in the memory, and plans.
#[must_use]
pub fn plan_on(view: &View, settings: &Settings, memory: &mut Memory) -> Plan {
    let facts = Facts::of(view, settings);
    memory.observe(&facts);
    let memory = &*memory;
    let mut draft = Draft::of(&facts);
    liveness::plan(view, settings, &mut draft.plan);
    bootstrap::plan(view, settings, &mut draft.plan);
    tables::plan(&facts, &mut draft);
    dropped::plan(&facts, &mut draft);
    mend::plan(&facts, memory, &mut draft);
    leaders::plan(&facts, memory, &mut draft);
    repair::plan(&facts, memory, &mut draft);
    fill::plan(&facts, memory, &mut draft);
    strays::plan(view, settings, &mut draft.plan);
    split::plan(&facts, memory, &mut draft);
    groups::plan(&facts, memory, &mut draft);
    merge::plan(&facts, memory, &mut draft);
    balance::plan(&facts, memory, &mut draft);
    replicas::plan(&facts, memory, &mut draft);
    effects::plan(&facts, memory, &mut draft);
    prune::plan(view, &mut draft.plan);
    draft.plan
}
