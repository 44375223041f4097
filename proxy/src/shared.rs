//! The state that all connections of a proxy share. The connections of a thread also share a
//! router.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use coterie_meta_client::MetaClient;
use coterie_protocol::catalog::Catalog;
use coterie_redis_compat::CommandError;
use coterie_redis_compat::acl::{USERS_UNKNOWN, Users};
use tokio::sync::watch;

use crate::client_memory::ClientMemory;
use crate::clients::Clients;
use crate::fanout::{KeyCounts, ScanPlaces};
use crate::metrics::Metrics;
use crate::pause::Pause;
use crate::pubsub::PubSub;
use crate::rights::{Rights, What};
use crate::router::{NewsReader, Router};
use crate::scripts::Scripts;
use crate::settings::Settings;
use crate::slowlog::SlowLog;
use crate::stats::Stats;

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
    /// What servers tell without being asked.
    #[allow(dead_code, reason = "client-side caching follows servers by it")]
    pub(crate) news: Arc<NewsReader>,
    pub(crate) pubsub: Arc<PubSub>,
    /// The scripts and functions that are known.
    pub(crate) scripts: Arc<Scripts>,
    /// Where clients connect.
    pub(crate) addr: SocketAddr,
    /// 40 hexadecimal digits, new with each start.
    pub(crate) run_id: String,
    pub(crate) started: Instant,
    pub(crate) started_at: SystemTime,
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

    /// The newest catalog: its settings and jobs may be newer than those of the range map.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.borrow())
    }
}
