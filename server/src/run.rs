//! A running server: opens its directory, gets its id, opens its replicas, listens, and stops in
//! order: leaders away first, then no more calls, then the replicas, then the log.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coterie_budget::Budget;
use coterie_files::FileError;
use coterie_meta_client::MetaClient;
use coterie_raft::{AddressBook, RaftNode};
use coterie_rpc::{Client, Door, Handler, Limits, Server, Token};
use coterie_storage::{RecordCache, RocksShared};
use coterie_telemetry::{Component, Endpoint, Health, ListenError, Metrics};
use coterie_types::NodeId;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::addresses::{self, Addresses};
use crate::config::Config;
use crate::directory::Directory;
use crate::disk::Disk;
use crate::error::RunError;
use crate::fencing::Fencing;
use crate::handler::Calls;
use crate::heartbeat;
use crate::host;
use crate::leave;
use crate::metrics::NodeCollector;
use crate::news::NewsLinks;
use crate::node::{Identity, Node};
use crate::peers::Peers;
use crate::pubsub::PubSub;
use crate::rate::Rate;
use crate::register::{self, Card, Registered};
use crate::reopen;
use crate::replica::{Settings, groups_in};
use crate::scripts::Scripts;

/// How long a stop waits for its leaders to move, at most. Beyond that, an election is faster.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);

/// A server that runs in this process.
pub struct Handle {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its id.
    pub node_id: NodeId,
    advertised: String,
    rpc: Client,
    server: Server,
    node: Arc<Node>,
    /// Of a server that does not share it with other roles.
    endpoint: Option<Endpoint>,
    drain_timeout: Duration,
    stop: CancellationToken,
    /// Cancelled when meta has removed the node.
    pub(crate) removed: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    // Unlocked last.
    _directory: Directory,
}

/// Starts a server.
pub async fn start(config: Config) -> Result<Handle, RunError> {
    start_until(config, &CancellationToken::new()).await
}

/// Starts a server that shares connections, metrics and health with other roles of the process;
/// they call it through `rpc`. `config.http` is ignored.
pub async fn start_with(
    config: Config,
    rpc: Client,
    metrics: &Metrics,
    health: &Health,
) -> Result<Handle, RunError> {
    start_node(config, rpc, metrics, health, &CancellationToken::new()).await
}

pub(crate) async fn start_until(
    config: Config,
    shutdown: &CancellationToken,
) -> Result<Handle, RunError> {
    let rpc = Client::new(Token::new(config.cluster_token.secret()?));
    let endpoint = Endpoint::start(config.http.as_deref()).await?;
    let (metrics, health) = (&endpoint.metrics, &endpoint.health);
    let started = start_node(config, rpc, metrics, health, shutdown).await;
    let (mut handle, endpoint) = endpoint.of(started).await?;
    handle.endpoint = Some(endpoint);
    Ok(handle)
}

async fn start_node(
    config: Config,
    rpc: Client,
    metrics: &Metrics,
    health: &Health,
    shutdown: &CancellationToken,
) -> Result<Handle, RunError> {
    let mut directory = Directory::open(&config.dir)?;
    let ready = health.component(format!("server {}", config.dir.display()));
    ready.waiting("starting");

    let door = Door::new(|_, responder| responder.fail("the server is starting"));
    let handler: Arc<dyn Handler> = Arc::clone(&door) as Arc<dyn Handler>;
    let server = bind(&config, Arc::clone(&handler)).await?;
    let addr = server.local_addr();
    let advertised = config.advertise.clone().unwrap_or_else(|| addr.to_string());

    let disk = Disk::new(&config.dir, config.disk_reserve);
    let card = card(&config, &advertised, &disk);
    let meta = MetaClient::new(rpc.clone(), config.meta.clone());
    let registered = register::node_id(&mut directory, &meta, &card, shutdown).await;
    let (Registered { node_id, untold }, server) = or_close(registered, server).await?;
    let catalog = meta.follow(addresses::load(&directory.catalog()));
    let book = Addresses::new(catalog);

    let node = open(&config, &directory, node_id, &rpc, &book, Arc::clone(&disk)).await?;
    metrics.register("coterie_server", |registry| {
        registry.register_collector(Box::new(NodeCollector(Arc::downgrade(&node))));
    });
    door.open(Arc::new(Calls(Arc::clone(&node))));
    rpc.register_local(&advertised, handler);

    let (stop, removed) = (CancellationToken::new(), CancellationToken::new());
    let tasks = vec![
        tokio::spawn(register::tell(meta.clone(), untold, stop.clone())),
        tokio::spawn(disk.watch(Arc::clone(&node.raft), stop.clone())),
        tokio::spawn(leave::watch_room(Arc::clone(&node), stop.clone())),
        tokio::spawn(book.keep(directory.catalog(), stop.clone())),
        tokio::spawn(heartbeat::run(
            Arc::clone(&node),
            meta,
            advertised.clone(),
            config.heartbeat_interval,
            stop.clone(),
            removed.clone(),
        )),
        tokio::spawn(report_faults(Arc::clone(&node), ready, stop.clone())),
        tokio::spawn(reopen::run(Arc::clone(&node), stop.clone())),
    ];
    info!(%node_id, %addr, replicas = node.replicas().len(), "server listens");
    let drain_timeout = config.drain_timeout;
    Ok(Handle {
        addr,
        node_id,
        advertised,
        rpc,
        server,
        node,
        endpoint: None,
        drain_timeout,
        stop,
        removed,
        tasks,
        _directory: directory,
    })
}

fn card(config: &Config, advertised: &str, disk: &Disk) -> Card {
    Card {
        addr: advertised.to_owned(),
        zone: config.zone.clone(),
        host: config.host.clone().unwrap_or_else(host::identity),
        capacity_bytes: config.capacity.unwrap_or_else(|| disk.total_bytes()),
    }
}

/// Closes the port if registration failed. It would stay open otherwise, and a removed node starts
/// again at the same address.
async fn or_close(
    registered: Result<Registered, RunError>,
    server: Server,
) -> Result<(Registered, Server), RunError> {
    match registered {
        Ok(registered) => Ok((registered, server)),
        Err(error) => {
            server.shutdown().await;
            Err(error)
        }
    }
}

async fn bind(config: &Config, handler: Arc<dyn Handler>) -> Result<Server, RunError> {
    let token = Token::new(config.cluster_token.secret()?);
    let limits = Limits {
        long_answer_bytes_max: bytes(config.link_reply_memory),
        ..Limits::default()
    };
    let bound = Server::bind_with_limits(&config.listen, token, handler, limits).await;
    Ok(bound.map_err(ListenError::at(&config.listen))?)
}

fn bytes(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// Opens the log and every replica of the directory.
async fn open(
    config: &Config,
    directory: &Directory,
    node_id: NodeId,
    rpc: &Client,
    book: &Addresses,
    disk: Arc<Disk>,
) -> Result<Arc<Node>, RunError> {
    let started = Instant::now();
    let addresses: Arc<dyn AddressBook> = Arc::new(book.clone());
    let replicas_dir = directory.replicas();
    let replicas = groups_in(&replicas_dir).map_err(FileError::io("read", &replicas_dir))?;
    let raft = RaftNode::open(
        &directory.raft(),
        node_id,
        config.raft.clone(),
        rpc.clone(),
        addresses,
        replicas,
    )
    .await?;
    disk.tell(&raft);
    let cache_bytes = bytes(config.block_cache);
    let mut rocks = RocksShared::new(cache_bytes, config.compaction_rate)?
        .with_write_buffer(bytes(config.write_buffer));
    if config.record_cache > 0 {
        rocks = rocks.with_records(RecordCache::new(config.record_cache));
    }
    let news: Arc<NewsLinks> = Arc::default();
    let settings = Settings {
        rocks,
        read_mode: config.read_mode,
        value_bytes_max: config.max_value_bytes,
        peers: Peers::new(rpc.clone(), book.clone()),
        move_rate: Arc::new(Rate::new(config.move_rate)),
        replies: Budget::new(bytes(config.reply_memory)),
        links: Arc::default(),
        pubsub: Arc::new(PubSub::new(Arc::clone(&news))),
        news,
        scripts: Arc::new(Scripts::new(book.clone())),
    };
    let fencing = Fencing::open(directory.fence());
    let identity = Identity {
        node_id,
        token: directory.token(),
        cluster_id: directory.member().map_or(0, |(_, cluster_id)| cluster_id),
    };
    let node = Node::new(identity, raft, disk, fencing, replicas_dir, settings);
    let node = Arc::new(node);
    node.open_replicas().await?;
    let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    info!(
        replicas = node.replicas().len(),
        elapsed_ms, "replicas opened"
    );
    Ok(node)
}

/// Reports a faulty replica through health, while there is any.
async fn report_faults(node: Arc<Node>, ready: Component, stop: CancellationToken) {
    loop {
        let faults = node.faults();
        // A replica that only waits for room recovers by itself, so other faults come first.
        match faults.iter().min_by_key(|fault| fault.lacks_room) {
            Some(fault) => {
                let reason = format!("group {}: {}", fault.group_id, fault.reason);
                if fault.lacks_room {
                    ready.waiting(format!("{reason}; it goes on when there is room"));
                } else {
                    ready.failed(reason);
                }
            }
            None => ready.ready(),
        }
        let pause = tokio::time::sleep(Duration::from_secs(1));
        if stop.run_until_cancelled(pause).await.is_none() {
            return;
        }
    }
}

impl Handle {
    /// Resolves when the node cannot go on, with the reason.
    pub(crate) fn failed(&self) -> impl Future<Output = RunError> + Send + use<> {
        let failed = self.node.raft.failed();
        async move { RunError::Failed(failed.await) }
    }

    /// Moves leaders elsewhere, stops taking calls, closes everything.
    pub async fn shutdown(self) {
        self.node.set_stopping();
        let within = self.drain_timeout.min(LEAVE_TIMEOUT);
        leave::before_stop(&self.node, within).await;
        self.stop.cancel();
        for task in self.tasks {
            // All that matters is that the task has ended.
            let _ = task.await;
        }
        self.rpc.unregister_local(&self.advertised);
        self.server.shutdown().await;
        self.node.stop_replicas().await;
        self.node.raft.shutdown().await;
        if let Some(endpoint) = self.endpoint {
            endpoint.shutdown().await;
        }
        info!(node_id = %self.node_id, "server stopped");
    }
}
