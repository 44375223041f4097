//! Starts a proxy (its sockets, its copy of the catalog, its tasks) and stops it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use coterie_meta_client::MetaClient;
use coterie_protocol::catalog::Catalog;
use coterie_redis_compat::Resp;
use coterie_rpc::{Client, Credentials, CredentialsError};
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
use crate::pubsub::PubSub;
use crate::pushes::PushRules;
use crate::router::{Links, NewsReader, RangeCache, Reader, Router, random};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::stalled_clients::{Use, close_stalled};
use crate::stats::Stats;
use crate::tls::Tls;

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
    follower: JoinHandle<()>,
    places: JoinHandle<()>,
    subscriptions: JoinHandle<()>,
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
        self.stop.cancel();
        // A task that panicked needs no waiting.
        let _ = self.listener.await;
        self.follower.abort();
        self.places.abort();
        self.subscriptions.abort();
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
    let (sockets, addr, tls) = listen(&config, telemetry)?;
    let tls_addr = tls.as_ref().map(|tls| tls.addr);
    let meta = MetaClient::new(rpc.clone(), config.meta.clone());
    let catalog = meta.follow(None);
    let metrics = Metrics::new(telemetry);
    let (replies, requests) = client_memory(&config);
    let router = Arc::new(Router {
        cache: Arc::new(RangeCache::new()),
        links: Links::new(rpc.clone()),
        rpc,
        metrics: Arc::clone(&metrics),
        replies: replies.clone(),
        request_timeout: config.request_timeout,
    });
    let ready = health.component("proxy");
    let follower = tokio::spawn(follow(Arc::clone(&router), catalog.clone(), ready));
    let scan_places = Arc::new(ScanPlaces::new(Arc::clone(&metrics)));
    let looked_after = Arc::clone(&scan_places).look_after(Arc::clone(&router));
    let io_threads = config.io_threads();
    let settings = Arc::new(Settings::new(&config));
    let (clients, news, pubsub) = news_for_clients(&router, &settings);
    let subscriptions = tokio::spawn(Arc::clone(&pubsub).follow(catalog.clone()));
    let shared = Shared {
        settings,
        router: Arc::clone(&router),
        requests: requests.clone(),
        meta,
        catalog,
        clients,
        metrics,
        stats: Arc::new(Stats::new()),
        slowlog: Arc::default(),
        pause: Arc::new(Pause::new()),
        key_counts: Arc::default(),
        scan_places,
        news,
        pubsub,
        addr,
        tls,
        is_tls_only: sockets.plain.is_none(),
        run_id: run_id(),
        started: Instant::now(),
        started_at: SystemTime::now(),
        max_value_bytes: config.max_value_bytes,
        auth_timeout: config.auth_timeout,
        io_threads: io_threads.get(),
        stopping: Arc::default(),
    };
    let threads = IoThreads::start(io_threads, &shared).map_err(RunError::Threads)?;
    let stop = CancellationToken::new();
    look_after_memory(&shared, replies, requests, &stop);
    let listener = Listener::new(sockets, Arc::new(shared), threads, config.drain_timeout);
    Ok(Handle {
        addr,
        tls_addr,
        router,
        listener: tokio::spawn(listener.run(stop.clone())),
        stop,
        follower,
        places: tokio::spawn(looked_after),
        subscriptions,
        endpoint: None,
    })
}

/// The clients, what servers tell them, and their subscriptions.
fn news_for_clients(
    router: &Router,
    settings: &Arc<Settings>,
) -> (Arc<Clients>, Arc<NewsReader>, Arc<PubSub>) {
    let metrics = &router.metrics;
    let news = NewsReader::new(router.rpc.clone(), Arc::clone(metrics));
    let pushes = Arc::new(PushRules {
        settings: Arc::clone(settings),
        budget: router.replies.budget.clone(),
        metrics: Arc::clone(metrics),
    });
    let clients = Arc::new(Clients::new(pushes));
    let pubsub = PubSub::new(
        Arc::clone(&clients),
        Arc::clone(metrics),
        Arc::clone(&news),
        router.rpc.clone(),
    );
    news.begin(vec![Arc::clone(&pubsub) as Arc<dyn Reader>]);
    (clients, news, pubsub)
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
