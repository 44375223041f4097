//! Ranges that are too large or have too much load are split, within their group.
//!
//! A split by size is made at the middle of the bytes, which the group finds. A split by load is
//! made after the load has lasted, at the key that halves it by the leader's sample, and never
//! where more than 60% would stay on one side: if a single key is the cause no split helps, and a
//! refusal names the key. Afterwards `balance` decides which half moves, by the costs of both. No
//! range is split by load if all nodes are on the same host, nor again after a split that did not
//! help (`effects`).

use std::time::Duration;

use coterie_protocol::server::{HotKey, RangeLoad};

use super::Memory;
use super::draft::Draft;
use super::effects;
use super::facts::{FULL, Facts, Range};
use super::tried::Deed;

/// The kind of job.
pub(super) const KIND: &str = "split";

/// How long the load of a range must have been too high.
const HOT_AFTER: Duration = Duration::from_secs(10);

/// The share of the load left of the split key, in thousandths.
const LEFT_PERMILLE: std::ops::RangeInclusive<u16> = 400..=600;

/// The share from which on a key is the cause, in thousandths: the other keys have less than the
/// 60% that one side may have, and no split lightens the key's own side.
const HOT_KEY_PERMILLE: u16 = 400;

/// Bytes of a key that are shown.
const KEY_SHOWN: usize = 64;

/// Splits that begin in a plan.
const AT_ONCE: usize = 16;

pub(super) fn plan(facts: &Facts<'_>, memory: &Memory, draft: &mut Draft<'_>) {
    let mut begun = 0;
    for range in &facts.ranges {
        let Some(cost) = range.cost else { continue };
        let row = range.row;
        let is_large = cost.size_bytes > facts.settings.split_size;
        let hot_for = memory.hot_for(row.range_id, row.epoch);
        let is_hot = hot_for.is_some_and(|lasts| lasts >= HOT_AFTER);
        let may = begun < AT_ONCE && is_settled(facts, draft, range);
        if !may || (!is_large && !is_hot) {
            continue;
        }
        let by_load = is_hot.then(|| split_by_load(facts, range, cost));
        match by_load {
            Some(Ok((at, reason))) => {
                let before = effects::traffic(range);
                draft.split(KIND, row, Some(at), vec![reason], before);
            }
            _ if is_large && let Some(left) = facts.not_halved_for(row) => {
                draft.refuse(format!(
                    "range {} has {} bytes, --split-size is {}; its middle was not found, and is \
                     looked for again in {} s",
                    row.range_id,
                    cost.size_bytes,
                    facts.settings.split_size,
                    left.as_secs()
                ));
                continue;
            }
            _ if is_large => {
                let reason = format!(
                    "range {} has {} bytes, --split-size is {}",
                    row.range_id, cost.size_bytes, facts.settings.split_size
                );
                draft.split(KIND, row, None, vec![reason], None);
            }
            Some(Err(reason)) => {
                draft.refuse(reason);
                continue;
            }
            None => continue,
        }
        begun += 1;
    }
}

/// Whether the range has all its records (no import is under way), and neither it nor its group has
/// a job.
pub(super) fn is_settled(facts: &Facts<'_>, draft: &Draft<'_>, range: &Range<'_>) -> bool {
    let row = range.row;
    let group = range.group.map(|place| &facts.groups[place]);
    let importing = group
        .and_then(|group| group.leader)
        .is_none_or(|(_, status)| status.importing.contains(&row.range_id));
    !importing && draft.is_free(row.group_id) && draft.is_free_range(row.range_id)
}

/// The key at which to split a range with too much load and the reason, or the reason not to split.
fn split_by_load(
    facts: &Facts<'_>,
    range: &Range<'_>,
    cost: &RangeLoad,
) -> Result<(bytes::Bytes, String), String> {
    let load = describe(facts, range, cost);
    let leader = range.group.and_then(|place| facts.groups[place].leader);
    if leader.is_some_and(|(node_id, _)| !facts.hosts.has_another(node_id)) {
        return Err(format!(
            "{load}; all nodes are on one host, so nothing is gained by spreading it"
        ));
    }
    if let Some(reason) = effects::why_not(facts, range, Deed::Split) {
        return Err(format!("{load}; {reason}"));
    }
    if let Some(point) = &cost.split_point
        && LEFT_PERMILLE.contains(&point.left_permille)
        && range.row.bounds.contains(range.row.bounds.table, &point.at)
        && point.at != range.row.bounds.start
    {
        let reason = format!(
            "{load}; {}% of it is left of the split key",
            point.left_permille / 10
        );
        return Ok((point.at.clone(), reason));
    }
    match &cost.hot_key {
        Some(HotKey { key, permille }) if *permille >= HOT_KEY_PERMILLE => Err(format!(
            "{load}; the key \"{}\" alone has {}% of it, so no split would help",
            key[..key.len().min(KEY_SHOWN)].escape_ascii(),
            permille / 10
        )),
        _ => Err(match &cost.split_point {
            Some(point) => format!(
                "{load}; the best known split leaves {}% of it on the left",
                point.left_permille / 10
            ),
            None => format!("{load}; no sample shows where to split it"),
        }),
    }
}

/// The range's load, in words.
pub(super) fn describe(facts: &Facts<'_>, range: &Range<'_>, cost: &RangeLoad) -> String {
    let settings = facts.settings;
    format!(
        "range {}: {} commands/s of {}, {} bytes/s of {}, {} ms of CPU/s of {}: {}% of the limit \
         of a range",
        range.row.range_id,
        range.ops(),
        settings.split_ops,
        cost.bytes_per_second,
        settings.split_bytes,
        cost.cpu_micros_per_second / 1000,
        settings.split_cpu.as_millis(),
        range.load * 100 / FULL
    )
}
