//! What `COTERIE` lists.

use std::collections::BTreeMap;

use bytes::Bytes;
use coterie_protocol::catalog::JobDescriptor;
use coterie_protocol::server::ReplicaStatus;
use coterie_redis_compat::{CommandError, Reply};
use coterie_types::{GroupId, KeyRange, NodeId, RangeDescriptor, Role};

use super::{error, number, word};
use crate::commands::{Call, int, table_named, text};

type Pair = (Reply, Reply);

fn pair(name: &'static str, value: Reply) -> Pair {
    (Reply::text(name), value)
}

/// What the nodes last said of themselves, if meta can be asked.
async fn heartbeats(call: &Call) -> Option<coterie_meta_client::Liveness> {
    call.shared.meta.liveness().await.ok()
}

/// `COTERIE NODES`.
pub(super) async fn nodes(call: &Call) -> Result<Reply, CommandError> {
    let catalog = call.shared.catalog();
    let heard = heartbeats(call).await;
    let nodes = catalog.nodes.values().map(|node| {
        let mut pairs = vec![
            pair("id", int(node.node_id.0)),
            pair("addr", text(node.addr.clone())),
            pair("zone", text(node.zone.clone())),
            pair("state", text(format!("{:?}", node.state).to_lowercase())),
            pair("capacity_bytes", int(node.capacity_bytes)),
        ];
        let mut heard = heard.iter().flat_map(|heard| &heard.nodes);
        if let Some(live) = heard.find(|live| live.heartbeat.node_id == node.node_id) {
            let heartbeat = &live.heartbeat;
            let leads = |replica: &&ReplicaStatus| replica.leader == Some(node.node_id);
            let leaders = heartbeat.replicas.iter().filter(leads).count();
            pairs.extend([
                pair("heartbeat_age_ms", int(live.age_ms)),
                pair("replicas", int(heartbeat.replicas.len() as u64)),
                pair("leaders", int(leaders as u64)),
                pair("disk_used_bytes", int(heartbeat.disk_used_bytes)),
                pair("disk_free_bytes", int(heartbeat.disk_free_bytes)),
            ]);
        }
        Reply::Map(pairs)
    });
    Ok(Reply::Array(nodes.collect()))
}

/// `COTERIE GROUPS`.
pub(super) async fn groups(call: &Call) -> Result<Reply, CommandError> {
    let catalog = call.shared.catalog();
    let heard = heartbeats(call).await;
    let mut statuses = BTreeMap::<(GroupId, NodeId), ReplicaStatus>::new();
    for live in heard.into_iter().flat_map(|heard| heard.nodes) {
        let node = live.heartbeat.node_id;
        let replicas = live.heartbeat.replicas.into_iter();
        statuses.extend(replicas.map(|replica| ((replica.group_id, node), replica)));
    }
    let groups = catalog.groups.values().map(|group| {
        let of_group = |(id, _): &&(GroupId, NodeId)| *id == group.group_id;
        let newest = statuses
            .iter()
            .filter(|(id, _)| of_group(id))
            .max_by_key(|(_, s)| s.term);
        let leader = newest.and_then(|(_, status)| status.leader);
        let ranges = catalog
            .ranges
            .values()
            .filter(|range| range.group_id == group.group_id);
        let replicas = group.replicas.iter().map(|replica| {
            let role = match replica.role {
                Role::Voter => "voter",
                Role::Learner => "learner",
            };
            let mut pairs = vec![
                pair("node", int(replica.node_id.0)),
                pair("role", Reply::text(role)),
            ];
            if let Some(status) = statuses.get(&(group.group_id, replica.node_id)) {
                pairs.extend(status_pairs(status));
            }
            Reply::Map(pairs)
        });
        Reply::Map(vec![
            pair("id", int(group.group_id.0)),
            pair("leader", leader.map_or(Reply::Null, |node| int(node.0))),
            pair(
                "term",
                newest.map_or(Reply::Null, |(_, status)| int(status.term.0)),
            ),
            pair("ranges", int(ranges.count() as u64)),
            pair("replicas", Reply::Array(replicas.collect())),
        ])
    });
    Ok(Reply::Array(groups.collect()))
}

fn status_pairs(status: &ReplicaStatus) -> Vec<Pair> {
    let mut pairs = vec![
        pair("applied_index", int(status.applied_index.0)),
        pair("last_index", int(status.last_index.0)),
        pair("flushed_index", int(status.flushed_index.0)),
        pair("first_index", int(status.first_index.0)),
        pair("size_bytes", int(status.size_bytes)),
    ];
    if let Some(fault) = &status.fault {
        pairs.push(pair("fault", text(fault.clone())));
    }
    pairs
}

/// `COTERIE RANGES [table]`.
pub(super) fn ranges(call: &Call) -> Result<Reply, CommandError> {
    let catalog = call.shared.catalog();
    let table = match call.args.get(2) {
        None => None,
        Some(word) => Some(table_named(&catalog, word).ok_or_else(|| error("no such table"))?),
    };
    let in_order = catalog.range_starts.iter();
    let ranges = in_order.filter(|((of, _), _)| table.is_none_or(|table| table == *of));
    let ranges = ranges.filter_map(|(_, id)| catalog.ranges.get(id));
    Ok(Reply::Array(
        ranges.map(|range| Reply::Map(range_pairs(range))).collect(),
    ))
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

/// `COTERIE LOCATE key`: as this proxy would send a command now, which may be newer than the catalog.
pub(super) fn locate(call: &Call) -> Result<Reply, CommandError> {
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

/// `COTERIE JOBS [id]`.
pub(super) fn jobs(call: &Call) -> Result<Reply, CommandError> {
    let catalog = call.shared.catalog();
    if call.args.len() == 2 {
        let jobs = catalog.jobs.values().map(|job| Reply::Map(job_pairs(job)));
        return Ok(Reply::Array(jobs.collect()));
    }
    let id = coterie_types::JobId(number(call, 2)?);
    let found = catalog.jobs.get(&id);
    let job = found.ok_or_else(|| error(format!("no such job '{}'", word(call, 2))))?;
    let mut pairs = job_pairs(job);
    let log = job.log.iter().map(|line| text(line.clone()));
    pairs.push(pair("log", Reply::Array(log.collect())));
    Ok(Reply::Map(pairs))
}

fn job_pairs(job: &JobDescriptor) -> Vec<Pair> {
    let reason = job.log.first().map(|line| Bytes::from(line.clone()));
    vec![
        pair("id", int(job.job_id.0)),
        pair("kind", text(job.kind.clone())),
        pair("state", text(format!("{:?}", job.state).to_lowercase())),
        pair("started_at_ms", int(job.started_at.0)),
        pair("reason", Reply::bulk_or_null(reason)),
    ]
}
