//! Groups that have too few replicas: each gets another, one at a time.
//!
//! A group is short of replicas after its recovery from a single replica, or when the operator has
//! raised the number of replicas. It is changed only while it has a leader and a majority of its
//! voters is up.

use coterie_types::{Replica, Role};

use super::Memory;
use super::draft::Draft;
use super::facts::Facts;
use super::placement::Placement;
use super::repair::check_majority;
use crate::job::{AddReplica, ReplacePhase, Step};

/// The kind of job.
const KIND: &str = "add-replica";

pub(super) fn plan(facts: &Facts<'_>, memory: &Memory, draft: &mut Draft<'_>) {
    let wanted = facts.settings.replicas;
    let mut placement = Placement::remembering(facts.view, facts.settings, memory);
    for group in &facts.groups {
        let group_id = group.id();
        let voters = group.row.voters().count();
        if voters >= wanted || !draft.is_mendable(group_id) {
            continue;
        }
        let Some((_, leader)) = group.leader else {
            continue;
        };
        if draft.receivers.len() >= facts.settings.snapshots_max {
            draft.refuse(format!(
                "group {group_id} has {voters} of {wanted} replicas; {} replicas move already, \
                 which is the limit",
                draft.receivers.len()
            ));
            continue;
        }
        let busy = &draft.receivers;
        let found = check_majority(facts, group)
            .and_then(|_| placement.replacement(group.row, None, leader.size_bytes, busy));
        match found {
            Ok(to) => {
                let mut replicas = group.row.replicas.clone();
                replicas.push(Replica {
                    node_id: to,
                    role: Role::Voter,
                });
                replicas.sort();
                let step = Step::AddReplica(AddReplica {
                    phase: ReplacePhase::Create,
                    group_id,
                    to,
                    replicas,
                });
                let reason = format!(
                    "it has {voters} of {wanted} replicas; node {to} has {} with this one",
                    placement.count(to)
                );
                draft.begin(KIND, step, vec![reason]);
            }
            Err(reason) => draft.refuse(format!(
                "group {group_id} has {voters} of {wanted} replicas, and {reason}"
            )),
        }
    }
}
