//! A running member: opens its directory, starts its group, listens, and stops in order.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use coterie_files::FileError;
use coterie_protocol::catalog::Catalog;
use coterie_protocol::meta::{Command, MetaAnswer};
use coterie_protocol::{encode, method};
use coterie_raft::{AddressBook, Group, Part, RaftError, RaftNode};
use coterie_rpc::{Client, Credentials, Door, Handler, Request, Responder, Server};
use coterie_telemetry::{Component, Endpoint, Health, ListenError, Metrics};
use coterie_types::GroupId;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::backup::Writer;
use crate::birth;
use crate::config::Config;
use crate::directory::Directory;
use crate::error::RunError;
use crate::held::Held;
use crate::joining::Joining;
use crate::machine::MetaMachine;
use crate::members::Members;
use crate::metrics::MetaMetrics;
use crate::service::{Front, Service};

/// Bytes of log kept, at most, whatever the flags that meta shares with servers say.
const LOG_RETENTION_MAX: u64 = 16 << 20;

/// How often to check whether the group has stopped.
const FAULT_PERIOD: Duration = Duration::from_millis(500);

/// How long a stop waits for another member to lead, at most. Beyond that, an election is faster.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// Meta's own Raft group.
const GROUP: GroupId = GroupId(0);

/// A member that runs in this process.
pub struct Handle {
    /// Where it listens.
    pub addr: SocketAddr,
    own_addr: String,
    rpc: Client,
    server: Server,
    raft: Arc<RaftNode>,
    group: Group,
    held: Arc<Held>,
    signals: Signals,
    /// Holds the directory's lock, and releases it when the group is down.
    attending: JoinHandle<Directory>,
    tasks: Vec<JoinHandle<()>>,
    /// Of a member that does not share it with other roles.
    endpoint: Option<Endpoint>,
}

/// Signals between the parts of a member.
#[derive(Debug, Clone, Default)]
struct Signals {
    /// First in a shutdown: requests that wait end.
    stopping: CancellationToken,
    /// Last in a shutdown: the group is down.
    stop: CancellationToken,
    /// The member cannot go on.
    failed: CancellationToken,
    /// The reason.
    reason: Arc<OnceLock<String>>,
}

impl Signals {
    fn fail(&self, component: &Component, reason: String) {
        component.failed(reason.clone());
        self.reason.get_or_init(|| reason);
        self.failed.cancel();
    }
}

/// Runs a member until `shutdown`, or until it cannot go on.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), RunError> {
    let dir = config.dir.clone();
    let handle = start(config).await?;
    let signals = handle.signals.clone();
    tokio::select! {
        () = shutdown.cancelled() => info!("meta member stops"),
        () = signals.failed.cancelled() => error!("meta member cannot go on"),
    }
    handle.shutdown().await;
    match signals.reason.get() {
        Some(reason) => {
            let reason = format!("the member cannot go on: {reason}");
            Err(FileError::directory(&dir, reason).into())
        }
        None => Ok(()),
    }
}

/// Starts a member.
pub async fn start(config: Config) -> Result<Handle, RunError> {
    let credentials = Credentials::open(&config.cluster_token, &config.cluster_tls)?;
    let endpoint = Endpoint::start(config.http.as_deref()).await?;
    if let Some(certificate) = credentials.collector() {
        endpoint.metrics.register_collector(certificate);
    }
    let rpc = Client::new(credentials);
    let started = start_with(config, rpc, &endpoint.metrics, &endpoint.health).await;
    let (mut handle, endpoint) = endpoint.of(started).await?;
    handle.endpoint = Some(endpoint);
    Ok(handle)
}

/// Starts a member that shares connections, metrics and health with other roles of the process;
/// they call it through `rpc`. `config.http` is ignored.
pub async fn start_with(
    config: Config,
    rpc: Client,
    metrics: &Metrics,
    health: &Health,
) -> Result<Handle, RunError> {
    let since = Instant::now();
    config.check().map_err(RunError::Config)?;
    let directory = Directory::open(&config.dir, config.id)?;
    let first = birth::first_command(&directory)?;
    let own_birth = directory.birth();
    let (machine, held) = MetaMachine::open(directory.state())?;
    let door = Door::new(refuse);
    let handler = Arc::clone(&door) as Arc<dyn Handler>;
    let server = listen(&config, rpc.credentials(), handler).await?;
    let addr = server.local_addr();
    let members = Arc::new(Members::of(&config, &addr.to_string()));

    let raft = open_raft(&config, &directory, rpc.clone(), &members).await?;
    let group = start_group(&raft, &config, &members, machine, &held).await?;
    let signals = Signals::default();
    let service = Service::new(
        Arc::clone(&raft),
        group.clone(),
        Arc::clone(&held),
        Arc::clone(&members),
        own_birth,
        signals.stopping.clone(),
    );
    let front: Arc<dyn Handler> = Arc::new(Front(service));
    door.open(Arc::clone(&front));
    let own_addr = members.addr(members.own_id()).unwrap_or_default();
    rpc.register_local(&own_addr, front);
    if group.part() == Part::Full {
        // Every member does so with the same list; only the first start changes anything.
        group.initialize(members.ids()).await?;
    }
    info!(member = config.id, %addr, "meta member listens");

    let component = health.component("meta");
    let joining = Joining {
        group: group.clone(),
        members,
        rpc: rpc.clone(),
        own: own_birth,
        since,
        lease: config.raft.election_timeout_max,
    };
    let attended = (joining, Arc::clone(&held));
    let (broken, told) = (broken(raft.failed(), group.clone()), signals.clone());
    let attending = attend(directory, first, attended, broken, component, told);
    let attending = tokio::spawn(attending);
    let writer = config
        .backup_dir
        .map(|dir| Writer::new(dir, config.id, Arc::clone(&held)));
    let tasks = look_after(metrics, writer, &group, &held, &signals.stop);
    Ok(Handle {
        addr,
        own_addr,
        rpc,
        server,
        raft,
        group,
        held,
        signals,
        attending,
        tasks,
        endpoint: None,
    })
}

/// Updates the member's metrics, and writes its backup if it has one, until `stop`.
fn look_after(
    metrics: &Metrics,
    writer: Option<Writer>,
    group: &Group,
    held: &Arc<Held>,
    stop: &CancellationToken,
) -> Vec<JoinHandle<()>> {
    let measuring = MetaMetrics::register(metrics).run(group.clone(), Arc::clone(held));
    let stopped = stop.clone();
    let measuring = async move {
        stopped.run_until_cancelled(measuring).await;
    };
    let writing = writer.map(|writer| tokio::spawn(writer.run(group.clone(), stop.clone())));
    writing
        .into_iter()
        .chain([tokio::spawn(measuring)])
        .collect()
}

async fn listen(
    config: &Config,
    credentials: Credentials,
    handler: Arc<dyn Handler>,
) -> Result<Server, RunError> {
    let bound = Server::bind(&config.listen, credentials, handler).await;
    Ok(bound.map_err(ListenError::at(&config.listen))?)
}

/// Refuses a call of the time before the group has started.
fn refuse(request: Request, responder: Responder) {
    if request.method == method::META {
        let (leader, addr) = (None, None);
        responder.send(encode(&MetaAnswer::NotLeader { leader, addr }));
    } else {
        responder.fail("the member is starting");
    }
}

/// Opens the member's log.
async fn open_raft(
    config: &Config,
    directory: &Directory,
    rpc: Client,
    members: &Arc<Members>,
) -> Result<Arc<RaftNode>, RunError> {
    let book = Arc::clone(members) as Arc<dyn AddressBook>;
    let mut raft_config = config.raft.clone();
    // Entries are small, and each costs memory while it is kept. A member that was away for longer
    // than the log reaches gets the snapshot, which is small, too.
    raft_config.log_retention = raft_config.log_retention.min(LOG_RETENTION_MAX);
    raft_config.log_replay_bytes_max = raft_config.log_replay_bytes_max.min(LOG_RETENTION_MAX);
    let own = members.own_id();
    // A member without any log recovers by its own rules (`joining`).
    let replicas = Vec::new();
    let dir = directory.raft();
    let opened = RaftNode::open(&dir, own, raft_config, rpc, book, replicas);
    Ok(opened.await?)
}

/// Starts the member's replica. With an empty log it takes part in nothing yet, unless it is the
/// only member (`joining`).
async fn start_group(
    raft: &RaftNode,
    config: &Config,
    members: &Members,
    machine: MetaMachine,
    held: &Held,
) -> Result<Group, RunError> {
    if members.ids().len() == 1 {
        return Ok(raft.start_group(GROUP, Box::new(machine)).await?);
    }
    if held.snapshot().applied.is_some() && !raft.has_log_of(GROUP) {
        let reason = "its log is gone, and its state is not: empty all of it, and the member gets \
                      everything from the others";
        return Err(FileError::directory(&config.dir, reason).into());
    }
    let started = raft.start_group_if_known(GROUP, Box::new(machine)).await;
    Ok(started?)
}

/// Finds out how far the member takes part, attends the cluster's birth, then holds the directory's
/// lock until the member is down. Reports it when the member is `broken`.
async fn attend(
    mut directory: Directory,
    first: Command,
    (joining, held): (Joining, Arc<Held>),
    broken: impl Future<Output = String>,
    component: Component,
    signals: Signals,
) -> Directory {
    let taking_part = async {
        if joining.group.part() != Part::Full {
            component.waiting("the end of its log, or all of it, was lost");
        }
        joining.group.tail_recovered().await;
        joining.find_part(&component).await?;
        component.waiting("no leader yet");
        birth::attend(&joining, &held, &mut directory, &first).await?;
        joining.catch_up(&component).await
    };
    let born = async {
        match taking_part.await {
            Ok(()) => component.ready(),
            // The group was closed by the shutdown.
            Err(_) if signals.stopping.is_cancelled() => {}
            Err(failure) => {
                error!(
                    error = &failure as &dyn std::error::Error,
                    "the member cannot take part"
                );
                signals.fail(&component, failure.to_string());
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        // First: a group that is being stopped looks broken.
        biased;
        () = signals.stopping.cancelled() => {}
        reason = broken => {
            error!(error = reason, "meta member broken");
            signals.fail(&component, reason);
        }
        () = born => {}
    }
    signals.stop.cancelled().await;
    directory
}

/// Resolves when the log cannot be written any more, or the group has stopped, with the reason.
async fn broken(log_failed: impl Future<Output = RaftError>, group: Group) -> String {
    let stopped = async {
        loop {
            if let Some(fault) = group.status().fault {
                return fault;
            }
            tokio::time::sleep(FAULT_PERIOD).await;
        }
    };
    tokio::select! {
        // First: a failed log is why the group stops.
        biased;
        error = log_failed => error.to_string(),
        fault = stopped => fault,
    }
}

impl Handle {
    /// The catalog as this member has applied it, which may be behind the others.
    #[must_use]
    pub fn catalog(&self) -> Catalog {
        self.held.snapshot().state.catalog.clone()
    }

    /// Whether this member leads, as far as it knows.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.group.status().is_leader
    }

    /// Where `/metrics` and `/health` are served, if they are.
    #[must_use]
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.endpoint.as_ref().and_then(Endpoint::http_addr)
    }

    /// Cancelled when the member cannot go on, for example because its directory belongs to
    /// another cluster.
    #[must_use]
    pub fn failed(&self) -> CancellationToken {
        self.signals.failed.clone()
    }

    /// Hands leadership over to another member, if this member leads. If that fails, the others
    /// elect a leader.
    async fn leave(&self) {
        self.raft.set_stopping();
        if !self.is_leader() {
            return;
        }
        let leaving = tokio::time::timeout(LEAVE_TIMEOUT, self.group.leave(true));
        match leaving.await {
            Ok(Ok(heir)) => info!(%heir, "leader moved away"),
            Ok(Err(error)) => warn!(%error, "leader not moved"),
            Err(_) => warn!("leader not moved in time"),
        }
    }

    /// Stops the member. It hands leadership over, takes no new requests, answers those in flight,
    /// then ends the group and the tasks. After that the directory may be opened again.
    pub async fn shutdown(self) {
        self.signals.stopping.cancel();
        self.leave().await;
        self.rpc.unregister_local(&self.own_addr);
        self.server.shutdown().await;
        if let Err(error) = self.raft.stop_group(GROUP).await {
            warn!(%error, "group not stopped cleanly");
        }
        self.signals.stop.cancel();
        for task in self.tasks {
            // A panic of the task has been reported.
            let _ = task.await;
        }
        let _directory = self.attending.await;
        // The log is closed when the last handle of the group is gone.
        drop(self.group);
        self.raft.shutdown().await;
        if let Some(endpoint) = self.endpoint {
            endpoint.shutdown().await;
        }
    }
}
