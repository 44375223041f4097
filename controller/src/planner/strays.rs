//! Stray replicas: their node was away when the group went on without it.
//!
//! A replica is stray only if meta's row and the group's own leader both say so, and no job is
//! about the group. A group that meta does not know is gone only if meta knows that it was removed,
//! or if the group never had an entry: a meta restored from an old backup has forgotten groups that
//! are alive, and must not cost anybody's data.

use coterie_protocol::server::ReplicaStatus;
use coterie_types::{GroupId, LogIndex, NodeId, NodeState};

use super::plan::{Action, Plan};
use super::settings::Settings;
use crate::view::View;

/// Stray replicas in a plan. The executor asks for their deletion in turn.
const AT_ONCE: usize = 4;

pub(super) fn plan(view: &View, settings: &Settings, plan: &mut Plan) {
    let mut found = Vec::new();
    for (node_id, heard) in &view.heard {
        let node = view.catalog.nodes.get(node_id);
        // A removed node is told to wipe itself at its next heartbeat.
        let is_there = node.is_some_and(|node| node.state != NodeState::Removed);
        if !is_there || !view.is_heard(*node_id, settings.liveness_timeout) {
            continue;
        }
        for status in &heard.heartbeat.replicas {
            let group_id = status.group_id;
            // Nearly all replicas are no strays. This is the cheapest check, so it comes first.
            if let Some(reason) = why_stray(view, settings, *node_id, group_id)
                && !is_left_alone(view, plan, group_id)
            {
                found.push(Action::DestroyStray {
                    node_id: *node_id,
                    group_id,
                    reason,
                });
            }
        }
    }
    found.truncate(AT_ONCE);
    plan.actions.extend(found);
}

/// Whether a job is about the group, or begins in this plan.
fn is_left_alone(view: &View, plan: &Plan, group_id: GroupId) -> bool {
    let begins = plan.actions.iter().any(|action| match action {
        Action::Begin { step, .. } => step.is_about(group_id),
        _ => false,
    });
    begins || view.running_jobs().any(|(_, step)| step.is_about(group_id))
}

/// Why the replica on the node is stray. `None` unless it is certain.
fn why_stray(
    view: &View,
    settings: &Settings,
    node_id: NodeId,
    group_id: GroupId,
) -> Option<String> {
    let Some(group) = view.catalog.groups.get(&group_id) else {
        return why_gone(view, settings, group_id);
    };
    if group.replicas.iter().any(|r| r.node_id == node_id) {
        return None;
    }
    let leader = view.leader(group_id, settings.liveness_timeout)?;
    let members = &view.replica(leader, group_id)?.replicas;
    let has_forgotten = !members.is_empty() && members.iter().all(|r| r.node_id != node_id);
    has_forgotten.then(|| {
        format!(
            "node {leader} leads group {group_id}, whose {} replicas are elsewhere",
            members.len()
        )
    })
}

/// Why a group that meta does not know is gone. `None` unless it is certain.
fn why_gone(view: &View, settings: &Settings, group_id: GroupId) -> Option<String> {
    let heard = view.heard.values();
    let said = || heard.clone().flat_map(|heard| &heard.heartbeat.replicas);
    let replicas = || said().filter(|status| status.group_id == group_id);
    if replicas().any(|status| status.serving) {
        return None;
    }
    if view.catalog.removed_groups.contains(&group_id) {
        return Some(format!("group {group_id} was removed"));
    }
    // An attempt to create a group that was given up: its id is below that of a group that was
    // created, and none of its replicas has any entry, not even the first entry, which names its
    // members.
    let (newest, _) = view.catalog.groups.last_key_value()?;
    let is_empty =
        |status: &ReplicaStatus| status.replicas.is_empty() && status.last_index == LogIndex(0);
    let was_made = group_id >= *newest || !replicas().all(is_empty);
    let may_judge = view.listening_for >= settings.liveness_timeout;
    (may_judge && !was_made).then(|| format!("group {group_id} was never created"))
}

#[cfg(test)]
mod tests {
    use coterie_config::ClusterToken;
    use coterie_types::{GroupDescriptor, Replica, Role};

    use super::*;
    use crate::job::{RemoveGroup, RemovePhase, Step};
    use crate::sim::{Sim, SimGroup};

    fn settings() -> Settings {
        let config = crate::Config::of(vec![], ClusterToken::given("t"));
        config.settings().unwrap()
    }

    /// Four nodes. Node 4 holds a stray replica of group 1.
    async fn with_a_stray() -> Sim {
        let sim = Sim::with_nodes(&["a", "b", "c"]);
        let fence = sim.take_over(1);
        sim.settle(fence, &settings()).await.unwrap();
        sim.add_node("d");
        sim.settle(fence, &settings()).await.unwrap();
        let mut inner = sim.lock();
        let group = inner.groups.get_mut(&GroupId(1)).unwrap();
        group.replicas.insert(NodeId(4));
        drop(inner);
        sim
    }

    fn strays(sim: &Sim) -> Vec<(NodeId, GroupId)> {
        let mut planned = Plan::default();
        plan(&sim.view(), &settings(), &mut planned);
        let strays = planned.actions.iter().map(|action| match action {
            Action::DestroyStray {
                node_id, group_id, ..
            } => (*node_id, *group_id),
            other => panic!("{other:?}"),
        });
        strays.collect()
    }

    fn change(sim: &Sim, change: impl FnOnce(&mut SimGroup)) {
        change(sim.lock().groups.get_mut(&GroupId(1)).unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn what_meta_and_the_leader_have_forgotten_is_a_stray() {
        let sim = with_a_stray().await;
        assert_eq!(strays(&sim), [(NodeId(4), GroupId(1))]);
        // The group's leader counts node 4 as a member, whatever meta's row says.
        change(&sim, |group| {
            group.learners.insert(NodeId(4));
        });
        assert_eq!(strays(&sim), []);
        change(&sim, |group| group.learners.clear());
        // The group has no leader: nothing is certain.
        let mut leader = None;
        change(&sim, |group| leader = group.leader.take());
        assert_eq!(strays(&sim), []);
        change(&sim, |group| group.leader = leader);
        assert_eq!(strays(&sim), [(NodeId(4), GroupId(1))]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_job_is_about_is_left_to_it() {
        let sim = with_a_stray().await;
        let group = sim.lock().meta.catalog.groups[&GroupId(1)].clone();
        let phase = RemovePhase::Forget;
        sim.begin_job(&Step::RemoveGroup(RemoveGroup { phase, group }));
        assert_eq!(strays(&sim), []);
    }

    /// Node 4 holds a replica of a group that meta does not know, though meta knows a newer group.
    async fn with_an_unknown_group(unknown: SimGroup) -> Sim {
        let sim = with_a_stray().await;
        change(&sim, |group| {
            group.replicas.remove(&NodeId(4));
        });
        let newer = GroupDescriptor {
            group_id: GroupId(10),
            replicas: vec![Replica {
                node_id: NodeId(1),
                role: Role::Voter,
            }],
        };
        let mut inner = sim.lock();
        inner.meta.catalog.groups.insert(GroupId(10), newer);
        inner.groups.insert(GroupId(9), unknown);
        drop(inner);
        sim
    }

    fn unknown(voters: &[u64], leader: Option<NodeId>) -> SimGroup {
        SimGroup {
            replicas: [NodeId(4)].into(),
            voters: voters.iter().copied().map(NodeId).collect(),
            leader,
            ..SimGroup::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_that_meta_has_never_known_is_left_alone_though_nobody_leads_it() {
        let sim = with_an_unknown_group(unknown(&[4, 5, 6], None)).await;
        assert_eq!(strays(&sim), [], "by a backup of before it was made");
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_that_was_removed_is_gone_unless_it_serves() {
        let sim = with_an_unknown_group(unknown(&[4, 5, 6], None)).await;
        let mut inner = sim.lock();
        inner.meta.catalog.removed_groups.insert(GroupId(9));
        drop(inner);
        assert_eq!(strays(&sim), [(NodeId(4), GroupId(9))]);
        let served = unknown(&[4, 5, 6], Some(NodeId(4)));
        sim.lock().groups.insert(GroupId(9), served);
        assert_eq!(strays(&sim), [], "that is for a person to look at");
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_replica_of_a_group_that_was_not_made_is_gone() {
        let sim = with_an_unknown_group(unknown(&[], None)).await;
        assert_eq!(strays(&sim), [(NodeId(4), GroupId(9))]);
        let mut view = sim.view();
        view.listening_for = settings().liveness_timeout / 2;
        let mut planned = Plan::default();
        plan(&view, &settings(), &mut planned);
        assert_eq!(planned.actions, [], "others may have something");
        sim.lock().meta.catalog.groups.remove(&GroupId(10));
        assert_eq!(strays(&sim), [], "it may be about to be made");
    }
}
