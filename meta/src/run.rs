//! A running member: opens its directory, starts its group, listens, and stops in order.

use std::net::SocketAddr;
use std::sync::Arc;

use coterie_protocol::catalog::Catalog;
use coterie_protocol::meta::Command;
use coterie_raft::{AddressBook, Group, RaftNode};
use coterie_rpc::{Client, Handler, Server, Token};
use coterie_telemetry::{Component, Health, Http, Metrics};
use coterie_types::GroupId;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::backup::Writer;
use crate::birth;
use crate::config::Config;
use crate::directory::Directory;
use crate::door::Door;
use crate::error::RunError;
use crate::held::Held;
use crate::machine::Machine;
use crate::members::Members;
use crate::metrics::MetaMetrics;
use crate::service::{Front, Service};

/// Log kept at most, whatever the flags that meta shares with servers say.
const LOG_RETENTION_MAX: u64 = 16 << 20;

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
    tasks: Vec<JoinHandle<()>>,
    http: Option<Http>,
}

/// What the parts of a member tell each other.
#[derive(Debug, Clone, Default)]
struct Signals {
    /// The first word of a shutdown: nothing that waits goes on waiting.
    stopping: CancellationToken,
    /// The last: the group is down.
    stop: CancellationToken,
    /// The member cannot go on.
    failed: CancellationToken,
}

/// Runs a member until `shutdown`, or until it cannot go on.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), RunError> {
    let handle = start(config).await?;
    let failed = handle.failed();
    tokio::select! {
        () = shutdown.cancelled() => info!("meta member stops"),
        () = failed.cancelled() => error!("meta member cannot go on"),
    }
    handle.shutdown().await;
    if failed.is_cancelled() {
        return Err(RunError::Config(
            "the member cannot go on; the reason is in the log".to_owned(),
        ));
    }
    Ok(())
}

/// Starts a member.
pub async fn start(config: Config) -> Result<Handle, RunError> {
    let token = Token::new(config.cluster_token.secret()?);
    start_with(config, Client::new(token)).await
}

/// Starts a member that calls others through `rpc`, and is called through it by the other roles of
/// this process.
pub async fn start_with(config: Config, rpc: Client) -> Result<Handle, RunError> {
    config.check().map_err(RunError::Config)?;
    let token = Token::new(config.cluster_token.secret()?);
    let directory = Directory::open(&config.dir, config.id)?;
    let first = birth::first_command(&directory)?;
    let (machine, held) = Machine::open(directory.state())?;
    let (registry, health) = (Metrics::new(), Health::new());
    let http = match &config.http {
        Some(addr) => Some(
            Http::start(addr, registry.clone(), health.clone())
                .await
                .map_err(RunError::listen(addr))?,
        ),
        None => None,
    };
    let door = Arc::new(Door::default());
    let listen = &config.listen;
    let server = Server::bind(listen, token, Arc::clone(&door) as Arc<dyn Handler>)
        .await
        .map_err(RunError::listen(listen))?;
    let addr = server.local_addr();
    let members = Arc::new(Members::of(&config, &addr.to_string()));

    let book = Arc::clone(&members) as Arc<dyn AddressBook>;
    let (own, mut raft_config) = (members.own_id(), config.raft.clone());
    // Entries are small and each costs memory while it is kept: a member that was away for longer
    // than these reach is sent the snapshot, which is small, too.
    raft_config.log_retention = raft_config.log_retention.min(LOG_RETENTION_MAX);
    raft_config.log_replay_bytes_max = raft_config.log_replay_bytes_max.min(LOG_RETENTION_MAX);
    let raft = RaftNode::open(&directory.raft(), own, raft_config, rpc.clone(), book).await?;
    let group = raft.start_group(GROUP, Box::new(machine)).await?;
    let signals = Signals::default();
    let service = Service::new(
        Arc::clone(&raft),
        group.clone(),
        Arc::clone(&held),
        Arc::clone(&members),
        signals.stopping.clone(),
    );
    let front: Arc<dyn Handler> = Arc::new(Front(service));
    door.open(Arc::clone(&front));
    let own_addr = members.addr(own).unwrap_or_default();
    rpc.register_local(&own_addr, front);
    // Every member does so with the same list; only the first start changes anything.
    group.initialize(members.ids()).await?;
    info!(member = config.id, %addr, "meta member listens");

    let mut tasks = Vec::new();
    if let Some(dir) = config.backup_dir {
        let writer = Writer::new(dir, config.id, Arc::clone(&held));
        tasks.push(tokio::spawn(
            writer.run(group.clone(), signals.stop.clone()),
        ));
    }
    let component = health.component("meta");
    let (attended, seen) = (group.clone(), Arc::clone(&held));
    let attending = attend(directory, first, attended, seen, component, signals.clone());
    tasks.push(tokio::spawn(attending));
    let measuring = MetaMetrics::register(&registry).run(group.clone(), Arc::clone(&held));
    let measured = signals.stop.clone();
    tasks.push(tokio::spawn(async move {
        measured.run_until_cancelled(measuring).await;
    }));
    Ok(Handle {
        addr,
        own_addr,
        rpc,
        server,
        raft,
        group,
        held,
        signals,
        tasks,
        http,
    })
}

/// Sees to the cluster's birth, then holds the directory's lock until the member is down.
async fn attend(
    mut directory: Directory,
    first: Command,
    group: Group,
    held: Arc<Held>,
    component: Component,
    signals: Signals,
) {
    component.waiting("no leader yet");
    let attending = birth::attend(&group, &held, &mut directory, &first);
    match signals.stop.run_until_cancelled(attending).await {
        Some(Ok(())) => component.ready(),
        Some(Err(failure)) => {
            error!(error = &failure as &dyn std::error::Error, "wrong cluster");
            component.failed(failure.to_string());
            signals.failed.cancel();
        }
        None => {}
    }
    signals.stop.cancelled().await;
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
        self.http.as_ref().map(Http::local_addr)
    }

    /// Cancelled when the member cannot go on, for example because its directory belongs to
    /// another cluster.
    #[must_use]
    pub fn failed(&self) -> CancellationToken {
        self.signals.failed.clone()
    }

    /// Stops: no new requests, those under way are answered, then the group and the tasks end. The
    /// directory may be opened again when it returns.
    pub async fn shutdown(self) {
        self.signals.stopping.cancel();
        self.rpc.unregister_local(&self.own_addr);
        self.server.shutdown().await;
        self.raft.shutdown().await;
        self.signals.stop.cancel();
        for task in self.tasks {
            // A task that panicked has said so.
            let _ = task.await;
        }
        if let Some(http) = self.http {
            http.shutdown().await;
        }
    }
}
