//! The state that all connections of a proxy share. The connections of a thread also share a
//! router.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use coterie_meta_client::MetaClient;
use coterie_protocol::catalog::Catalog;
use coterie_redis_compat::CommandError;
use coterie_redis_compat::acl::{USERS_UNKNOWN, Users};
use tokio::sync::watch;

use crate::client_memory::ClientMemory;
use crate::clients::Clients;
use crate::fanout::{KeyCounts, ScanPlaces};
use crate::latency_events::LatencyEvents;
use crate::metrics::Metrics;
use crate::monitors::Monitors;
use crate::pause::Pause;
use crate::pubsub::PubSub;
use crate::rights::{Rights, What};
use crate::roster::Roster;
use crate::router::Router;
use crate::scripts::Scripts;
use crate::settings::Settings;
use crate::slowlog::SlowLog;
use crate::stats::Stats;
use crate::tls::Tls;
use crate::tracking::Tracking;

/// See the module's head.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) settings: Arc<Settings>,
    pub(crate) rights: Arc<Rights>,
    pub(crate) router: Arc<Router>,
    /// Memory for the requests of all clients.
    pub(crate) requests: ClientMemory,
    pub(crate) meta: MetaClient,
    pub(crate) catalog: watch::Receiver<Arc<Catalog>>,
    pub(crate) clients: Arc<Clients>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) slowlog: Arc<SlowLog>,
    pub(crate) pause: Arc<Pause>,
    pub(crate) key_counts: Arc<KeyCounts>,
    pub(crate) scan_places: Arc<ScanPlaces>,
    pub(crate) pubsub: Arc<PubSub>,
    /// Client-side caching.
    pub(crate) tracking: Arc<Tracking>,
    pub(crate) latency: Arc<LatencyEvents>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) monitors: Arc<Monitors>,
    /// The scripts and functions that are known.
    pub(crate) scripts: Arc<Scripts>,
    /// Where clients connect: without TLS, unless the proxy takes TLS only.
    pub(crate) addr: SocketAddr,
    /// TLS for clients, if it is on.
    pub(crate) tls: Option<Arc<Tls>>,
    /// Clients connect by TLS only.
    pub(crate) is_tls_only: bool,
    /// 40 hexadecimal digits, new with each start.
    pub(crate) run_id: String,
    pub(crate) started: Instant,
    /// The largest value a client may write.
    pub(crate) max_value_bytes: u64,
    pub(crate) auth_timeout: Duration,
    /// How many threads serve clients.
    pub(crate) io_threads: usize,
    /// The proxy stops: no more commands are read.
    pub(crate) stopping: Arc<AtomicBool>,
}

impl Shared {
    /// Bytes of the largest value a client may write.
    pub(crate) fn value_bytes_max(&self) -> usize {
        usize::try_from(self.max_value_bytes).unwrap_or(usize::MAX)
    }

    /// All users. Errors: `USERS_UNKNOWN` before the first catalog.
    pub(crate) fn users(&self) -> Result<Arc<Users>, CommandError> {
        self.rights.users().ok_or(USERS_UNKNOWN)
    }

    /// Follows the users of the newest catalog at once.
    pub(crate) fn follow_users(&self) {
        if self.rights.take(&self.catalog()) {
            self.clients.wake_all();
        }
    }

    /// Counts a denial, for INFO and for the metrics.
    pub(crate) fn count_denial(&self, what: What) {
        self.metrics.denials(what).inc();
        self.stats.denials(what).fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it answers as a node of a Redis Cluster.
    pub(crate) fn is_cluster(&self) -> bool {
        self.roster.own().announces.is_some()
    }

    /// `cluster` or `standalone`, as clients ask.
    pub(crate) fn mode(&self) -> &'static str {
        if self.is_cluster() {
            "cluster"
        } else {
            "standalone"
        }
    }

    /// The newest catalog: its settings and jobs may be newer than those of the range map.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.borrow())
    }
}
