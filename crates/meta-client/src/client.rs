//! One request, one answer: finding the leader and trying again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use coterie_protocol::catalog::Catalog;
use coterie_protocol::meta::{Command, Heartbeat, MetaAnswer, MetaRequest, NodeLiveness, Outcome};
use coterie_protocol::{decode, encode, method};
use coterie_rpc::{CallError, Client};
use coterie_types::Revision;
use tokio::sync::watch;

use crate::error::MetaError;
use crate::follow;
use crate::peers::Peers;

/// The longest wait for one member's answer: one that is stuck is passed over in time for another.
const TRY_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest wait for a proposal's answer: giving up early makes its fate unknown.
const PROPOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Heartbeats are repeated anyway.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(2);

const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(320);

/// What meta says to a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeartbeatTaken {
    /// Meta's newest revision.
    pub revision: Revision,
    /// The node was removed: it wipes itself and registers anew.
    pub removed: bool,
}

/// The heartbeats that meta's leader holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Liveness {
    /// Each node heard from in this leader's time.
    pub nodes: Vec<NodeLiveness>,
    /// How long it has led: nobody is judged before a full liveness period.
    pub leader_for: Duration,
}

/// See the crate's head. Clones share what is known of the leader.
#[derive(Debug, Clone)]
pub struct MetaClient {
    rpc: Client,
    peers: Arc<Peers>,
}

/// What to do after one try.
enum Tried {
    Answered(Box<MetaAnswer>),
    /// Not done by this member; another may.
    Elsewhere {
        hint: Option<String>,
        reason: String,
    },
    /// It may have been done.
    MayBeDone,
}

impl MetaClient {
    /// A client of the meta service with these members (`IP:PORT`).
    #[must_use]
    pub fn new(rpc: Client, peers: Vec<String>) -> Self {
        Self {
            rpc,
            peers: Arc::new(Peers::new(peers)),
        }
    }

    /// Changes the catalog; answered after commit and apply. A rejection is an outcome, not an
    /// error.
    pub async fn propose(&self, command: Command, timeout: Duration) -> Result<Outcome, MetaError> {
        match self.ask(&MetaRequest::Propose(command), timeout).await? {
            MetaAnswer::Applied(outcome) => Ok(outcome),
            MetaAnswer::Unknown => Err(MetaError::Unknown),
            other => Err(unexpected(&other)),
        }
    }

    /// The whole catalog, linearizable.
    pub async fn read(&self, timeout: Duration) -> Result<Catalog, MetaError> {
        match self.ask(&MetaRequest::Read, timeout).await? {
            MetaAnswer::Catalog(catalog) => Ok(*catalog),
            other => Err(unexpected(&other)),
        }
    }

    /// Says how a node is.
    pub async fn heartbeat(&self, heartbeat: Heartbeat) -> Result<HeartbeatTaken, MetaError> {
        let request = MetaRequest::Heartbeat(heartbeat);
        match self.ask(&request, HEARTBEAT_TIMEOUT).await? {
            MetaAnswer::HeartbeatTaken { revision, removed } => {
                Ok(HeartbeatTaken { revision, removed })
            }
            other => Err(unexpected(&other)),
        }
    }

    /// How the nodes are, as far as the leader has heard.
    pub async fn liveness(&self) -> Result<Liveness, MetaError> {
        match self.ask(&MetaRequest::Liveness, HEARTBEAT_TIMEOUT).await? {
            MetaAnswer::Liveness {
                nodes,
                leader_for_ms,
            } => Ok(Liveness {
                nodes,
                leader_for: Duration::from_millis(leader_for_ms),
            }),
            other => Err(unexpected(&other)),
        }
    }

    /// Follows the catalog for ever, in a task, which ends when every receiver is gone. The receiver
    /// holds the newest copy; `initial`, or an empty one of revision 0, before the first arrives.
    #[must_use]
    pub fn follow(&self, initial: Option<Catalog>) -> watch::Receiver<Arc<Catalog>> {
        let (sender, receiver) = watch::channel(Arc::new(initial.unwrap_or_default()));
        tokio::spawn(follow::run(
            self.rpc.clone(),
            Arc::clone(&self.peers),
            sender,
        ));
        receiver
    }

    async fn ask(&self, request: &MetaRequest, timeout: Duration) -> Result<MetaAnswer, MetaError> {
        let deadline = Instant::now() + timeout;
        let body = encode(request);
        let changes_something = matches!(request, MetaRequest::Propose(_));
        let mut hint = None;
        let mut pause = PAUSE_MIN;
        for attempt in 0.. {
            let Some(addr) = hint.take().or_else(|| self.peers.at_try(attempt)) else {
                let reason = "no meta member is configured".to_owned();
                return Err(MetaError::Unavailable { reason });
            };
            let left = deadline.saturating_duration_since(Instant::now());
            let one_try = if changes_something {
                PROPOSE_TIMEOUT
            } else {
                TRY_TIMEOUT
            };
            let answer = self
                .rpc
                .call(&addr, method::META, body.clone(), left.min(one_try))
                .await;
            let reason = match judge(answer, changes_something)? {
                Tried::Answered(answer) => {
                    self.peers.led(&addr);
                    return Ok(*answer);
                }
                Tried::MayBeDone => return Err(MetaError::Unknown),
                Tried::Elsewhere { hint: to, reason } => {
                    self.peers.did_not_lead(&addr);
                    hint = to.filter(|to| *to != addr);
                    reason
                }
            };
            if Instant::now() + pause >= deadline {
                return Err(MetaError::Unavailable { reason });
            }
            // A hint is followed at once, and so is the list, once through; then with pauses. But
            // members may send one around in a circle.
            if attempt >= self.peers.len() {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
        unreachable!("the loop above ends by returning")
    }
}

/// What one member's answer, or its absence, means.
fn judge(
    answer: Result<bytes::Bytes, CallError>,
    changes_something: bool,
) -> Result<Tried, MetaError> {
    let elsewhere = |reason: String| Tried::Elsewhere { hint: None, reason };
    match answer {
        Ok(body) => match decode(&body) {
            Ok(MetaAnswer::NotLeader { addr, .. }) => Ok(Tried::Elsewhere {
                hint: addr,
                reason: "no leader was found".to_owned(),
            }),
            Ok(MetaAnswer::Malformed(reason)) => Err(MetaError::Misunderstood { reason }),
            Ok(answer) => Ok(Tried::Answered(Box::new(answer))),
            Err(error) => Err(MetaError::Misunderstood {
                reason: error.to_string(),
            }),
        },
        Err(error) if error.surely_not_executed() || !changes_something => {
            Ok(elsewhere(error.to_string()))
        }
        Err(_) => Ok(Tried::MayBeDone),
    }
}

fn unexpected(answer: &MetaAnswer) -> MetaError {
    let mut reason = format!("not an answer to the question: {answer:?}");
    reason.truncate(reason.floor_char_boundary(200));
    MetaError::Misunderstood { reason }
}
