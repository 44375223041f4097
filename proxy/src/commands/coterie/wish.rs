//! The wishes of an operator to the controller: each wish is a job from the start, and its id is
//! answered at once. How it goes on is in `COTERIE JOBS`.
//!
//! A wish that is a mistake by this proxy's copy of the catalog is refused here. About the others
//! the controller decides by the newest state, and gives its reasons in the job's log.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use coterie_protocol::catalog::Wish;
use coterie_protocol::meta::{Command, Outcome};
use coterie_redis_compat::errors::SYNTAX;
use coterie_redis_compat::{CommandError, Reply};
use coterie_types::{GroupId, NodeId, UnixMillis};

use super::change::propose;
use super::{error, number, table};
use crate::commands::{Remote, int};

/// `COTERIE SPLIT table key`.
pub(super) async fn split(call: &Remote) -> Result<Reply, CommandError> {
    let (table, at) = (table(call, 2)?, key(call, 3));
    if at.is_empty() {
        return Err(error("a range is not split at the empty key"));
    }
    ask(call, Wish::Split { table, at }).await
}

/// `COTERIE MERGE table key`.
pub(super) async fn merge(call: &Remote) -> Result<Reply, CommandError> {
    let (table, key) = (table(call, 2)?, key(call, 3));
    ask(call, Wish::Merge { table, key }).await
}

/// `COTERIE MOVE table key GROUP id|NEW`; `GROUP` may be left out before `NEW`.
pub(super) async fn move_range(call: &Remote) -> Result<Reply, CommandError> {
    let (table, key) = (table(call, 2)?, key(call, 3));
    let last = call.args.len() - 1;
    if last == 5 && !call.is(4, "group") {
        return Err(SYNTAX);
    }
    let to = if call.is(last, "new") {
        None
    } else if last == 5 {
        Some(group(call, 5)?)
    } else {
        return Err(SYNTAX);
    };
    ask(call, Wish::Move { table, key, to }).await
}

/// `COTERIE REPLACE group node`.
pub(super) async fn replace(call: &Remote) -> Result<Reply, CommandError> {
    let (group_id, node_id) = (group(call, 2)?, NodeId(number(call, 3)?));
    let catalog = call.shared.catalog();
    let replicas = catalog.groups.get(&group_id).map(|group| &group.replicas);
    if !replicas.is_some_and(|of| of.iter().any(|replica| replica.node_id == node_id)) {
        return Err(error("the node has no replica of the group"));
    }
    ask(call, Wish::Replace { group_id, node_id }).await
}

async fn ask(call: &Remote, wish: Wish) -> Result<Reply, CommandError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = UnixMillis(now.unwrap_or_default().as_millis() as u64);
    match propose(call, Command::Ask { wish, now }).await? {
        Outcome::Job(job_id) => Ok(int(job_id.0)),
        other => Err(error(format!("meta answered {other:?}"))),
    }
}

/// A copy: a slice would keep a read buffer in memory.
fn key(call: &Remote, at: usize) -> Bytes {
    Bytes::copy_from_slice(&call.args[at])
}

fn group(call: &Remote, at: usize) -> Result<GroupId, CommandError> {
    let group_id = GroupId(number(call, at)?);
    let known = call.shared.catalog().groups.contains_key(&group_id);
    known
        .then_some(group_id)
        .ok_or_else(|| error(format!("no such group '{group_id}'")))
}
