//! The heartbeats that a leader has received, in its memory alone.
//!
//! They belong to a single term: a member that leads again begins anew. It reports how long it has
//! led, since before that it heard nothing because it did not lead.

use std::collections::BTreeMap;
use std::time::Instant;

use coterie_protocol::meta::{Heartbeat, MetaAnswer, NodeLiveness};
use coterie_types::{NodeId, Term};

/// See the module's head.
#[derive(Default)]
pub(super) struct Liveness {
    term: Term,
    since: Option<Instant>,
    heard: BTreeMap<NodeId, (Heartbeat, Instant)>,
}

impl Liveness {
    /// Notes that this member leads in this term.
    pub(super) fn leads_in(&mut self, term: Term, now: Instant) {
        if self.term != term || self.since.is_none() {
            *self = Self {
                term,
                since: Some(now),
                heard: BTreeMap::new(),
            };
        }
    }

    /// Notes a heartbeat. Its node is in the catalog, which bounds how many heartbeats are kept.
    pub(super) fn heard(&mut self, heartbeat: Heartbeat, now: Instant) {
        self.heard.insert(heartbeat.node_id, (heartbeat, now));
    }

    /// All heartbeats, for the controller.
    pub(super) fn answer(&self, now: Instant) -> MetaAnswer {
        let millis = |since: Instant| now.saturating_duration_since(since).as_millis() as u64;
        MetaAnswer::Liveness {
            nodes: self
                .heard
                .values()
                .map(|(heartbeat, at)| NodeLiveness {
                    heartbeat: heartbeat.clone(),
                    age_ms: millis(*at),
                })
                .collect(),
            leader_for_ms: self.since.map_or(0, millis),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_new_term_begins_anew() {
        let mut liveness = Liveness::default();
        let start = Instant::now();
        let heartbeat = Heartbeat {
            node_id: NodeId(3),
            addr: "a:1".into(),
            disk_used_bytes: 0,
            disk_free_bytes: 0,
            replicas: vec![],
            stopping: false,
            log_write_micros: 0,
            apply_micros: 0,
            answer_micros: vec![],
        };
        let told =
            |liveness: &Liveness, ms| match liveness.answer(start + Duration::from_millis(ms)) {
                MetaAnswer::Liveness {
                    nodes,
                    leader_for_ms,
                } => (
                    nodes.iter().map(|n| n.age_ms).collect::<Vec<_>>(),
                    leader_for_ms,
                ),
                other => panic!("{other:?}"),
            };
        liveness.leads_in(Term(4), start);
        liveness.heard(heartbeat, start + Duration::from_millis(10));
        liveness.leads_in(Term(4), start + Duration::from_millis(20));
        assert_eq!(told(&liveness, 50), (vec![40], 50));
        liveness.leads_in(Term(6), start + Duration::from_millis(50));
        assert_eq!(told(&liveness, 60), (vec![], 10));
    }
}
