//! Starts a proxy (its sockets, its copy of the catalog, its tasks) and stops it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_meta_client::MetaClient;
use coterie_protocol::catalog::Catalog;
use coterie_protocol::proxies::ProxyReport;
use coterie_redis_compat::Resp;
use coterie_redis_compat::acl::User;
use coterie_rpc::{Client, Credentials, CredentialsError, Door, Responder};
use coterie_telemetry::{Component, Endpoint, Health, ListenError};
use coterie_tls::{TlsError, Watched};
use coterie_types::TableId;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Config;
use crate::client_memory::ClientMemory;
use crate::clients::Clients;
use crate::conn::{Listener, Sockets, bind};
use crate::fanout::{Calls, ScanPlaces};
use crate::io_threads::IoThreads;
use crate::metrics::Metrics;
use crate::pause::Pause;
use crate::peers::Peers;
use crate::pubsub::PubSub;
use crate::pushes::PushRules;
use crate::rights::{AclFile, AclFileError, Rights, follow as follow_users};
use crate::roster::{Roster, random_number};
use crate::router::{Links, NewsReader, RangeCache, Reader, Router, random};
use crate::scripts::Scripts;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::stalled_clients::{Use, close_stalled};
use crate::stats::Stats;
use crate::tls::Tls;
use crate::tracking::Tracking;

/// Why a proxy could not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No cluster token, or no certificate for the cluster that can be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// TLS for clients is asked for, and cannot be.
    #[error("TLS for clients")]
    Tls(#[from] TlsError),
    /// The address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The users of the ACL file cannot be read.
    #[error("read the ACL file")]
    Acl(#[from] AclFileError),
    /// The threads that serve clients could not be started.
    #[error("start threads")]
    Threads(#[source] io::Error),
}

/// A running proxy.
#[derive(Debug)]
pub struct Handle {
    /// Where clients connect: without TLS, unless the proxy takes TLS only.
    pub addr: SocketAddr,
    /// Where clients connect by TLS, if it is on.
    pub tls_addr: Option<SocketAddr>,
    router: Arc<Router>,
    stop: CancellationToken,
    listener: JoinHandle<()>,
    /// They go on until the last client has its replies.
    followers: Vec<JoinHandle<()>>,
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
    /// Resolves when the cluster answers a read; never if it never does.
    pub fn served(&self) -> impl Future<Output = ()> + Send + use<> {
        served(Arc::clone(&self.router))
    }

    /// Stops accepting clients, answers the commands that were read, and closes.
    pub async fn shutdown(self) {
        self.reports.abort();
        self.roster.leave(&self.meta).await;
        self.stop.cancel();
        // A task that panicked needs no waiting.
        let _ = self.listener.await;
        self.followers.iter().for_each(JoinHandle::abort);
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
    let (rights, of_file) = rights(&config)?;
    let (sockets, addr, tls) = listen(&config, telemetry)?;
    let tls_addr = tls.as_ref().map(|tls| tls.addr);
    let door = Door::new(|_, responder: Responder| responder.fail("the proxy is starting"));
    let peers = bind_peers(&config, rpc.credentials(), door.clone()).await?;
    let meta = MetaClient::new(rpc.clone(), config.meta.clone());
    let catalog = meta.follow(None);
    let metrics = Metrics::new(telemetry);
    let (replies, requests) = client_memory(&config);
    let settings = Arc::new(Settings::new(&config));
    let parts = (&rpc, &metrics, &settings);
    let messages = Messages::new(&config, parts, &catalog, &replies);
    let router = router(&config, &messages, (rpc, &metrics), &replies);
    let ready = health.component("proxy");
    let scan_places = Arc::new(ScanPlaces::new(Arc::clone(&metrics)));
    let mut followers = messages.follow(&catalog);
    followers.extend([
        tokio::spawn(follow(Arc::clone(&router), catalog.clone(), ready)),
        tokio::spawn(Arc::clone(&scan_places).look_after(Arc::clone(&router))),
    ]);
    let Messages {
        clients,
        tracking,
        pubsub,
    } = messages;
    let roster = Arc::new(Roster::new(report(&config, addr, peers.local_addr())));
    clients.number_from(roster.own().number);
    let keeping = Arc::clone(&roster).keep(meta.clone(), Arc::clone(&clients));
    let stop = CancellationToken::new();
    let scripts = Scripts::start(meta.clone(), catalog.clone(), stop.clone());
    let shared = Arc::new(Shared {
        rights,
        settings,
        router: Arc::clone(&router),
        requests: requests.clone(),
        meta: meta.clone(),
        catalog,
        clients,
        metrics,
        stats: Arc::new(Stats::new()),
        slowlog: Arc::default(),
        pause: Arc::new(Pause::new()),
        key_counts: Arc::default(),
        scan_places,
        pubsub,
        tracking,
        latency: Arc::default(),
        roster: Arc::clone(&roster),
        monitors: Arc::default(),
        scripts,
        addr,
        tls,
        is_tls_only: sockets.plain.is_none(),
        run_id: roster.own().id.clone(),
        started: Instant::now(),
        max_value_bytes: config.max_value_bytes,
        auth_timeout: config.auth_timeout,
        io_threads: config.io_threads().get(),
        stopping: Arc::default(),
    });
    followers.push(tokio::spawn(follow_users(
        Arc::clone(&shared.rights),
        shared.catalog.clone(),
        Arc::clone(&shared.clients),
        shared.meta.clone(),
        of_file,
    )));
    let threads = IoThreads::start(config.io_threads(), &shared).map_err(RunError::Threads)?;
    look_after_memory(&shared, replies, requests, &stop);
    door.open(Arc::new(Peers(Arc::clone(&shared))));
    let listener = Listener::new(sockets, shared, threads, config.drain_timeout);
    Ok(Handle {
        addr,
        tls_addr,
        router,
        listener: tokio::spawn(listener.run(stop.clone())),
        stop,
        followers,
        reports: tokio::spawn(keeping),
        roster,
        meta,
        peers,
        endpoint: None,
    })
}

/// The clients, and the sources of messages that they did not ask for.
struct Messages {
    clients: Arc<Clients>,
    tracking: Arc<Tracking>,
    pubsub: Arc<PubSub>,
}

impl Messages {
    fn new(
        config: &Config,
        (rpc, metrics, settings): (&Client, &Arc<Metrics>, &Arc<Settings>),
        catalog: &watch::Receiver<Arc<Catalog>>,
        replies: &ClientMemory,
    ) -> Self {
        let news = NewsReader::new(rpc.clone(), Arc::clone(metrics));
        let clients = Arc::new(Clients::new(Arc::new(PushRules {
            settings: Arc::clone(settings),
            budget: replies.budget.clone(),
            metrics: Arc::clone(metrics),
        })));
        let tracking = Tracking::new(
            Arc::clone(&clients),
            Arc::clone(settings),
            Arc::clone(metrics),
            rpc.clone(),
            Arc::clone(&news),
            catalog.clone(),
        );
        let pubsub = PubSub::new(
            Arc::clone(&clients),
            Arc::clone(metrics),
            Arc::clone(&news),
            rpc.clone(),
            config.io_threads().get(),
        );
        news.begin(vec![
            Arc::clone(&pubsub) as Arc<dyn Reader>,
            Arc::clone(&tracking) as Arc<dyn Reader>,
        ]);
        Self {
            clients,
            tracking,
            pubsub,
        }
    }

    /// Starts the tasks that tell servers of interests.
    fn follow(&self, catalog: &watch::Receiver<Arc<Catalog>>) -> Vec<JoinHandle<()>> {
        vec![
            tokio::spawn(Arc::clone(&self.tracking).look_after()),
            tokio::spawn(Arc::clone(&self.pubsub).follow(catalog.clone())),
        ]
    }
}

fn router(
    config: &Config,
    messages: &Messages,
    (rpc, metrics): (Client, &Arc<Metrics>),
    replies: &ClientMemory,
) -> Arc<Router> {
    Arc::new(Router {
        cache: Arc::new(RangeCache::new()),
        links: Links::new(rpc.clone()),
        tracking: Arc::clone(&messages.tracking),
        rpc,
        metrics: Arc::clone(metrics),
        replies: replies.clone(),
        request_timeout: config.request_timeout,
    })
}

/// Listens for clients. Returns the address without TLS, or with it if there is no other.
fn listen(
    config: &Config,
    telemetry: &coterie_telemetry::Metrics,
) -> Result<(Sockets, SocketAddr, Option<Arc<Tls>>), RunError> {
    let listen = |addr: SocketAddr| {
        let name = addr.to_string();
        let socket = bind(addr).map_err(ListenError::at(&name))?;
        let addr = socket.local_addr().map_err(ListenError::at(&name))?;
        Ok::<_, ListenError>((socket, addr))
    };
    let plain = (!config.tls.tls_only).then(|| listen(config.listen));
    let plain = plain.transpose()?;
    let mut addr = plain.as_ref().map(|(_, addr)| *addr);
    let (mut of_tls, mut tls) = (None, None);
    if let Some((at, settings)) = config.tls.resolve()? {
        let watched = Watched::open(settings)?;
        let (socket, at) = listen(at)?;
        watched.watch();
        telemetry.register_collector(watched.collector());
        (of_tls, tls) = (Some(socket), Some(Arc::new(Tls::new(at, watched))));
        addr.get_or_insert(at);
    }
    let sockets = Sockets {
        plain: plain.map(|(socket, _)| socket),
        tls: of_tls,
    };
    // `resolve` refuses TLS alone without an address for it.
    Ok((sockets, addr.unwrap_or(config.listen), tls))
}

/// Reads a part of table 0 until a group answers.
async fn served(router: Arc<Router>) {
    const PAUSE: Duration = Duration::from_millis(50);
    let words = |start, end| vec![Bytes::from_static(b"_count"), start, end, "1".into()];
    loop {
        let deadline = Instant::now() + router.request_timeout;
        let calls = Calls::new(Arc::clone(&router), Resp::V2, deadline);
        let interval = (Bytes::from_static(b"0"), Some(Bytes::from_static(b"1")));
        match calls.first(TableId(0), interval, true, &words).await {
            Ok(_) => return,
            Err(error) => tracing::debug!(%error, "not served yet"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Listens for other proxies.
async fn bind_peers(
    config: &Config,
    credentials: Credentials,
    handler: Arc<dyn coterie_rpc::Handler>,
) -> Result<coterie_rpc::Server, RunError> {
    let listen = config.peer_listen;
    let listen = listen.unwrap_or_else(|| SocketAddr::new(config.listen.ip(), 0));
    let listen = listen.to_string();
    let bound = coterie_rpc::Server::bind(&listen, credentials, handler).await;
    Ok(bound.map_err(ListenError::at(&listen))?)
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

/// The users, and those of the ACL file, which must be readable.
fn rights(config: &Config) -> Result<(Arc<Rights>, Vec<User>), AclFileError> {
    let file = config.aclfile.clone().map(AclFile::new);
    let rights = Arc::new(Rights::new(config, file.clone()));
    let of_file = file.map(|file| file.read(rights.reading()));
    Ok((rights, of_file.transpose()?.unwrap_or_default()))
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
