//! The slow node: its log or its store takes far longer than those of the others, or messages to it
//! take far longer. None of these times includes a wait for a CPU: on a machine with too much to
//! do, no node is slower than its neighbours for that.
//!
//! The measures are the node's own report, and the reports of at least two others. They are
//! compared with the median of the others, and with a bound that no sound disk or network exceeds.
//! At most one node is judged slow at a time. The verdict stays until the node has been as quick as
//! the others for a while: a node that leads nothing has less to do, which is no recovery.

use std::collections::BTreeMap;
use std::time::Duration;

use coterie_protocol::meta::Heartbeat;
use coterie_types::NodeId;

use super::since::Since;
use crate::view::View;

/// A sound disk needs less for a write of the log with its fsync, and a sound machine less to
/// apply.
const LOG_WRITE_MICROS: u64 = 50_000;
const APPLY_MICROS: u64 = 20_000;
/// The same bound for an append and its answer on their way, without the node's own work.
const ANSWER_MICROS: u64 = 100_000;
/// Other nodes that must have measured the node's answers.
const WITNESSES: usize = 2;

/// A slow node takes this many times the median of the others.
const TIMES: u64 = 8;

/// How long a node must be slow to be judged slow, and quick to be judged sound again.
const SLOW_AFTER: Duration = Duration::from_secs(5);
const SOUND_AFTER: Duration = Duration::from_secs(30);

/// When a node without replicas is judged sound again.
const FORGIVEN_AFTER: Duration = Duration::from_secs(600);

/// A node that is judged slow.
#[derive(Debug, Clone)]
pub(super) struct Slow {
    pub(super) node_id: NodeId,
    pub(super) since: Duration,
    /// When its heartbeat was last slow.
    pub(super) last_seen: Duration,
    /// The measured times.
    pub(super) reason: String,
}

/// A node whose heartbeat is slow in this view.
pub(super) struct Evidence {
    pub(super) node_id: NodeId,
    times: u64,
    reason: String,
}

/// The nodes that are slow in this view, in order.
pub(super) fn evidence(view: &View, timeout: Duration) -> Vec<Evidence> {
    let heard = || {
        let heard = view.heard.values().filter(|heard| heard.age < timeout);
        heard.map(|heard| &heard.heartbeat)
    };
    let log_writes: Vec<u64> = sorted(heard().map(|said| said.log_write_micros));
    let applies: Vec<u64> = sorted(heard().map(|said| said.apply_micros));
    let answers = answers(heard());
    let answer_times: Vec<u64> = sorted(answers.values().copied());
    let slow = heard().filter_map(|said| {
        let answered = answers.get(&said.node_id).copied().unwrap_or(0);
        let answer = times(answered, ANSWER_MICROS, &answer_times);
        let log = times(said.log_write_micros, LOG_WRITE_MICROS, &log_writes);
        let apply = times(said.apply_micros, APPLY_MICROS, &applies);
        let (times, what, micros) = [
            (log, "writes its log", said.log_write_micros),
            (apply, "applies entries", said.apply_micros),
            (answer, "is reached, there and back,", answered),
        ]
        .into_iter()
        .filter_map(|(times, what, micros)| Some((times?, what, micros)))
        .max_by_key(|(times, ..)| *times)?;
        let reason = format!("{what} in {micros} us, {times} times the median of the others");
        Some(Evidence {
            node_id: said.node_id,
            times,
            reason,
        })
    });
    slow.collect()
}

/// How long messages to each node and their answers take. Of several reports the shortest time
/// counts: a node whose own network is slow finds all others slow.
fn answers<'a>(heard: impl Iterator<Item = &'a Heartbeat>) -> BTreeMap<NodeId, u64> {
    let mut said: BTreeMap<NodeId, Vec<u64>> = BTreeMap::new();
    for witness in heard {
        for (node_id, micros) in &witness.answer_micros {
            said.entry(*node_id).or_default().push(*micros);
        }
    }
    let enough = said
        .into_iter()
        .filter(|(_, times)| times.len() >= WITNESSES);
    enough
        .filter_map(|(node_id, times)| Some((node_id, times.into_iter().min()?)))
        .collect()
}

/// The times that were measured, in order.
fn sorted(micros: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut measured: Vec<u64> = micros.filter(|micros| *micros > 0).collect();
    measured.sort_unstable();
    measured
}

/// The ratio to the median of the others, if it is far too high.
fn times(micros: u64, bound: u64, all: &[u64]) -> Option<u64> {
    // A single other node is no measure: either of the two may be the odd node.
    if micros < bound || all.len() < 3 {
        return None;
    }
    let own = all.binary_search(&micros).ok()?;
    let middle = (all.len() - 1) / 2;
    let others = all[if own <= middle { middle + 1 } else { middle }];
    let times = micros / others.max(1);
    (times >= TIMES).then_some(times)
}

/// Picks the node judged slow, from the previous verdict and how long each node has measured slow.
pub(super) fn judge(
    before: Option<Slow>,
    slow: &[Evidence],
    slowness: &Since<NodeId>,
    view: &View,
    timeout: Duration,
    now: Duration,
) -> Option<Slow> {
    if let Some(mut judged) = before {
        let found = slow.iter().find(|found| found.node_id == judged.node_id);
        if let Some(found) = found {
            judged.last_seen = now;
            judged.reason.clone_from(&found.reason);
        }
        let quick_for = now.saturating_sub(judged.last_seen);
        // A silent node is another condition, and it may come back with another disk.
        let heard = view.heard.get(&judged.node_id);
        let heard = heard.filter(|heard| heard.age < timeout);
        let is_over = heard.is_none_or(|heard| {
            let said = &heard.heartbeat;
            // A node that writes nothing proves nothing. It gets another chance later.
            said.log_write_micros > 0 && quick_for >= SOUND_AFTER
                || said.replicas.is_empty() && quick_for >= FORGIVEN_AFTER
        });
        if !is_over {
            return Some(judged);
        }
    }
    let lasting = slow.iter().filter_map(|found| {
        let lasts = slowness.age(found.node_id, now)?;
        (lasts >= SLOW_AFTER).then_some((found, now.saturating_sub(lasts)))
    });
    let (found, since) = lasting.max_by_key(|(found, _)| found.times)?;
    Some(Slow {
        node_id: found.node_id,
        since,
        last_seen: now,
        reason: found.reason.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_others_must_have_waited_for_a_slow_answer() {
        let said = |node, answer_micros: &[(u64, u64)]| Heartbeat {
            node_id: NodeId(node),
            addr: String::new(),
            disk_used_bytes: 0,
            disk_free_bytes: 0,
            replicas: vec![],
            stopping: false,
            log_write_micros: 0,
            apply_micros: 0,
            answer_micros: answer_micros
                .iter()
                .map(|(n, m)| (NodeId(*n), *m))
                .collect(),
        };
        // Node 3 is far away: the others find it slow, and it finds them slow.
        let all = [
            said(1, &[(2, 900), (3, 300_000)]),
            said(2, &[(1, 900), (3, 400_000)]),
            said(3, &[(1, 300_000), (2, 300_000), (4, 300_000)]),
        ];
        let answers = answers(all.iter());
        let expected = [(NodeId(1), 900), (NodeId(2), 900), (NodeId(3), 300_000)];
        assert_eq!(answers, expected.into_iter().collect());
    }

    #[test]
    fn a_node_is_measured_by_the_middle_of_the_others() {
        let bound = LOG_WRITE_MICROS;
        assert_eq!(times(90_000, bound, &[900, 1000, 90_000]), Some(90));
        assert_eq!(times(90_000, bound, &[900, 80_000, 90_000, 90_000]), None);
        assert_eq!(times(90_000, bound, &[900, 90_000]), None, "one other");
        assert_eq!(times(9_000, bound, &[10, 10, 9_000]), None, "quick enough");
    }
}
