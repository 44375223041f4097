//! Starts a proxy (its sockets, its copy of the catalog, its tasks) and stops it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use coterie_config::TokenError;
use coterie_meta_client::MetaClient;
use coterie_protocol::catalog::Catalog;
use coterie_redis_compat::acl::User;
use coterie_rpc::{Client, Token};
use coterie_telemetry::{Component, Endpoint, Health, ListenError};
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
use crate::pubsub::PubSub;
use crate::pushes::PushRules;
use crate::rights::{AclFile, AclFileError, Rights, follow as follow_users};
use crate::router::{Links, NewsReader, RangeCache, Reader, Router, random};
use crate::scripts::Scripts;
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
    /// Where clients connect.
    pub addr: SocketAddr,
    stop: CancellationToken,
    listener: JoinHandle<()>,
    follower: JoinHandle<()>,
    users: JoinHandle<()>,
    places: JoinHandle<()>,
    subscriptions: JoinHandle<()>,
    /// Of a proxy that does not share it with other roles.
    endpoint: Option<Endpoint>,
}

impl Handle {
    /// Stops accepting clients, answers the commands that were read, and closes.
    pub async fn shutdown(self) {
        self.stop.cancel();
        // A task that panicked needs no waiting.
        let _ = self.listener.await;
        self.follower.abort();
        self.users.abort();
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
    let (rights, of_file) = rights(&config)?;
    let listen = config.listen.to_string();
    let socket = bind(config.listen).map_err(ListenError::at(&listen))?;
    let addr = socket.local_addr().map_err(ListenError::at(&listen))?;
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
    let follower = tokio::spawn(follow(
        Arc::clone(&router),
        catalog.clone(),
        health.component("proxy"),
    ));
    let scan_places = Arc::new(ScanPlaces::new(Arc::clone(&metrics)));
    let looked_after = Arc::clone(&scan_places).look_after(Arc::clone(&router));
    let io_threads = config.io_threads();
    let news = NewsReader::new(router.rpc.clone(), Arc::clone(&metrics));
    let settings = Arc::new(Settings::new(&config));
    let pushes = Arc::new(PushRules {
        settings: Arc::clone(&settings),
        budget: replies.budget.clone(),
        metrics: Arc::clone(&metrics),
    });
    let clients = Arc::new(Clients::new(pushes));
    let pubsub = PubSub::new(
        Arc::clone(&clients),
        Arc::clone(&metrics),
        Arc::clone(&news),
        router.rpc.clone(),
    );
    news.begin(vec![Arc::clone(&pubsub) as Arc<dyn Reader>]);
    let subscriptions = tokio::spawn(Arc::clone(&pubsub).follow(catalog.clone()));
    let stop = CancellationToken::new();
    let scripts = Scripts::start(meta.clone(), catalog.clone(), stop.clone());
    let shared = Shared {
        settings,
        rights,
        router,
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
        scripts,
        addr,
        run_id: run_id(),
        started: Instant::now(),
        started_at: SystemTime::now(),
        max_value_bytes: config.max_value_bytes,
        auth_timeout: config.auth_timeout,
        io_threads: io_threads.get(),
        stopping: Arc::default(),
    };
    let users = tokio::spawn(follow_users(
        Arc::clone(&shared.rights),
        shared.catalog.clone(),
        Arc::clone(&shared.clients),
        shared.meta.clone(),
        of_file,
    ));
    let threads = IoThreads::start(io_threads, &shared).map_err(RunError::Threads)?;
    look_after_memory(&shared, replies, requests, &stop);
    let listener = Listener::new(socket, Arc::new(shared), threads, config.drain_timeout);
    Ok(Handle {
        addr,
        listener: tokio::spawn(listener.run(stop.clone())),
        stop,
        follower,
        users,
        places: tokio::spawn(looked_after),
        subscriptions,
        endpoint: None,
    })
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
