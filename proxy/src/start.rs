//! Starts a proxy (its sockets, its copy of the catalog, its tasks) and stops it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use coterie_config::TokenError;
use coterie_meta_client::MetaClient;
use coterie_protocol::catalog::Catalog;
use coterie_protocol::proxies::ProxyReport;
use coterie_rpc::{Client, Door, Request, Responder, Token};
use coterie_telemetry::{Component, Endpoint, Health, ListenError};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Config;
use crate::client_memory::ClientMemory;
use crate::clients::Clients;
use crate::conn::{Listener, bind};
use crate::fanout::ScanPlaces;
use crate::io_threads::IoThreads;
use crate::metrics::Metrics;
use crate::pause::Pause;
use crate::peers::Peers;
use crate::pubsub::PubSub;
use crate::pushes::PushRules;
use crate::roster::{Roster, random_number};
use crate::router::{Links, NewsReader, RangeCache, Reader, Router, random};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::stalled_clients::{Use, close_stalled};
use crate::stats::Stats;

/// Why a proxy could not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The cluster's secret is missing or given twice.
    #[error("read the cluster token")]
    Token(#[from] TokenError),
    /// The address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The threads that serve clients could not be started.
    #[error("start threads")]
    Threads(#[source] io::Error),
}

/// A running proxy.
#[derive(Debug)]
pub struct Handle {
    /// Where clients connect.
    pub addr: SocketAddr,
    stop: CancellationToken,
    listener: JoinHandle<()>,
    follower: JoinHandle<()>,
    places: JoinHandle<()>,
    subscriptions: JoinHandle<()>,
    /// Reports this proxy to meta.
    reports: JoinHandle<()>,
    roster: Arc<Roster>,
    meta: MetaClient,
    /// Takes the questions of other proxies.
    peers: coterie_rpc::Server,
    /// Of a proxy that does not share it with other roles.
    endpoint: Option<Endpoint>,
}

impl Handle {
    /// Stops accepting clients, answers the commands that were read, and closes.
    pub async fn shutdown(self) {
        self.reports.abort();
        self.roster.leave(&self.meta).await;
        self.stop.cancel();
        // A task that panicked needs no waiting.
        let _ = self.listener.await;
        self.follower.abort();
        self.places.abort();
        self.subscriptions.abort();
        self.peers.shutdown().await;
        if let Some(endpoint) = self.endpoint {
            endpoint.shutdown().await;
        }
    }
}

/// Runs a proxy until `shutdown`.
///
/// # Errors
/// When its settings do not allow it to start.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), RunError> {
    let handle = start(config).await?;
    tracing::info!(addr = %handle.addr, "proxy started");
    shutdown.cancelled().await;
    handle.shutdown().await;
    tracing::info!("proxy stopped");
    Ok(())
}

/// Starts a proxy with connections of its own.
///
/// # Errors
/// When its settings do not allow it to start.
pub async fn start(config: Config) -> Result<Handle, RunError> {
    let rpc = Client::new(Token::new(config.cluster_token.secret()?));
    let endpoint = Endpoint::start(config.http.as_deref()).await?;
    let started = start_with(config, rpc, &endpoint.metrics, &endpoint.health).await;
    let (mut handle, endpoint) = endpoint.of(started).await?;
    handle.endpoint = Some(endpoint);
    Ok(handle)
}

/// Starts a proxy that shares connections, metrics and health with other roles of the process.
/// `config.http` is ignored.
///
/// # Errors
/// When it cannot listen, or start threads.
pub async fn start_with(
    config: Config,
    rpc: Client,
    telemetry: &coterie_telemetry::Metrics,
    health: &Health,
) -> Result<Handle, RunError> {
    crate::commands::note_memory_at_start();
    let (socket, addr) = listen(config.listen)?;
    let (door, peers) = bind_peers(&config).await?;
    let meta = MetaClient::new(rpc.clone(), config.meta.clone());
    let catalog = meta.follow(None);
    let metrics = Metrics::new(telemetry);
    let (replies, requests) = client_memory(&config);
    let router = router(&config, rpc, &metrics, &replies);
    let ready = health.component("proxy");
    let follower = tokio::spawn(follow(Arc::clone(&router), catalog.clone(), ready));
    let scan_places = Arc::new(ScanPlaces::new(Arc::clone(&metrics)));
    let places = Arc::clone(&scan_places).look_after(Arc::clone(&router));
    let settings = Arc::new(Settings::new(&config));
    let messages = Messages::new(&router, &settings);
    let subscriptions = tokio::spawn(Arc::clone(&messages.pubsub).follow(catalog.clone()));
    let own = report(&config, addr, peers.local_addr());
    messages.clients.number_from(own.number);
    let roster = Arc::new(Roster::new(own));
    let keeping = Arc::clone(&roster).keep(meta.clone(), Arc::clone(&messages.clients));
    let shared = Arc::new(Shared {
        settings,
        router,
        requests: requests.clone(),
        meta: meta.clone(),
        catalog,
        clients: messages.clients,
        metrics,
        stats: Arc::new(Stats::new()),
        slowlog: Arc::default(),
        pause: Arc::new(Pause::new()),
        key_counts: Arc::default(),
        scan_places,
        news: messages.news,
        pubsub: messages.pubsub,
        latency: Arc::default(),
        roster: Arc::clone(&roster),
        monitors: Arc::default(),
        addr,
        run_id: roster.own().id.clone(),
        started: Instant::now(),
        max_value_bytes: config.max_value_bytes,
        auth_timeout: config.auth_timeout,
        io_threads: config.io_threads().get(),
        stopping: Arc::default(),
    });
    let threads = IoThreads::start(config.io_threads(), &shared).map_err(RunError::Threads)?;
    let stop = CancellationToken::new();
    look_after_memory(&shared, replies, requests, &stop);
    door.open(Arc::new(Peers(Arc::clone(&shared))));
    let listener = Listener::new(socket, shared, threads, config.drain_timeout);
    Ok(Handle {
        addr,
        listener: tokio::spawn(listener.run(stop.clone())),
        stop,
        follower,
        places: tokio::spawn(places),
        subscriptions,
        reports: tokio::spawn(keeping),
        roster,
        meta,
        peers,
        endpoint: None,
    })
}

/// Listens for clients.
fn listen(at: SocketAddr) -> Result<(TcpListener, SocketAddr), ListenError> {
    let listen = at.to_string();
    let socket = bind(at).map_err(ListenError::at(&listen))?;
    let addr = socket.local_addr().map_err(ListenError::at(&listen))?;
    Ok((socket, addr))
}

fn router(
    config: &Config,
    rpc: Client,
    metrics: &Arc<Metrics>,
    replies: &ClientMemory,
) -> Arc<Router> {
    Arc::new(Router {
        cache: Arc::new(RangeCache::new()),
        links: Links::new(rpc.clone()),
        rpc,
        metrics: Arc::clone(metrics),
        replies: replies.clone(),
        request_timeout: config.request_timeout,
    })
}

/// The clients, and the sources of messages that they did not ask for.
struct Messages {
    clients: Arc<Clients>,
    news: Arc<NewsReader>,
    pubsub: Arc<PubSub>,
}

impl Messages {
    fn new(router: &Router, settings: &Arc<Settings>) -> Self {
        let metrics = &router.metrics;
        let news = NewsReader::new(router.rpc.clone(), Arc::clone(metrics));
        let clients = Arc::new(Clients::new(Arc::new(PushRules {
            settings: Arc::clone(settings),
            budget: router.replies.budget.clone(),
            metrics: Arc::clone(metrics),
        })));
        let pubsub = PubSub::new(
            Arc::clone(&clients),
            Arc::clone(metrics),
            Arc::clone(&news),
            router.rpc.clone(),
        );
        news.begin(vec![Arc::clone(&pubsub) as Arc<dyn Reader>]);
        Self {
            clients,
            news,
            pubsub,
        }
    }
}

/// The handler of questions of other proxies: closed until the proxy can answer.
type PeerDoor = Door<fn(Request, Responder)>;

/// Listens for other proxies.
async fn bind_peers(config: &Config) -> Result<(Arc<PeerDoor>, coterie_rpc::Server), RunError> {
    let listen = config.peer_listen;
    let listen = listen.unwrap_or_else(|| SocketAddr::new(config.listen.ip(), 0));
    let listen = listen.to_string();
    let token = Token::new(config.cluster_token.secret()?);
    let door: Arc<PeerDoor> = Door::new(|_, responder| responder.fail("the proxy is starting"));
    let bound = coterie_rpc::Server::bind(&listen, token, door.clone()).await;
    Ok((door, bound.map_err(ListenError::at(&listen))?))
}

/// The proxy as it reports itself to others.
fn report(config: &Config, addr: SocketAddr, peer: SocketAddr) -> ProxyReport {
    let announced = config.cluster_announce.as_ref();
    // An address that means all of this host's means nothing to another host.
    let reached = (!peer.ip().is_unspecified()).then(|| peer.to_string());
    let reached = reached.or_else(|| Some(format!("{}:{}", announced?.0, peer.port())));
    ProxyReport {
        id: run_id(),
        number: random_number(),
        listens: addr.to_string(),
        peer: config
            .peer_advertise
            .clone()
            .or(reached)
            .unwrap_or_default(),
        announces: announced.cloned(),
        announces_tls: config.cluster_announce_tls_port,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Closes clients that hold memory for which others wait, until `stop`.
fn look_after_memory(
    shared: &Shared,
    replies: ClientMemory,
    requests: ClientMemory,
    stop: &CancellationToken,
) {
    for (memory, kind) in [(replies, Use::Replies), (requests, Use::Requests)] {
        let clients = Arc::clone(&shared.clients);
        let metrics = Arc::clone(&shared.metrics);
        tokio::spawn(close_stalled(memory, kind, clients, metrics, stop.clone()));
    }
}

/// Memory for replies and for requests.
fn client_memory(config: &Config) -> (ClientMemory, ClientMemory) {
    let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    let of_client = bytes(config.client_reply_memory);
    let replies = ClientMemory::new(bytes(config.reply_memory), of_client);
    (replies, ClientMemory::new(bytes(config.request_memory), 0))
}

/// Passes every catalog to the range map. The proxy is ready with the first catalog that has
/// ranges.
async fn follow(
    router: Arc<Router>,
    mut catalog: watch::Receiver<Arc<Catalog>>,
    health: Component,
) {
    health.waiting("no ranges yet");
    loop {
        let newest = Arc::clone(&catalog.borrow_and_update());
        let has_ranges = !newest.ranges.is_empty();
        router.cache.follow(newest);
        if has_ranges {
            health.ready();
        }
        if catalog.changed().await.is_err() {
            // The source of catalogs is gone: the process ends.
            return;
        }
    }
}

fn run_id() -> String {
    format!("{:016x}{:016x}{:08x}", random(), random(), random() >> 32)
}
