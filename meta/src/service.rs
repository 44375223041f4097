//! Requests to a member: Raft's messages go to Raft, [`MetaRequest`]s are answered here.
//!
//! Commands and linearizable reads need the leader, as do heartbeats, which live in its memory
//! alone (`liveness`). Any member serves watches from its applied state, and reports its standing
//! (`joining`). A request runs in a task of its own, within the caller's deadline.

use std::sync::Arc;
use std::time::Instant;

use coterie_protocol::meta::{Birth, Command, MetaAnswer, MetaRequest, Standing};
use coterie_protocol::{decode, encode, method};
use coterie_raft::{Group, Part, ProposeError, RaftNode};
use coterie_rpc::{Handler, Request, Responder};
use coterie_types::{NodeId, NodeState};
use parking_lot::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

use crate::held::Held;
use crate::members::Members;

mod clock;
mod liveness;
mod proxies;
mod watch;

use clock::LeaseClock;
use liveness::Liveness;
use proxies::Proxies;

/// A command is a few rows; a larger command is a mistake.
const COMMAND_BYTES_MAX: usize = 8 << 20;

/// See the module's head.
pub(crate) struct Service {
    group: Group,
    raft: Arc<RaftNode>,
    held: Arc<Held>,
    members: Arc<Members>,
    /// The stage of birth in the member's directory when it was opened.
    own: Birth,
    liveness: Mutex<Liveness>,
    proxies: Mutex<Proxies>,
    clock: Mutex<LeaseClock>,
    /// Ends watches early when the member stops, so that it does not wait for them.
    stopping: CancellationToken,
}

impl Service {
    pub(crate) fn new(
        raft: Arc<RaftNode>,
        group: Group,
        held: Arc<Held>,
        members: Arc<Members>,
        own: Birth,
        stopping: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            group,
            raft,
            held,
            members,
            own,
            liveness: Mutex::default(),
            proxies: Mutex::default(),
            clock: Mutex::default(),
            stopping,
        })
    }

    async fn answer(&self, request: MetaRequest, deadline: Instant) -> MetaAnswer {
        match request {
            MetaRequest::Propose(command) => self.propose(command, deadline).await,
            MetaRequest::Read => match self.barrier(deadline).await {
                Ok(()) => MetaAnswer::Catalog(Box::new(self.held.snapshot().state.catalog.clone())),
                Err(not_leader) => not_leader,
            },
            MetaRequest::Watch { after, wait_ms } => {
                let watching = watch::answer(&self.held, after, wait_ms, deadline);
                let watched = self.stopping.run_until_cancelled(watching).await;
                watched.unwrap_or(MetaAnswer::Changes(Vec::new()))
            }
            MetaRequest::Heartbeat(heartbeat) => match self.barrier(deadline).await {
                Ok(()) => {
                    let catalog = &self.held.snapshot().state.catalog;
                    let node = catalog.nodes.get(&heartbeat.node_id);
                    let removed = node.is_some_and(|node| node.state == NodeState::Removed);
                    if node.is_some() {
                        self.liveness().heard(heartbeat, Instant::now());
                    }
                    MetaAnswer::HeartbeatTaken {
                        revision: catalog.revision,
                        removed,
                    }
                }
                Err(not_leader) => not_leader,
            },
            MetaRequest::Liveness => match self.barrier(deadline).await {
                Ok(()) => self.liveness().answer(Instant::now()),
                Err(not_leader) => not_leader,
            },
            MetaRequest::Proxy { report, leaves } => match self.barrier(deadline).await {
                Ok(()) => {
                    let (_, term) = self.group.leader();
                    self.proxies
                        .lock()
                        .heard(term, report, leaves, Instant::now())
                }
                Err(not_leader) => not_leader,
            },
            MetaRequest::Standing { member } => MetaAnswer::Standing(self.standing(member).await),
        }
    }

    /// The standing of this member, for `asker`, whose log is empty.
    async fn standing(&self, asker: u64) -> Standing {
        let part = self.group.part();
        let is_born = self.held.snapshot().state.catalog.cluster_id != 0;
        let birth = match part {
            Part::Follows(_) => Birth::Born,
            Part::Nothing | Part::Full if is_born => Birth::Born,
            Part::Nothing | Part::Full => self.own,
        };
        let mut standing = Standing {
            birth,
            term: None,
            leads: None,
        };
        if part != Part::Full {
            return standing;
        }
        let status = self.group.status();
        if status.is_leader && self.group.expect_empty(NodeId(asker)).await.is_ok() {
            standing.leads = Some(status.last_index);
        }
        let term = self.group.promised_term();
        standing.leads = standing.leads.filter(|_| status.term == term);
        standing.term = Some(term);
        standing
    }

    async fn propose(&self, mut command: Command, deadline: Instant) -> MetaAnswer {
        match &mut command {
            Command::Birth { .. } | Command::Restore { .. } => {
                return MetaAnswer::Malformed("a cluster begins by itself".to_owned());
            }
            Command::AcquireLease { now, .. } => {
                let seen = self.held.snapshot().state.clock;
                *now = self.clock.lock().now(seen);
            }
            _ => {}
        }
        if self.held.snapshot().state.catalog.cluster_id == 0 {
            // Birth is in progress. A command before it would be rejected permanently, so the
            // client must retry.
            return self.not_leader(None);
        }
        let proposing = self.group.propose(encode(&command));
        match tokio::time::timeout_at(deadline.into(), proposing).await {
            Ok(Ok(answer)) => match decode(&answer) {
                Ok(outcome) => MetaAnswer::Applied(outcome),
                Err(error) => MetaAnswer::Malformed(error.to_string()),
            },
            Ok(Err(ProposeError::NotLeader { leader, .. })) => self.not_leader(leader),
            Ok(Err(ProposeError::Stopped(_))) => self.not_leader(None),
            Ok(Err(ProposeError::Unknown)) | Err(_) => MetaAnswer::Unknown,
        }
    }

    /// Waits until the held state is as new as every earlier answer. If that cannot be, returns the
    /// answer to give.
    async fn barrier(&self, deadline: Instant) -> Result<(), MetaAnswer> {
        let (leader, term) = self.group.leader();
        if leader != Some(self.members.own_id()) {
            return Err(self.not_leader(leader));
        }
        self.liveness().leads_in(term, Instant::now());
        if self.group.lease_read_ready() {
            return Ok(());
        }
        match tokio::time::timeout_at(deadline.into(), self.group.read_barrier()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(ProposeError::NotLeader { leader, .. })) => Err(self.not_leader(leader)),
            Ok(Err(_)) | Err(_) => Err(self.not_leader(None)),
        }
    }

    fn not_leader(&self, leader: Option<NodeId>) -> MetaAnswer {
        MetaAnswer::NotLeader {
            leader: leader.map(|id| id.0),
            addr: leader.and_then(|id| self.members.addr(id)),
        }
    }

    fn liveness(&self) -> MutexGuard<'_, Liveness> {
        self.liveness.lock()
    }
}

/// The handler of the member's listener.
pub(crate) struct Front(pub(crate) Arc<Service>);

impl Handler for Front {
    fn handle(&self, request: Request, responder: Responder) {
        match request.method {
            method::META => {}
            asked if method::RAFT.contains(&asked) => {
                return self.0.raft.handle(request, responder);
            }
            other => return responder.fail(&format!("meta does not serve method {other}")),
        }
        if request.body.len() > COMMAND_BYTES_MAX {
            let answer = MetaAnswer::Malformed("the request is too large".to_owned());
            return responder.send(encode(&answer));
        }
        let asked = match decode(&request.body) {
            Ok(asked) => asked,
            Err(error) => {
                let answer = MetaAnswer::Malformed(error.to_string());
                return responder.send(encode(&answer));
            }
        };
        let service = Arc::clone(&self.0);
        tokio::spawn(async move {
            let answer = service.answer(asked, request.deadline).await;
            responder.send(encode(&answer));
        });
    }
}
