//! Requests about ranges: to add, drop, split, merge and move them. Requests become entries here,
//! the group's log decides, and the answers of the entries are returned.

use std::time::Duration;

use coterie_group::{Body, RangeChange};
use coterie_protocol::server::{ServerAnswer, ServerRequest};
use coterie_types::{GroupId, RangeDescriptor, UnixMillis};

use super::failed::propose_error;
use crate::node::Node;
use crate::replica::Replica;

/// How long a hand-off waits for the new owner to serve, before it is answered without. `handover`
/// keeps telling the new owner after that.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an announcement waits for the place of the range to be empty. The controller repeats
/// it.
const SPACE_TIMEOUT: Duration = Duration::from_secs(5);

type Answer = Result<ServerAnswer, ServerAnswer>;

/// Answers a request about ranges.
pub(super) async fn answer(node: &Node, request: ServerRequest) -> Answer {
    match request {
        ServerRequest::HandOff {
            group_id, range, ..
        } => hand_off(node, group_id, range).await,
        ServerRequest::Activate {
            group_id,
            range_id,
            epoch,
            clock,
        } => {
            let replica = node.replica(group_id).ok_or(ServerAnswer::NoSuchGroup)?;
            // The entry carries this clock: a record that expired at the source stays expired here.
            replica.shared.observe(clock);
            let change = RangeChange::Activate { range_id, epoch };
            propose(&replica, Body::Change(change)).await.map(done)
        }
        ServerRequest::ImportState {
            group_id,
            range_id,
            epoch,
        } => {
            let replica = leader(node, group_id)?;
            Ok(ServerAnswer::Import(replica.import_state(range_id, epoch)))
        }
        ServerRequest::SplitPoint { group_id, range_id } => {
            let replica = node.replica(group_id).ok_or(ServerAnswer::NoSuchGroup)?;
            let asked = replica.clone();
            let looking = tokio::task::spawn_blocking(move || asked.split_point(range_id));
            let found = looking
                .await
                .map_err(|e| ServerAnswer::Failed(e.to_string()))?;
            let found = found.map_err(ServerAnswer::Failed)?;
            Ok(match found {
                Some(point) => ServerAnswer::SplitPoint {
                    at: Some(point.at),
                    left_bytes: point.left_bytes,
                    right_bytes: point.right_bytes,
                },
                None => ServerAnswer::SplitPoint {
                    at: None,
                    left_bytes: replica.range_bytes(range_id),
                    right_bytes: 0,
                },
            })
        }
        ServerRequest::BeginImport {
            group_id,
            range,
            source,
            ..
        } => begin_import(node, group_id, range, source).await,
        other => {
            let Some((group_id, body)) = body_of(other) else {
                return Err(ServerAnswer::Failed("nothing about ranges".to_owned()));
            };
            let replica = node.replica(group_id).ok_or(ServerAnswer::NoSuchGroup)?;
            propose(&replica, body).await.map(done)
        }
    }
}

/// The entry for a request that needs nothing but an entry.
fn body_of(request: ServerRequest) -> Option<(GroupId, Body)> {
    let (group_id, change) = match request {
        ServerRequest::AddRanges {
            group_id, ranges, ..
        } => return Some((group_id, Body::AddRanges(ranges))),
        ServerRequest::DropRanges {
            group_id, ranges, ..
        } => return Some((group_id, Body::DropRanges(ranges))),
        ServerRequest::SplitRange {
            group_id,
            range,
            at,
            right_id,
            ..
        } => (
            group_id,
            RangeChange::Split {
                range,
                at,
                right_id,
            },
        ),
        ServerRequest::MergeRanges {
            group_id,
            left,
            right,
            ..
        } => (group_id, RangeChange::Merge { left, right }),
        ServerRequest::CancelImport {
            group_id,
            range_id,
            epoch,
            ..
        } => (group_id, RangeChange::CancelImport { range_id, epoch }),
        ServerRequest::DropFrozen {
            group_id,
            range_id,
            epoch,
            ..
        } => (group_id, RangeChange::DropFrozen { range_id, epoch }),
        _ => return None,
    };
    Some((group_id, Body::Change(change)))
}

/// Announces a range, and waits until its place is empty, so that nobody waits for that when it
/// comes.
async fn begin_import(
    node: &Node,
    group_id: GroupId,
    range: RangeDescriptor,
    source: GroupId,
) -> Answer {
    let replica = node.replica(group_id).ok_or(ServerAnswer::NoSuchGroup)?;
    let change = RangeChange::BeginImport { range, source };
    let done = propose(&replica, Body::Change(change)).await.map(done)?;
    let cleared = tokio::time::timeout(SPACE_TIMEOUT, replica.wait_for_space());
    match cleared.await {
        Ok(()) => Ok(done),
        Err(_) => Err(ServerAnswer::Failed(
            "what was in its place is still being cleared".to_owned(),
        )),
    }
}

/// Hands a range off, and waits a moment for its new owner to serve it.
async fn hand_off(node: &Node, group_id: GroupId, range: RangeDescriptor) -> Answer {
    let replica = node.replica(group_id).ok_or(ServerAnswer::NoSuchGroup)?;
    let mut changed = replica.shared.ownership_changed();
    let change = RangeChange::HandOff {
        range: range.clone(),
    };
    let clock = propose(&replica, Body::Change(change)).await?;
    let told = async {
        // An error means that the replica has ended; then the new owner was not told.
        while !replica.shared.is_told(&range) && changed.changed().await.is_ok() {}
    };
    let waited = tokio::time::timeout(HAND_OVER_TIMEOUT, told).await;
    let activated = waited.is_ok() && replica.shared.is_told(&range);
    let pause = replica.shared.pause_of(&range).filter(|_| activated);
    Ok(ServerAnswer::HandedOff {
        clock,
        activated,
        pause_micros: pause.and_then(|pause| u64::try_from(pause.as_micros()).ok()),
    })
}

async fn propose(replica: &Replica, body: Body) -> Result<UnixMillis, ServerAnswer> {
    match replica.change_ranges(body).await {
        Ok(Ok(clock)) => Ok(clock),
        Ok(Err(refusal)) => Err(ServerAnswer::Failed(refusal)),
        Err(error) => Err(propose_error(&error)),
    }
}

fn done(_clock: UnixMillis) -> ServerAnswer {
    ServerAnswer::Ok
}

/// The replica, if it leads, since followers may be behind. A replica that led a moment ago may be
/// behind, too; then its answer about an import only comes late.
fn leader(node: &Node, group_id: GroupId) -> Result<Replica, ServerAnswer> {
    let replica = node.replica(group_id).ok_or(ServerAnswer::NoSuchGroup)?;
    if replica.group.is_leader() {
        return Ok(replica);
    }
    let (leader, _) = replica.group.leader();
    Err(ServerAnswer::NotLeader {
        leader: leader.filter(|leader| *leader != node.node_id),
    })
}
