//! Ranges that are too large or have too much load are cut in two, within their group.
//!
//! By size where a replica says that the bytes are halved. By load, after it has lasted, at the key
//! that the leader's sample says halves it, and never where more than 60% would stay on one side:
//! when one key is the cause no cut helps, and that key is named. Which half goes elsewhere is
//! decided by `balance` afterwards, by what both cost then. No range is split by load where all
//! nodes are on the same host, nor again after a split that did not help (`effects`).

use std::time::Duration;

use coterie_protocol::server::{HotKey, RangeLoad};

use super::Memory;
use super::draft::Draft;
use super::effects;
use super::facts::{FULL, Facts, Range};
use super::tried::Deed;

/// The kind of job.
pub(super) const KIND: &str = "split";

/// How long a range must have had too much load.
const HOT_AFTER: Duration = Duration::from_secs(10);

/// The share of the load that may be left of the cut, in thousandths.
const LEFT_PERMILLE: std::ops::RangeInclusive<u16> = 400..=600;

/// The share from which on a key is the cause, in thousandths: what is left has less than the 60%
/// that one side may have, and the key's own side cannot be helped.
const HOT_KEY_PERMILLE: u16 = 400;

/// Bytes of a key that are shown.
const KEY_SHOWN: usize = 64;

/// Cuts that are begun in one plan.
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
        let by_load = is_hot.then(|| cut_by_load(facts, range, cost));
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

/// Whether the range is all there and nothing else is done to it or its group.
pub(super) fn is_settled(facts: &Facts<'_>, draft: &Draft<'_>, range: &Range<'_>) -> bool {
    let row = range.row;
    let group = range.group.map(|place| &facts.groups[place]);
    let importing = group
        .and_then(|group| group.leader)
        .is_none_or(|(_, status)| status.importing.contains(&row.range_id));
    !importing && draft.is_free(row.group_id) && draft.is_free_range(row.range_id)
}

/// Where to cut a range that has too much load, and why there; or why not.
fn cut_by_load(
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
    if let Some(reason) = effects::why_not(facts, range, Deed::Cut) {
        return Err(format!("{load}; {reason}"));
    }
    if let Some(cut) = &cost.cut
        && LEFT_PERMILLE.contains(&cut.left_permille)
        && range.row.bounds.contains(range.row.bounds.table, &cut.at)
        && cut.at != range.row.bounds.start
    {
        let reason = format!(
            "{load}; {}% of it is left of the cut",
            cut.left_permille / 10
        );
        return Ok((cut.at.clone(), reason));
    }
    match &cost.hot_key {
        Some(HotKey { key, permille }) if *permille >= HOT_KEY_PERMILLE => Err(format!(
            "{load}; the key \"{}\" alone has {}% of it, so no cut would help",
            key[..key.len().min(KEY_SHOWN)].escape_ascii(),
            permille / 10
        )),
        _ => Err(match &cost.cut {
            Some(cut) => format!(
                "{load}; the best cut known leaves {}% of it on the left",
                cut.left_permille / 10
            ),
            None => format!("{load}; no sample says where to cut it"),
        }),
    }
}

/// The numbers of a range's load.
pub(super) fn describe(facts: &Facts<'_>, range: &Range<'_>, cost: &RangeLoad) -> String {
    let settings = facts.settings;
    format!(
        "range {}: {} commands/s of {}, {} bytes/s of {}, {} ms of CPU/s of {}: {}% of what one \
         range should have",
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
