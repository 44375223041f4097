//! `WAIT numreplicas timeout` and `WAITAOF numlocal numreplicas timeout`: on how many replicas,
//! besides the leader, this connection's writes are.
//!
//! Acknowledged writes are on a majority already. For more than that the replicas are asked: a
//! replica counts once it has applied the entries that the leader had when WAIT began. The answer
//! is the least over the groups that the connection wrote to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_protocol::catalog::Catalog;
use coterie_protocol::server::{ReplicaStatus, ServerAnswer, ServerRequest};
use coterie_protocol::{decode, encode, method};
use coterie_redis_compat::errors::{NOT_AN_INTEGER, NOT_POSITIVE};
use coterie_redis_compat::{CommandError, Reply, number};
use coterie_types::{GroupId, LogIndex, NodeId};
use futures_util::future::join_all;

use super::{Named, Remote, int, timeout_millis};

pub(super) const HANDLERS: &[Named] = &[("wait", waits!(wait)), ("waitaof", waits!(waitaof))];

const ASK_TIMEOUT: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);

/// See the module's head.
async fn wait(call: Remote) -> Result<Reply, CommandError> {
    let wanted = number::parse_int(&call.args[1]).ok_or(NOT_AN_INTEGER)?;
    let timeout = timeout_millis(&call.args[2])?;
    let wanted = u64::try_from(wanted).unwrap_or(0);
    Ok(int(replicas(&call, wanted, timeout).await))
}

/// `WAITAOF`: the leader has a write on disk before it replies, and so has a replica before it
/// counts.
async fn waitaof(call: Remote) -> Result<Reply, CommandError> {
    let local = number::parse_int(&call.args[1]);
    match local {
        Some(0 | 1) => {}
        Some(_) => return Err(CommandError::int_out_of_range(0, 1)),
        None => return Err(NOT_AN_INTEGER),
    }
    let wanted = number::parse_int(&call.args[2]).and_then(|wanted| u64::try_from(wanted).ok());
    let wanted = wanted.ok_or(NOT_POSITIVE)?;
    let timeout = timeout_millis(&call.args[3])?;
    let replicas = replicas(&call, wanted, timeout).await;
    Ok(Reply::Array(vec![int(1), int(replicas)]))
}

/// The least number of replicas, over the groups that this connection wrote to, that have all its
/// writes.
async fn replicas(call: &Remote, wanted: u64, timeout: u64) -> u64 {
    // 0 is for ever to Redis; nothing here waits longer than any command.
    let end = match timeout {
        0 => call.deadline,
        millis => call
            .deadline
            .min(Instant::now() + Duration::from_millis(millis)),
    };
    let catalog = call.shared.catalog();
    let groups = call
        .wrote
        .iter()
        .filter(|group| catalog.groups.contains_key(group));
    let waits = groups.map(|group| wait_for(call, Arc::clone(&catalog), *group, wanted, end));
    // Nothing was written: nothing has to be anywhere.
    let least = join_all(waits).await.into_iter().min();
    least.unwrap_or(0)
}

async fn wait_for(
    call: &Remote,
    catalog: Arc<Catalog>,
    group: GroupId,
    wanted: u64,
    end: Instant,
) -> u64 {
    let Some(descriptor) = catalog.groups.get(&group) else {
        return 0;
    };
    // The majority that committed, without the leader.
    let sure = descriptor.voters().count() as u64 / 2;
    let nodes: Vec<_> = descriptor
        .replicas
        .iter()
        .map(|replica| replica.node_id)
        .collect();
    let (mut target, mut best) = (None::<LogIndex>, sure);
    while best < wanted {
        let statuses = join_all(
            nodes
                .iter()
                .map(|node| status(call, &catalog, *node, group, end)),
        )
        .await;
        let statuses: Vec<_> = statuses.into_iter().flatten().collect();
        // Any majority has every acknowledged write in some of its logs.
        if target.is_none() && statuses.len() * 2 > nodes.len() {
            target = statuses.iter().map(|status| status.last_index).max();
        }
        let has_all = |status: &&ReplicaStatus| target.is_some_and(|at| status.applied_index >= at);
        let there = statuses.iter().filter(has_all).count();
        best = best.max((there as u64).saturating_sub(1));
        if Instant::now() + PAUSE >= end {
            break;
        }
        if best < wanted {
            tokio::time::sleep(PAUSE).await;
        }
    }
    best
}

async fn status(
    call: &Remote,
    catalog: &Catalog,
    node: NodeId,
    group: GroupId,
    end: Instant,
) -> Option<ReplicaStatus> {
    let addr = &catalog.nodes.get(&node)?.addr;
    let body: Bytes = encode(&ServerRequest::Status);
    let rpc = &call.shared.router.rpc;
    let timeout = ASK_TIMEOUT.min(end.saturating_duration_since(Instant::now()));
    let answer = rpc
        .call(addr, method::SERVER_ADMIN, body, timeout)
        .await
        .ok()?;
    match decode(&answer).ok()? {
        ServerAnswer::Status(replicas) => replicas
            .into_iter()
            .find(|replica| replica.group_id == group),
        _ => None,
    }
}
