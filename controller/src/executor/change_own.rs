//! A change that a group makes to a range of its own: a split or a merge.

use coterie_protocol::server::{ReplicaStatus, ServerAnswer, ServerRequest};
use coterie_types::RangeDescriptor;
use tokio::time::Instant;

use super::cx::{Cx, Stop, Taken};
use super::leader::Consulted;
use super::tries::Tries;
use crate::job::Step;
use crate::ports::{Meta, Servers};

/// Asks the group of `range` for the change; the step `publish` comes after it. If the group
/// refuses, the state that its leader has applied tells whether the change was made before
/// (`is_done`), is no longer possible, or may succeed the next time.
pub(super) async fn change_own(
    cx: &Cx<impl Meta, impl Servers>,
    range: &RangeDescriptor,
    request: &ServerRequest,
    publish: Step,
    is_done: impl Fn(&ReplicaStatus) -> bool,
    tries: &mut Tries,
) -> Result<Taken, Stop> {
    let group_id = range.group_id;
    let asked_at = Instant::now();
    let refusal = match cx.consult_group(group_id, request).await? {
        Consulted::Answered(_, ServerAnswer::Ok) => {
            let elapsed_ms = asked_at.elapsed().as_millis();
            let line = format!(
                "group {group_id} has changed range {}; its writes paused for {elapsed_ms} ms \
                 at most",
                range.range_id
            );
            return Ok(Taken::Turn(publish, line));
        }
        Consulted::Refused(reason) => reason,
        other => return Ok(Taken::Wait(other.into_reason())),
    };
    Ok(match cx.leader_status(group_id).await? {
        Err(reason) => Taken::Wait(reason),
        Ok((_, status)) if is_done(&status) => Taken::Next(publish),
        Ok((_, status)) if status.ranges.contains(range) && tries.may_be_refused() => {
            Taken::Wait(refusal)
        }
        Ok(_) => Taken::GiveUp(refusal),
    })
}
