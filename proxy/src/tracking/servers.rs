//! The servers that tell this proxy of changes: those that tracked keys are read from, and while
//! clients have prefixes, all of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coterie_protocol::catalog::Catalog;
use coterie_protocol::news::LinkId;
use coterie_protocol::tracking::{TrackAnswer, TrackPrefixes};
use coterie_protocol::{decode, encode, method};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::router::{Following, NewsReader};

/// How long a client waits until servers know its prefixes. When a server answers later, the client
/// is told to forget everything.
const NAMING_MAX: Duration = Duration::from_secs(1);
/// How long a server may take to note prefixes.
const CALL_MAX: Duration = Duration::from_secs(1);
/// Pause before a server is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// See the module's head.
#[derive(Debug)]
pub(super) struct Servers {
    rpc: coterie_rpc::Client,
    reader: Arc<NewsReader>,
    catalog: watch::Receiver<Arc<Catalog>>,
    /// The servers that are read from, by address.
    followed: Mutex<HashMap<Box<str>, Following>>,
    /// Rises when the prefixes change.
    version: watch::Sender<u64>,
    /// The version that each server knows, by address.
    named: watch::Sender<BTreeMap<Box<str>, u64>>,
}

impl Servers {
    pub(super) fn new(
        rpc: coterie_rpc::Client,
        reader: Arc<NewsReader>,
        catalog: watch::Receiver<Arc<Catalog>>,
    ) -> Self {
        Self {
            rpc,
            reader,
            catalog,
            followed: Mutex::default(),
            version: watch::Sender::new(0),
            named: watch::Sender::new(BTreeMap::new()),
        }
    }

    /// The number of this proxy's link.
    pub(super) fn link(&self) -> u64 {
        self.reader.link
    }

    /// Follows a server, until no client tracks any more. Also returns the servers that are not
    /// followed any longer, as they are gone: addresses may change without end.
    pub(super) fn follow(&self, addr: &str) -> (Following, Vec<Box<str>>) {
        let mut followed = self.followed.lock();
        if let Some(following) = followed.get(addr) {
            return (following.clone(), Vec::new());
        }
        let live = live(&self.catalog.borrow());
        let gone = followed.extract_if(|addr, _| !live.contains(addr));
        let gone = gone.map(|(addr, _)| addr).collect();
        let following = self.reader.follow(addr);
        followed.insert(addr.into(), following.clone());
        (following, gone)
    }

    /// No client tracks any more.
    pub(super) fn leave(&self) {
        self.followed.lock().clear();
    }

    /// The prefixes have changed. Returns the version with the change.
    pub(super) fn prefixes_changed(&self) -> u64 {
        let mut now = 0;
        self.version.send_modify(|version| {
            *version += 1;
            now = *version;
        });
        now
    }

    /// Waits until all servers know this version of the prefixes, or its time is over.
    pub(super) async fn wait_named(&self, version: u64) {
        let mut named = self.named.subscribe();
        let all_know = named.wait_for(|named| {
            let live = live(&self.catalog.borrow());
            let knows = |addr| named.get(addr).is_some_and(|known| *known >= version);
            live.iter().all(knows)
        });
        // Those that come later are handled as they come.
        let _ = tokio::time::timeout(NAMING_MAX, all_know).await;
    }

    async fn is_told(&self, addr: &str, request: TrackPrefixes) -> bool {
        let body = encode(&request);
        let answer = self.rpc.call(addr, method::TRACK_PREFIXES, body, CALL_MAX);
        let answer = answer.await.ok();
        let answer = answer.and_then(|answer| decode::<TrackAnswer>(&answer).ok());
        answer == Some(TrackAnswer::Done)
    }

    fn set_named(&self, addr: &str, version: Option<u64>) {
        self.named.send_modify(|named| {
            match version {
                Some(version) => named.insert(addr.into(), version),
                None => named.remove(addr),
            };
        });
    }
}

/// The addresses of the servers that serve.
fn live(catalog: &Catalog) -> BTreeSet<Box<str>> {
    let live = coterie_protocol::pubsub::live(catalog);
    let nodes = live.filter_map(|node| catalog.nodes.get(&node));
    nodes.map(|node| node.addr.as_str().into()).collect()
}

/// The prefixes of all clients.
type Prefixes = Arc<dyn Fn() -> Vec<Bytes> + Send + Sync>;
/// Called when a server knows the prefixes in an epoch that begins.
type NamedAnew = Arc<dyn Fn() + Send + Sync>;

/// Tells servers the prefixes: a task for each, once there are any.
pub(super) async fn look_after(servers: Arc<Servers>, prefixes: Prefixes, named_anew: NamedAnew) {
    let mut tasks: HashMap<Box<str>, JoinHandle<()>> = HashMap::new();
    let mut version = servers.version.subscribe();
    let mut catalog = servers.catalog.clone();
    loop {
        let live = live(&catalog.borrow_and_update());
        tasks.retain(|addr, task| {
            if !live.contains(addr) {
                task.abort();
                servers.set_named(addr, None);
            }
            live.contains(addr)
        });
        version.borrow_and_update();
        if !prefixes().is_empty() {
            for addr in live {
                tasks.entry(addr).or_insert_with_key(|addr| {
                    let servers = Arc::clone(&servers);
                    let (prefixes, anew) = (Arc::clone(&prefixes), Arc::clone(&named_anew));
                    tokio::spawn(name(servers, addr.clone(), prefixes, anew))
                });
            }
        }
        let changed = async {
            tokio::select! {
                changed = version.changed() => changed,
                changed = catalog.changed() => changed,
            }
        };
        if changed.await.is_err() {
            // The source of catalogs is gone: the process ends.
            return;
        }
    }
}

/// Tells a server the prefixes, in each epoch and whenever they change, while there are any.
async fn name(servers: Arc<Servers>, addr: Box<str>, prefixes: Prefixes, named_anew: NamedAnew) {
    let mut versions = servers.version.subscribe();
    loop {
        if !prefixes().is_empty() {
            servers.name_all(&addr, &prefixes, &named_anew).await;
        }
        if versions.changed().await.is_err() {
            return;
        }
    }
}

impl Servers {
    async fn name_all(&self, addr: &str, prefixes: &Prefixes, named_anew: &NamedAnew) {
        let following = self.reader.follow(addr);
        let (mut epochs, mut versions) = (following.epochs(), self.version.subscribe());
        let mut known = None;
        loop {
            let version = *versions.borrow_and_update();
            epochs.borrow_and_update();
            let prefixes = prefixes();
            let is_last = prefixes.is_empty();
            if let Some(LinkId { link, epoch }) = following.id()
                && known != Some((epoch, version))
            {
                let request = TrackPrefixes {
                    link,
                    epoch,
                    prefixes,
                };
                if !self.is_told(addr, request).await {
                    if is_last {
                        return;
                    }
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                if known.is_none_or(|(before, _)| before != epoch) {
                    named_anew();
                }
                known = Some((epoch, version));
                self.set_named(addr, Some(version));
            }
            if is_last {
                return;
            }
            tokio::select! {
                _ = epochs.changed() => {}
                _ = versions.changed() => {}
            }
        }
    }
}
