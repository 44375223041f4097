//! Which node is slow: its log or its store takes far longer than those of the others, or messages to it
//! are on their way far longer. None of these times has a wait for a CPU in it: on a machine with too
//! much to do, no node is slower than its neighbours for that.
//!
//! Measured by what each node says of itself, and by what at least two others say of it, against the
//! middle of the others and against what no sound disk or network needs. One node at a time is judged slow, and it stays so until it has been as quick
//! as the others for a while: once it leads nothing it has less to do, which is no recovery.

use std::collections::BTreeMap;
use std::time::Duration;

use coterie_protocol::meta::Heartbeat;
use coterie_types::NodeId;

use super::since::Since;
use crate::view::View;

/// No sound disk takes longer for a write of the log with its fsync, and no machine to apply.
const LOG_WRITE_MICROS: u64 = 50_000;
const APPLY_MICROS: u64 = 20_000;
/// The same for the way of an append and its answer, without what the node does in between.
const ANSWER_MICROS: u64 = 100_000;
/// Others that must have waited for its answers.
const WITNESSES: usize = 2;

/// How many times the middle of the others.
const TIMES: u64 = 8;

/// How long it must have been slow to be judged so, and quick to be judged sound again.
const SLOW_AFTER: Duration = Duration::from_secs(5);
const SOUND_AFTER: Duration = Duration::from_secs(30);

/// When a node that holds nothing any more is given another chance.
const FORGIVEN_AFTER: Duration = Duration::from_secs(600);

/// A node that is judged slow.
#[derive(Debug, Clone)]
pub(super) struct Slow {
    pub(super) node_id: NodeId,
    pub(super) since: Duration,
    /// When it last was.
    pub(super) last_seen: Duration,
    /// The numbers.
    pub(super) reason: String,
}

/// A node that is slow in this view.
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
            (apply, "applies", said.apply_micros),
            (answer, "is reached, there and back,", answered),
        ]
        .into_iter()
        .filter_map(|(times, what, micros)| Some((times?, what, micros)))
        .max_by_key(|(times, ..)| *times)?;
        let reason = format!("{what} in {micros} us, {times} times the middle of the others");
        Some(Evidence {
            node_id: said.node_id,
            times,
            reason,
        })
    });
    slow.collect()
}

/// How long messages to each node and their answers are on their way, by the most patient word of those who asked it: one whose own
/// network is slow finds all others slow.
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

/// Times that were measured, in order.
fn sorted(micros: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut measured: Vec<u64> = micros.filter(|micros| *micros > 0).collect();
    measured.sort_unstable();
    measured
}

/// How many times the middle of the others it is, if that is far too much.
fn times(micros: u64, bound: u64, all: &[u64]) -> Option<u64> {
    // One other proves nothing: either of the two may be the odd one.
    if micros < bound || all.len() < 3 {
        return None;
    }
    let own = all.binary_search(&micros).ok()?;
    let middle = (all.len() - 1) / 2;
    let others = all[if own <= middle { middle + 1 } else { middle }];
    let times = micros / others.max(1);
    (times >= TIMES).then_some(times)
}

/// Who is judged slow now, by who was before and who has been slow in the views for how long.
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
        // One that is silent is another matter, and may come back with another disk.
        let heard = view.heard.get(&judged.node_id);
        let heard = heard.filter(|heard| heard.age < timeout);
        let is_over = heard.is_none_or(|heard| {
            let said = &heard.heartbeat;
            // Who writes nothing shows nothing, and is not tried again so soon for that.
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
