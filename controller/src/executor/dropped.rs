//! The end of a job about ranges whose table is dropped meanwhile.

use coterie_protocol::server::ServerRequest;
use coterie_types::{GroupId, RangeId};

use super::cx::{Cx, Stop, Taken};
use crate::ports::{Meta, Servers};

/// The last line of the job's log.
pub(super) const DROPPED: &str = "the table was dropped meanwhile";

/// Has a group delete ranges and their records.
pub(super) async fn ask_to_drop(
    cx: &Cx<impl Meta, impl Servers>,
    group_id: GroupId,
    ranges: Vec<RangeId>,
) -> Result<Result<(), String>, Stop> {
    let request = ServerRequest::DropRanges {
        group_id,
        ranges,
        fence: cx.fence,
    };
    cx.ask_group(group_id, &request).await
}

/// Ends the job: the group deletes the ranges, and from then on refuses every other change of them.
/// Other ranges of the table are the planner's task.
pub(super) async fn remove(
    cx: &Cx<impl Meta, impl Servers>,
    group_id: GroupId,
    ranges: Vec<RangeId>,
) -> Result<Taken, Stop> {
    if !cx.catalog().groups.contains_key(&group_id) {
        return Ok(Taken::Done(DROPPED.to_owned()));
    }
    Ok(match ask_to_drop(cx, group_id, ranges).await? {
        Ok(()) => Taken::Done(DROPPED.to_owned()),
        Err(reason) => Taken::Wait(reason),
    })
}
