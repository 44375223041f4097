//! Asks meta and servers, for `coterie check` and `recover`: all of their calls are here.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail};
use coterie_meta_client::{Liveness, MetaClient};
use coterie_protocol::catalog::{Catalog, JobState, Wish};
use coterie_protocol::meta::{Command, Outcome};
use coterie_protocol::server::{ReplicaStatus, ServerAnswer, ServerRequest};
use coterie_protocol::{decode, encode, method};
use coterie_rpc::Client;
use coterie_types::{GroupId, JobId, NodeId, UnixMillis};

use super::digests::Counted;
use super::look::Look;

/// How long meta may take to answer, elections included.
const META_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may take to answer.
const SERVER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to look for a group's leader.
const LEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two questions about the same thing.
const PAUSE: Duration = Duration::from_millis(250);
/// Time between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(5);

/// A running cluster.
pub(crate) struct Cluster {
    rpc: Client,
    meta: MetaClient,
}

impl Cluster {
    pub(crate) fn new(rpc: Client, meta: Vec<String>) -> Self {
        let meta = MetaClient::new(rpc.clone(), meta);
        Self { rpc, meta }
    }

    /// Looks at the cluster once.
    ///
    /// # Errors
    /// When meta does not answer.
    pub(crate) async fn look(&self) -> anyhow::Result<Look> {
        let catalog = self.meta.read(META_TIMEOUT).await.context("ask meta")?;
        let mut said = BTreeMap::new();
        for node in Look::nodes(&catalog) {
            said.insert(node, self.status(&catalog, node).await);
        }
        Ok(Look { catalog, said })
    }

    /// The heartbeats that meta's leader has received.
    ///
    /// # Errors
    /// When meta does not answer.
    pub(crate) async fn liveness(&self) -> anyhow::Result<Liveness> {
        self.meta.liveness().await.context("ask meta")
    }

    /// Begins a job for an operator's wish.
    ///
    /// # Errors
    /// When meta does not answer, or refuses.
    pub(crate) async fn wish(&self, wish: Wish) -> anyhow::Result<JobId> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let millis = since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0));
        let now = UnixMillis(millis);
        let proposed = self.meta.propose(Command::Ask { wish, now }, META_TIMEOUT);
        match proposed.await.context("ask meta")? {
            Outcome::Job(job_id) => Ok(job_id),
            Outcome::Rejected(rejection) => bail!("meta refuses: {rejection}"),
            other => bail!("meta answered {other:?}"),
        }
    }

    /// State of a job, and the last line of its log.
    ///
    /// # Errors
    /// When meta does not answer.
    pub(crate) async fn job(&self, job_id: JobId) -> anyhow::Result<Option<(JobState, String)>> {
        let catalog = self.meta.read(META_TIMEOUT).await.context("ask meta")?;
        let job = catalog.jobs.get(&job_id);
        Ok(job.map(|job| (job.state, job.log.last().cloned().unwrap_or_default())))
    }

    async fn status(&self, catalog: &Catalog, node: NodeId) -> Result<Vec<ReplicaStatus>, String> {
        match self.ask(catalog, node, &ServerRequest::Status).await? {
            ServerAnswer::Status(replicas) => Ok(replicas),
            other => Err(format!("it answered {other:?}")),
        }
    }

    async fn ask(
        &self,
        catalog: &Catalog,
        node: NodeId,
        request: &ServerRequest,
    ) -> Result<ServerAnswer, String> {
        let addr = catalog.nodes.get(&node).map(|node| node.addr.as_str());
        let addr = addr
            .filter(|addr| !addr.is_empty())
            .ok_or("it has no address")?;
        let called = self
            .rpc
            .call(addr, method::SERVER_ADMIN, encode(request), SERVER_TIMEOUT);
        let body = called.await.map_err(|_| "it does not answer".to_owned())?;
        decode(&body).map_err(|error| error.to_string())
    }

    /// Makes the replicas of a group count their records at the same log index, and waits for each,
    /// for `patience` at most.
    pub(crate) async fn digests(
        &self,
        look: &Look,
        group_id: GroupId,
        nonce: u64,
        patience: Duration,
    ) -> BTreeMap<NodeId, Counted> {
        let nodes = replicas_of(look, group_id);
        let not = |reason: String| move |node: &NodeId| (*node, Counted::Not(reason.clone()));
        if let Err(error) = self.take(look, group_id, &nodes, nonce).await {
            return nodes.iter().map(not(format!("{error:#}"))).collect();
        }
        let deadline = Instant::now() + patience;
        let mut counted = stopped(look, group_id);
        let mut told = Instant::now();
        loop {
            let left = nodes.iter().filter(|node| !counted.contains_key(*node));
            let left: Vec<NodeId> = left.copied().collect();
            if left.is_empty() {
                return counted;
            }
            let late = Instant::now() >= deadline;
            for node in left {
                let answer = self.digest(look, group_id, node, nonce).await;
                match answer {
                    Some(found) => drop(counted.insert(node, found)),
                    None if late => {
                        let reason = "not counted in time (--patience)".to_owned();
                        counted.insert(node, Counted::Not(reason));
                    }
                    None => {}
                }
            }
            if told.elapsed() > PROGRESS {
                told = Instant::now();
                let (done, all) = (counted.len(), nodes.len());
                eprintln!("group {group_id}: {done} of {all} replicas are counted");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A replica's digest; `None` while it is being counted.
    async fn digest(
        &self,
        look: &Look,
        group_id: GroupId,
        node: NodeId,
        nonce: u64,
    ) -> Option<Counted> {
        let request = ServerRequest::Digest { group_id, nonce };
        let not = |reason: &str| Some(Counted::Not(reason.to_owned()));
        match self.ask(&look.catalog, node, &request).await {
            Ok(ServerAnswer::Digest(digest)) => digest.map(Counted::Digest),
            Ok(ServerAnswer::NoSuchGroup) => not("it has no replica of the group"),
            Ok(ServerAnswer::Failed(reason)) => Some(Counted::Not(reason)),
            Ok(other) => Some(Counted::Not(format!("it answered {other:?}"))),
            Err(reason) => Some(Counted::Not(reason)),
        }
    }

    /// Asks the leader to take the digest, whichever node that is by now.
    async fn take(
        &self,
        look: &Look,
        group_id: GroupId,
        nodes: &[NodeId],
        nonce: u64,
    ) -> anyhow::Result<()> {
        // The request changes no data, so it needs no controller's fencing number.
        let fence = 0;
        let request = ServerRequest::TakeDigest {
            group_id,
            nonce,
            fence,
        };
        let deadline = Instant::now() + LEADER_TIMEOUT;
        let mut leader = look.word(group_id).and_then(|word| word.leader);
        for turn in 0.. {
            let in_turn = nodes.get(turn % nodes.len().max(1)).copied();
            let node = leader.take().or(in_turn);
            let node = node.context("it has no replicas")?;
            let reason = match self.ask(&look.catalog, node, &request).await {
                Ok(ServerAnswer::Ok) => return Ok(()),
                Ok(ServerAnswer::NotLeader { leader: hint }) => {
                    leader = hint.filter(|hint| *hint != node);
                    "no leader was found".to_owned()
                }
                Ok(ServerAnswer::Failed(reason)) => reason,
                Ok(other) => format!("node {node} answered {other:?}"),
                Err(reason) => reason,
            };
            if Instant::now() >= deadline {
                bail!("not counted: {reason}");
            }
            tokio::time::sleep(PAUSE).await;
        }
        unreachable!("the loop above ends by returning")
    }
}

/// The replicas of a group that have stopped applying, and so never count.
fn stopped(look: &Look, group_id: GroupId) -> BTreeMap<NodeId, Counted> {
    let of_group = look.replicas();
    let of_group = of_group.filter(|(_, replica)| replica.group_id == group_id);
    let stopped = of_group.filter(|(_, replica)| replica.fault.is_some());
    stopped
        .map(|(node, _)| (node, Counted::Not("the replica stopped".to_owned())))
        .collect()
}

/// The nodes of a group's replicas, by its own word or, without one, by meta's row.
fn replicas_of(look: &Look, group_id: GroupId) -> Vec<NodeId> {
    let row = look
        .catalog
        .groups
        .get(&group_id)
        .map(|group| &group.replicas);
    let word = look.word(group_id).map(|word| &word.replicas);
    let replicas = word.filter(|word| !word.is_empty()).or(row);
    let nodes = replicas.into_iter().flatten();
    nodes.map(|replica| replica.node_id).collect()
}
