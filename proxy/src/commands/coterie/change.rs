//! The changes of `COTERIE`, through meta or a group's leader.

use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_protocol::catalog::Catalog;
use coterie_protocol::meta::{Command, Outcome, Rejection};
use coterie_protocol::objects::{Expected, ObjectChange};
use coterie_protocol::server::{ServerAnswer, ServerRequest};
use coterie_protocol::{decode, encode, method};
use coterie_redis_compat::errors::SYNTAX;
use coterie_redis_compat::{CommandError, Reply, Word};
use coterie_types::{GroupId, NodeId, NodeState};

use super::{error, name_at, number, pair};
use crate::commands::{Remote, int, text};

/// How long a transfer of leadership may take.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the copy of the catalog may take to show a change.
const COPY_TIMEOUT: Duration = Duration::from_secs(1);

/// Proposes a change of the catalog.
pub(in crate::commands) async fn propose(
    call: &Remote,
    command: Command,
) -> Result<Outcome, CommandError> {
    let outcome = try_propose(call, command).await?;
    outcome.map_err(|reason| error(reason.to_string()))
}

/// As [`propose`]; meta's reason if it rejects the change.
async fn try_propose(
    call: &Remote,
    command: Command,
) -> Result<Result<Outcome, Rejection>, CommandError> {
    let timeout = call.deadline.saturating_duration_since(Instant::now());
    match call.shared.meta.propose(command, timeout).await {
        Ok(Outcome::Rejected(reason)) => Ok(Err(reason)),
        Ok(outcome) => {
            // The next command at this proxy sees it; a copy that is late is no reason to fail.
            let mut copy = call.shared.catalog.clone();
            let shown = copy.wait_for(|copy| shows(copy, &outcome));
            let _ = tokio::time::timeout(COPY_TIMEOUT, shown).await;
            Ok(Ok(outcome))
        }
        Err(coterie_meta_client::MetaError::Unknown) => Err(CommandError::Unknown(
            "meta may or may not have made the change".to_owned(),
        )),
        Err(reason) => Err(CommandError::TryAgain(reason.to_string())),
    }
}

/// Changes objects, if they are as expected; meta's reason if it rejects the change.
pub(in crate::commands) async fn put_objects(
    call: &Remote,
    expected: Vec<Expected>,
    changes: Vec<ObjectChange>,
) -> Result<Result<(), Rejection>, CommandError> {
    let command = Command::PutObjects { expected, changes };
    let outcome = try_propose(call, command).await?;
    Ok(outcome.map(|_| ()))
}

/// Whether a copy of the catalog has come as far as the outcome. Ids only rise.
fn shows(copy: &Catalog, outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Done { revision } => copy.revision >= *revision,
        Outcome::Job(job_id) => copy.jobs.range(job_id..).next().is_some(),
        Outcome::Table(table) => copy.tables.range(table.table_id..).next().is_some(),
        _ => true,
    }
}

/// `COTERIE LEADER group node`.
pub(super) async fn leader(call: &Remote) -> Result<Reply, CommandError> {
    let (group_id, to) = (GroupId(number(call, 2)?), NodeId(number(call, 3)?));
    let catalog = call.shared.catalog();
    let group = catalog
        .groups
        .get(&group_id)
        .ok_or_else(|| error("no such group"))?;
    if !group.voters().any(|node| node == to) {
        return Err(error("the node has no voting replica of the group"));
    }
    let request = encode(&ServerRequest::TransferLeader {
        group_id,
        to,
        // An operator's wish stands beside the controller's: it is not fenced off by it.
        fence: catalog.lease.fence,
    });
    // The leader is asked; another replica names the leader.
    let mut candidates: Vec<NodeId> = group.voters().collect();
    let mut reason = "no replica of the group answered".to_owned();
    while let Some(node) = candidates.pop() {
        let Some(descriptor) = catalog.nodes.get(&node) else {
            continue;
        };
        let rpc = &call.shared.router.rpc;
        let answer = rpc
            .call(
                &descriptor.addr,
                method::SERVER_ADMIN,
                request.clone(),
                TRANSFER_TIMEOUT,
            )
            .await;
        match answer.map(|body| decode::<ServerAnswer>(&body)) {
            Ok(Ok(ServerAnswer::Ok)) => return Ok(Reply::OK),
            Ok(Ok(ServerAnswer::NotLeader { leader })) => {
                reason = format!("node {node} does not lead");
                // The hint is asked next, once.
                if let Some(at) = candidates.iter().position(|known| Some(*known) == leader) {
                    let hinted = candidates.remove(at);
                    candidates.push(hinted);
                }
            }
            Ok(Ok(ServerAnswer::Failed(why))) => return Err(error(why)),
            Ok(Ok(ServerAnswer::Fenced { seen })) => {
                return Err(error(format!("fenced: the controller's number is {seen}")));
            }
            Ok(Ok(_)) => reason = format!("node {node} has no replica of the group"),
            Ok(Err(malformed)) => reason = malformed.to_string(),
            Err(failed) => reason = failed.to_string(),
        }
    }
    Err(CommandError::TryAgain(reason))
}

/// `COTERIE NODE DRAIN|RESUME|REMOVE id`.
pub(super) async fn node(call: &Remote) -> Result<Reply, CommandError> {
    let state = match Word(&call.args[2]).keyword().as_str() {
        "drain" => NodeState::Draining,
        "resume" => NodeState::Up,
        "remove" => NodeState::Removed,
        _ => return Err(SYNTAX),
    };
    let command = Command::SetNodeState {
        node_id: NodeId(number(call, 3)?),
        state,
        // An operator.
        fence: 0,
    };
    propose(call, command).await.map(|_| Reply::OK)
}

/// `COTERIE TABLE CREATE name [SPLIT key ...] | DROP name | LIST`.
pub(super) async fn table(call: &Remote) -> Result<Reply, CommandError> {
    let words = call.args.len();
    if call.is(2, "list") && words == 3 {
        return Ok(tables(call));
    }
    if words < 4 {
        return Err(SYNTAX);
    }
    let name = name_at(call, 3)?.to_owned();
    if call.is(2, "create") {
        let split_at = match words {
            4 => Vec::new(),
            6.. if call.is(4, "split") => boundaries(&call.args[5..])?,
            _ => return Err(SYNTAX),
        };
        return match propose(call, Command::CreateTable { name, split_at }).await? {
            Outcome::Table(table) => Ok(int(table.table_id.0.into())),
            _ => Ok(Reply::OK),
        };
    }
    if call.is(2, "drop") && words == 4 {
        return propose(call, Command::DropTable { name })
            .await
            .map(|_| Reply::OK);
    }
    Err(SYNTAX)
}

fn tables(call: &Remote) -> Reply {
    let catalog = call.shared.catalog();
    let tables = catalog.tables.values().map(|table| {
        let ranges = catalog.ranges_of(table.table_id).count();
        Reply::Map(vec![
            pair("id", int(table.table_id.0.into())),
            pair("name", text(table.name.clone())),
            pair("ranges", int(ranges as u64)),
        ])
    });
    Reply::Array(tables.collect())
}

/// Keys as the client sent them, as meta wants them: sorted, each once. Copies: slices would keep
/// read buffers in memory.
fn boundaries(keys: &[Bytes]) -> Result<Vec<Bytes>, CommandError> {
    if keys.iter().any(Bytes::is_empty) {
        return Err(error("a table is not split at the empty key"));
    }
    let mut keys: Vec<_> = keys.iter().map(|key| Bytes::copy_from_slice(key)).collect();
    keys.sort();
    keys.dedup();
    Ok(keys)
}
