//! Whether a node gets on with the replica that it is to take in. Each job that brings a replica
//! somewhere keeps its group from all else, and is one of the few that may be under way at once: it
//! must not wait for ever for a node that cannot.
//!
//! A node that says that its replica has stopped, or is not there any more, is given up at once; one
//! that gets no further, after a while. A snapshot shows nowhere before all of it has come, so its
//! size is allowed for. While nobody leads the group the node can do nothing, which is not held
//! against it; if that lasts the job goes back, and waits where it is in nobody's way.

use std::time::Duration;

use coterie_protocol::server::{ReplicaStatus, ServerAnswer, ServerRequest};
use coterie_types::LogIndex;
use tokio::time::Instant;

use super::replace::{DIGEST_TIMEOUT, Replacement};
use super::{ASK_TIMEOUT, Executor, Recall, Stop};
use crate::job::ReplacePhase;
use crate::ports::{Meta, Servers};

/// How long a node may get no further.
const PATIENCE: Duration = Duration::from_secs(300);

/// Bytes per second of a snapshot that no network of a cluster is below, nor a disk that is counted.
const BYTES_PER_SECOND_MIN: u64 = 1 << 20;

/// How often one looks.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How a node was when it was looked at.
#[derive(Clone, Copy)]
pub(super) struct Watched {
    looked_at: Instant,
    /// When the group was led.
    led_at: Instant,
    /// The last entry that the node had, and since when.
    reach: LogIndex,
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

impl<M: Meta, S: Servers> Executor<M, S> {
    /// Where a job that has to wait goes back to, and why; none while it may go on waiting.
    pub(super) async fn given_up(
        &self,
        phase: ReplacePhase,
        replacement: Replacement<'_>,
        recall: &mut Recall,
    ) -> Result<Option<(ReplacePhase, String)>, Stop> {
        let Replacement { group_id, to, .. } = replacement;
        let now = Instant::now();
        let watched = recall.watched.get_or_insert(Watched::from(now));
        if now - watched.looked_at < LOOK_EVERY {
            return Ok(None);
        }
        watched.looked_at = now;
        let leader = match self.leader_status(group_id).await? {
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
        // The group may have made the change, which is then asked for until it is whole.
        if replacement.is_made(&leader) {
            return Ok(None);
        }
        let found = self.ask(to, ServerRequest::Status, ASK_TIMEOUT).await?;
        let found = match found {
            Ok(ServerAnswer::Status(replicas)) => {
                Some(replicas.into_iter().find(|s| s.group_id == group_id))
            }
            // It is starting, or away: then meta will say so.
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
                watched.reach(&found.flatten(), &leader, replacement, now);
                let lasts = now - watched.moved_at;
                let patience = patience(phase, leader.size_bytes);
                patience.is_some_and(|most| lasts >= most).then(|| {
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
    /// Notes whether the node has more of the log, by its own word or the leader's.
    fn reach(
        &mut self,
        own: &Option<ReplicaStatus>,
        leader: &ReplicaStatus,
        replacement: Replacement<'_>,
        now: Instant,
    ) {
        let mut matched = leader.matched.iter();
        let matched = matched.find(|(node_id, _)| *node_id == replacement.to);
        let own = own
            .as_ref()
            .map(|own| own.last_index.max(own.applied_index));
        let reach = own.max(matched.map(|(_, index)| *index));
        if let Some(reach) = reach.filter(|reach| *reach > self.reach) {
            (self.reach, self.moved_at) = (reach, now);
        }
    }
}

/// How long a node may get no further in this phase; none is for ever: once the members were asked
/// to change only the group knows what became of it.
fn patience(phase: ReplacePhase, size_bytes: u64) -> Option<Duration> {
    let bytes = Duration::from_secs(size_bytes / BYTES_PER_SECOND_MIN);
    match phase {
        ReplacePhase::Create => Some(PATIENCE),
        ReplacePhase::Learn => Some(PATIENCE + bytes),
        ReplacePhase::Verify => Some(PATIENCE + DIGEST_TIMEOUT + bytes),
        _ => None,
    }
}
