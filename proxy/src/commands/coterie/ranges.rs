//! Ranges, as `COTERIE` lists them: rows of the catalog beside the load that the leaders of
//! their groups report.

use std::collections::BTreeMap;

use coterie_protocol::catalog::Catalog;
use coterie_protocol::meta::NodeLiveness;
use coterie_protocol::server::{RangeLoad, ReplicaStatus};
use coterie_redis_compat::{CommandError, Reply};
use coterie_types::{GroupId, KeyRange, RangeDescriptor, RangeId, TableId};

use super::list::heartbeats;
use super::{Pair, error, number, pair, table};
use crate::commands::{Remote, int};

/// How many keys `COTERIE HOTKEYS` lists when it is not told.
const HOT_KEYS: usize = 10;

/// `COTERIE RANGES [table]`.
pub(super) async fn ranges(call: &Remote) -> Result<Reply, CommandError> {
    let catalog = call.shared.catalog();
    let wanted = match call.args.len() {
        2 => None,
        _ => Some(table(call, 2)?),
    };
    let heard = heartbeats(call).await;
    let loads = Loads::of(&heard);
    let ranges = in_order(&catalog, wanted).map(|range| {
        let mut pairs = range_pairs(range);
        pairs.extend(loads.pairs(range));
        Reply::Map(pairs)
    });
    Ok(Reply::Array(ranges.collect()))
}

/// `COTERIE HOTKEYS [count]`: keys with at least a tenth of their range's load, the hottest first.
pub(super) async fn hotkeys(call: &Remote) -> Result<Reply, CommandError> {
    let count = match call.args.len() {
        2 => HOT_KEYS,
        _ => usize::try_from(number(call, 2)?).unwrap_or(usize::MAX),
    };
    let catalog = call.shared.catalog();
    let heard = heartbeats(call).await;
    let loads = Loads::of(&heard);
    let mut hot: Vec<HotKey<'_>> = in_order(&catalog, None)
        .filter_map(|range| HotKey::of(range, loads.load(range)?))
        .collect();
    // Among equals the first in key order comes first.
    hot.sort_by_key(|key| std::cmp::Reverse(key.ops_per_second));
    let listed = hot.iter().take(count);
    Ok(Reply::Array(
        listed.map(|key| Reply::Map(key.pairs())).collect(),
    ))
}

/// `COTERIE LOCATE key`: as this proxy would send a command now, which may be newer than the
/// catalog.
pub(super) fn locate(call: &Remote) -> Result<Reply, CommandError> {
    let map = call.shared.router.cache.load();
    let entry = map.locate(call.table, &call.args[2]);
    let entry = entry.ok_or_else(|| error("no range holds the key"))?;
    let mut pairs = range_pairs(&entry.range);
    let leader = entry.group.leader();
    pairs.push(pair(
        "leader",
        leader.map_or(Reply::Null, |node| int(node.0)),
    ));
    Ok(Reply::Map(pairs))
}

/// Ranges in key order, of all tables or of a single table.
fn in_order(catalog: &Catalog, table: Option<TableId>) -> impl Iterator<Item = &RangeDescriptor> {
    let starts = catalog.range_starts.iter();
    let wanted = starts.filter(move |((of, _), _)| table.is_none_or(|table| table == *of));
    wanted.filter_map(|(_, id)| catalog.ranges.get(id))
}

fn range_pairs(range: &RangeDescriptor) -> Vec<Pair> {
    let KeyRange { table, start, end } = &range.bounds;
    vec![
        pair("id", int(range.range_id.0)),
        pair("table", int(table.0.into())),
        pair("start", Reply::Bulk(start.clone())),
        pair("end", Reply::bulk_or_null(end.clone())),
        pair("epoch", int(range.epoch.0)),
        pair("group", int(range.group_id.0)),
    ]
}

/// The reports of the leaders about their ranges.
struct Loads<'a> {
    /// The status of each group's leader, that of the latest term.
    leaders: BTreeMap<GroupId, &'a ReplicaStatus>,
    /// Ranges that were handed off, with the group that still has a frozen copy.
    sources: BTreeMap<RangeId, GroupId>,
}

impl<'a> Loads<'a> {
    fn of(heard: &'a [NodeLiveness]) -> Self {
        let (mut leaders, mut sources) = (BTreeMap::new(), BTreeMap::new());
        let nodes = heard.iter().map(|live| &live.heartbeat);
        let statuses =
            nodes.flat_map(|node| node.replicas.iter().map(move |status| (node, status)));
        for (node, status) in statuses {
            let frozen = status.frozen.iter();
            sources.extend(frozen.map(|range| (range.range_id, status.group_id)));
            if status.leader != Some(node.node_id) {
                continue;
            }
            let leader = leaders.entry(status.group_id).or_insert(status);
            if leader.term < status.term {
                *leader = status;
            }
        }
        Self { leaders, sources }
    }

    fn load(&self, range: &RangeDescriptor) -> Option<&'a RangeLoad> {
        let leader = self.leaders.get(&range.group_id)?;
        let mut loads = leader.loads.iter();
        loads.find(|load| load.range_id == range.range_id)
    }

    fn pairs(&self, range: &RangeDescriptor) -> Vec<Pair> {
        let mut pairs = self.load(range).map_or_else(Vec::new, load_pairs);
        let leader = self.leaders.get(&range.group_id);
        if leader.is_some_and(|leader| leader.importing.contains(&range.range_id)) {
            let source = self.sources.get(&range.range_id);
            let source = source.map_or(Reply::Null, |group| int(group.0));
            pairs.push(pair("importing_from", source));
        }
        pairs
    }
}

fn load_pairs(load: &RangeLoad) -> Vec<Pair> {
    let mut pairs = vec![
        pair("size_bytes", int(load.size_bytes)),
        pair("reads_per_second", int(load.reads_per_second)),
        pair("writes_per_second", int(load.writes_per_second)),
        pair("bytes_per_second", int(load.bytes_per_second)),
        pair("cpu_us_per_second", int(load.cpu_micros_per_second)),
    ];
    if let Some(hot) = &load.hot_key {
        pairs.extend([
            pair("hot_key", Reply::Bulk(hot.key.clone())),
            pair("hot_key_permille", int(hot.permille.into())),
        ]);
    }
    pairs
}

/// A key that is used much.
struct HotKey<'a> {
    range: &'a RangeDescriptor,
    key: &'a coterie_protocol::server::HotKey,
    /// Commands per second, estimated from its share.
    ops_per_second: u64,
}

impl<'a> HotKey<'a> {
    fn of(range: &'a RangeDescriptor, load: &'a RangeLoad) -> Option<Self> {
        let key = load.hot_key.as_ref()?;
        let operations = load.reads_per_second.saturating_add(load.writes_per_second);
        Some(Self {
            range,
            key,
            ops_per_second: operations.saturating_mul(key.permille.into()) / 1000,
        })
    }

    fn pairs(&self) -> Vec<Pair> {
        vec![
            pair("table", int(self.range.bounds.table.0.into())),
            pair("key", Reply::Bulk(self.key.key.clone())),
            pair("range", int(self.range.range_id.0)),
            pair("group", int(self.range.group_id.0)),
            pair("permille", int(self.key.permille.into())),
            pair("ops_per_second", int(self.ops_per_second)),
        ]
    }
}
