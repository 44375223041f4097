//! Requests to meta: finds the leader, retries.

use std::sync::Arc;
use std::time::{Duration, Instant};

use coterie_protocol::catalog::Catalog;
use coterie_protocol::meta::{Command, Heartbeat, MetaAnswer, MetaRequest, NodeLiveness, Outcome};
use coterie_protocol::proxies::ProxyReport;
use coterie_protocol::{decode, encode, method};
use coterie_rpc::{CallError, Client};
use coterie_types::Revision;
use tokio::sync::watch;

use crate::error::MetaError;
use crate::follow;
use crate::peers::Peers;

/// Timeout of a member's answer: a stuck member is skipped in time for another.
const TRY_TIMEOUT: Duration = Duration::from_secs(2);

/// Timeout of a proposal's answer: an early timeout makes its fate unknown.
const PROPOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Short, since heartbeats are repeated anyway.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(2);

const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(320);

/// Meta's answer to a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeartbeatTaken {
    /// Meta's newest revision.
    pub revision: Revision,
    /// The node was removed: it must wipe itself and register again.
    pub removed: bool,
}

/// The heartbeats that meta's leader holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Liveness {
    /// Each node heard from in this leader's time.
    pub nodes: Vec<NodeLiveness>,
    /// How long it has led: no node may be judged before a full liveness period.
    pub leader_for: Duration,
}

/// The client of meta; see the crate's head. Clones share the known leader.
#[derive(Debug, Clone)]
pub struct MetaClient {
    rpc: Client,
    peers: Arc<Peers>,
}

/// The outcome of an attempt.
enum Tried {
    Answered(Box<MetaAnswer>),
    /// Certainly not done by this member; another member may do it.
    Elsewhere {
        hint: Option<String>,
        reason: String,
    },
    /// The request may have been executed.
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

    /// Reports the state of a node.
    pub async fn heartbeat(&self, heartbeat: Heartbeat) -> Result<HeartbeatTaken, MetaError> {
        let request = MetaRequest::Heartbeat(heartbeat);
        match self.ask(&request, HEARTBEAT_TIMEOUT).await? {
            MetaAnswer::HeartbeatTaken { revision, removed } => {
                Ok(HeartbeatTaken { revision, removed })
            }
            other => Err(unexpected(&other)),
        }
    }

    /// The heartbeats of the nodes, as far as the leader has received them.
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

    /// Reports a proxy; returns the proxies that the leader knows, and whether it knows all.
    pub async fn proxy(
        &self,
        report: ProxyReport,
        leaves: bool,
    ) -> Result<(Vec<ProxyReport>, bool), MetaError> {
        let request = MetaRequest::Proxy { report, leaves };
        match self.ask(&request, HEARTBEAT_TIMEOUT).await? {
            MetaAnswer::Proxies {
                reports,
                is_complete,
            } => Ok((reports, is_complete)),
            other => Err(unexpected(&other)),
        }
    }

    /// Follows the catalog in a task, which ends when every receiver is dropped. The receiver holds
    /// the newest copy; until the first arrives, `initial`, or an empty catalog of revision 0.
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
            // The first round over the members, hints included, is without pauses. Later attempts
            // pause, since members may send a caller round in a circle.
            if attempt >= self.peers.len() {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
        unreachable!("the loop above ends by returning")
    }
}

/// Interprets the answer of a member, or its absence.
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
