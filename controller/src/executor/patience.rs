//! Whether a node makes progress with a replica that it is to host. The job blocks all other
//! changes of its group, and few jobs of its kind may run at the same time in the cluster: it must
//! not wait for ever for a node that cannot host the replica.
//!
//! The job gives up at once if the node reports that the replica has stopped or is missing, and
//! after a while if the node makes no progress. A snapshot shows no progress before all of it has
//! arrived, so the limit grows with its size. While the group has no leader the node can make no
//! progress, and that time does not count. If it lasts, the job goes back and does not block the
//! group.

use std::time::Duration;

use coterie_protocol::server::{ReplicaStatus, ServerAnswer, ServerRequest};
use coterie_types::{GroupId, LogIndex, NodeId};
use tokio::time::Instant;

use super::cx::{ASK_TIMEOUT, Cx, Stop};
use super::digest::DIGEST_TIMEOUT;
use super::leader::has_voter;
use crate::job::ReplacePhase;
use crate::ports::{Meta, Servers};

/// How long a node may make no progress.
const PATIENCE: Duration = Duration::from_secs(300);

/// The slowest network or disk that is allowed for, in bytes of a snapshot per second.
const BYTES_PER_SECOND_MIN: u64 = 1 << 20;

/// Between two looks at the node.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The progress of a node in a phase, from the first attempt that had to wait.
#[derive(Default)]
pub(super) struct Patience(Option<Watched>);

#[derive(Clone, Copy)]
struct Watched {
    looked_at: Instant,
    /// When the group last had a leader.
    led_at: Instant,
    /// The last log entry that the node has.
    reach: LogIndex,
    /// When `reach` last grew.
    moved_at: Instant,
}

impl Watched {
    fn from(now: Instant) -> Self {
        Self {
            looked_at: now,
            led_at: now,
            reach: LogIndex(0),
            moved_at: now,
        }
    }
}

impl Patience {
    /// The phase that a waiting job goes back to, and the reason. `None` while it may wait on.
    pub(super) async fn given_up(
        &mut self,
        cx: &Cx<impl Meta, impl Servers>,
        phase: ReplacePhase,
        group_id: GroupId,
        to: NodeId,
    ) -> Result<Option<(ReplacePhase, String)>, Stop> {
        let now = Instant::now();
        let watched = self.0.get_or_insert(Watched::from(now));
        if now - watched.looked_at < LOOK_EVERY {
            return Ok(None);
        }
        watched.looked_at = now;
        let leader = match cx.leader_status(group_id).await? {
            Ok((_, leader)) => leader,
            Err(reason) => {
                watched.moved_at = now;
                let unled_for = now - watched.led_at;
                let is_over = unled_for >= PATIENCE && phase < ReplacePhase::Change;
                let reason = format!("{reason}, for {} s", unled_for.as_secs());
                return Ok(is_over.then_some((ReplacePhase::Undo, reason)));
            }
        };
        watched.led_at = now;
        // The group may have made the change already: then the job only goes forward.
        if has_voter(&leader, to) {
            return Ok(None);
        }
        let found = cx.ask(to, ServerRequest::Status, ASK_TIMEOUT).await?;
        let found = match found {
            Ok(ServerAnswer::Status(replicas)) => {
                Some(replicas.into_iter().find(|s| s.group_id == group_id))
            }
            // The node is starting or away. If it is away, meta will notice.
            _ => None,
        };
        let reason = match &found {
            Some(Some(ReplicaStatus {
                fault: Some(fault), ..
            })) => Some(format!(
                "node {to} has stopped its replica of group {group_id} ({fault})"
            )),
            Some(None) if phase > ReplacePhase::Create => Some(format!(
                "node {to} has no replica of group {group_id} any more"
            )),
            _ => {
                watched.reach(&found.flatten(), &leader, to, now);
                let lasts = now - watched.moved_at;
                let limit = limit(phase, leader.size_bytes);
                limit.is_some_and(|limit| lasts >= limit).then(|| {
                    format!(
                        "node {to} has got no further with its replica of group {group_id} for \
                         {} s",
                        lasts.as_secs()
                    )
                })
            }
        };
        Ok(reason.map(|reason| (ReplacePhase::Refuse, reason)))
    }
}

impl Watched {
    /// Notes whether the node has more of the log, by its own report or by the leader's.
    fn reach(
        &mut self,
        own: &Option<ReplicaStatus>,
        leader: &ReplicaStatus,
        to: NodeId,
        now: Instant,
    ) {
        let mut matched = leader.matched.iter();
        let matched = matched.find(|(node_id, _)| *node_id == to);
        let own = own
            .as_ref()
            .map(|own| own.last_index.max(own.applied_index));
        let reach = own.max(matched.map(|(_, index)| *index));
        if let Some(reach) = reach.filter(|reach| *reach > self.reach) {
            (self.reach, self.moved_at) = (reach, now);
        }
    }
}

/// How long a node may make no progress in this phase. `None` is for ever: once the group was asked
/// to change its members, only the group knows the outcome.
fn limit(phase: ReplacePhase, size_bytes: u64) -> Option<Duration> {
    let bytes = Duration::from_secs(size_bytes / BYTES_PER_SECOND_MIN);
    match phase {
        ReplacePhase::Create => Some(PATIENCE),
        ReplacePhase::Learn => Some(PATIENCE + bytes),
        ReplacePhase::Verify => Some(PATIENCE + DIGEST_TIMEOUT + bytes),
        _ => None,
    }
}
