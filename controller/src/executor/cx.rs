//! How the steps reach meta and the servers, and the result of an attempt.
//!
//! Every change carries the fencing number. The first *stale fence* answer is [`Stop::Fenced`],
//! which ends this controller's work.

use std::sync::Arc;
use std::time::Duration;

use coterie_meta_client::MetaError;
use coterie_protocol::catalog::{Catalog, JobDescriptor, Progress};
use coterie_protocol::meta::{Command, ControllerOp, Outcome, Rejection};
use coterie_protocol::server::{ServerAnswer, ServerRequest};
use coterie_types::{GroupId, JobId, NodeId, NodeState, RangeId, Revision};

use crate::job::Step;
use crate::planner::Settings;
use crate::ports::{Meta, Servers};
use crate::view::View;

/// How long a server may take over an ordinary request.
pub(super) const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the executor stops a job or an action for now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    /// Another controller holds the lease.
    #[error("another controller is active")]
    Fenced,
    /// Meta did not answer, or its answer was lost: the catalog has to be read again.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// Meta refused the change: the view that led to it is out of date.
    #[error("meta refused: {0}")]
    Refused(Rejection),
}

/// The result of one attempt at a step.
pub(super) enum Taken {
    /// The step is done; this step comes next.
    Next(Step),
    /// This step comes next, for this reason.
    Turn(Step, String),
    /// The job is done.
    Done(String),
    /// The job is given up.
    GiveUp(String),
    /// The step has to be attempted again.
    Wait(String),
    /// A copy is under way, with its progress and its obstacle, if there is an obstacle.
    Copying(Progress, Option<String>),
    /// The copy is complete; this step comes next.
    Copied(Step, Progress),
}

/// The first of the ids that meta allocated, of each kind.
#[derive(Clone, Copy)]
pub(super) struct Ids {
    pub(super) group: GroupId,
    pub(super) range: RangeId,
    pub(super) job: JobId,
}

/// The context of every step: see the module's head.
pub(super) struct Cx<M, S> {
    meta: Arc<M>,
    servers: Arc<S>,
    /// The controller's settings.
    pub(super) settings: Settings,
    /// The number of the lease that this controller holds.
    pub(super) fence: u64,
}

impl<M: Meta, S: Servers> Cx<M, S> {
    pub(super) fn new(meta: Arc<M>, servers: Arc<S>, settings: Settings, fence: u64) -> Self {
        Self {
            meta,
            servers,
            settings,
            fence,
        }
    }

    /// The newest copy of the catalog.
    pub(super) fn catalog(&self) -> Arc<Catalog> {
        self.meta.catalog()
    }

    /// The newest copy of the catalog, with the nodes' heartbeats.
    pub(super) async fn view(&self) -> Result<View, Stop> {
        Ok(self.meta.view().await?)
    }

    /// Waits until the copy of the catalog has this revision.
    pub(super) async fn reached(&self, revision: Revision) -> Result<(), Stop> {
        Ok(self.meta.reached(revision).await?)
    }

    /// Writes a job's row.
    pub(super) async fn write(&self, job: &JobDescriptor) -> Result<Revision, Stop> {
        let ops = vec![ControllerOp::PutJob(job.clone())];
        revision(self.change(ops).await?)
    }

    /// Allocates ids for this many groups, ranges and jobs.
    pub(super) async fn allocate(
        &self,
        groups: usize,
        ranges: usize,
        jobs: usize,
    ) -> Result<Ids, Stop> {
        let ops = vec![ControllerOp::AllocateIds {
            groups: groups as u64,
            ranges: ranges as u64,
            jobs: jobs as u64,
        }];
        match self.change(ops).await? {
            Outcome::Ids { group, range, job } => Ok(Ids {
                group: GroupId(group),
                range: RangeId(range),
                job: JobId(job),
            }),
            other => Err(unexpected(&other)),
        }
    }

    /// Proposes changes of the catalog; meta makes all of them or none.
    pub(super) async fn change(&self, ops: Vec<ControllerOp>) -> Result<Outcome, Stop> {
        let fence = self.fence;
        self.propose(Command::Controller { fence, ops }).await
    }

    /// Proposes a command to meta.
    pub(super) async fn propose(&self, command: Command) -> Result<Outcome, Stop> {
        match self.meta.propose(command).await? {
            Outcome::Rejected(Rejection::Fenced { .. }) => Err(Stop::Fenced),
            Outcome::Rejected(rejection) => Err(Stop::Refused(rejection)),
            outcome => Ok(outcome),
        }
    }

    /// Sends a request to a server. The inner error says why there is no answer; the server may
    /// have carried the request out all the same.
    pub(super) async fn ask(
        &self,
        node_id: NodeId,
        request: ServerRequest,
        timeout: Duration,
    ) -> Result<Result<ServerAnswer, String>, Stop> {
        match self.servers.ask(node_id, request, timeout).await {
            Ok(ServerAnswer::Fenced { .. }) => Err(Stop::Fenced),
            answer => Ok(answer),
        }
    }

    /// Has a node delete its replica of a group.
    pub(super) async fn destroy(
        &self,
        node_id: NodeId,
        group_id: GroupId,
        timeout: Duration,
    ) -> Result<Result<(), String>, Stop> {
        let fence = self.fence;
        let request = ServerRequest::DestroyReplica { group_id, fence };
        Ok(match self.ask(node_id, request, timeout).await? {
            Ok(ServerAnswer::Ok | ServerAnswer::NoSuchGroup) => Ok(()),
            answer => Err(format!("node {node_id}: {}", reason(answer))),
        })
    }

    /// The nodes of a group, as far as meta knows; none if the group is removed.
    pub(super) fn members(&self, group_id: GroupId) -> Vec<NodeId> {
        let catalog = self.catalog();
        let group = catalog.groups.get(&group_id);
        group.map_or_else(Vec::new, |group| {
            group.replicas.iter().map(|r| r.node_id).collect()
        })
    }

    /// Whether the node is down or removed.
    pub(super) fn is_gone(&self, node_id: NodeId) -> bool {
        let catalog = self.catalog();
        let state = catalog.nodes.get(&node_id).map(|node| node.state);
        matches!(state, Some(NodeState::Down | NodeState::Removed))
    }

    /// Whether the node is removed, with all its replicas.
    pub(super) fn is_removed(&self, node_id: NodeId) -> bool {
        let catalog = self.catalog();
        let node = catalog.nodes.get(&node_id);
        node.is_none_or(|node| node.state == NodeState::Removed)
    }
}

/// The revision after a change.
pub(super) fn revision(outcome: Outcome) -> Result<Revision, Stop> {
    match outcome {
        Outcome::Done { revision } => Ok(revision),
        other => Err(unexpected(&other)),
    }
}

fn unexpected(outcome: &Outcome) -> Stop {
    Stop::Refused(Rejection::Invalid(format!(
        "unexpected outcome: {outcome:?}"
    )))
}

/// Why a server did not carry a request out, for a job's log.
pub(super) fn reason(answer: Result<ServerAnswer, String>) -> String {
    match answer {
        Ok(ServerAnswer::Failed(reason)) | Err(reason) => reason,
        Ok(answer) => format!("{answer:?}"),
    }
}
