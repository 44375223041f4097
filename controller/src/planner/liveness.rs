//! Which nodes are up, by their heartbeats.
//!
//! A heartbeat is proof of life at once. Silence proves nothing until meta's leader has listened
//! for a whole timeout itself. A node that is draining or removed keeps that state, which an
//! operator has set.

use coterie_types::NodeState;

use super::plan::{Action, Plan};
use super::settings::Settings;
use crate::view::View;

pub(super) fn plan(view: &View, settings: &Settings, plan: &mut Plan) {
    let timeout = settings.liveness_timeout;
    for node in view.catalog.nodes.values() {
        let heard = view.heard.get(&node.node_id);
        let is_heard = view.is_heard(node.node_id, timeout);
        let (state, reason) = match node.state {
            NodeState::Joining | NodeState::Down if is_heard => {
                (NodeState::Up, "it was heard".to_owned())
            }
            NodeState::Up if !is_heard && view.listening_for >= timeout => {
                let silence = heard.map_or(view.listening_for, |heard| heard.age);
                let reason = format!("silent for {} ms", silence.as_millis());
                (NodeState::Down, reason)
            }
            _ => continue,
        };
        plan.actions.push(Action::SetNodeState {
            node_id: node.node_id,
            state,
            reason,
        });
    }
}
