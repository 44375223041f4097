//! The proxies whose clients keep what they read (CLIENT TRACKING), as far as all replicas of this
//! node share it: the prefixes that proxies have named, and whether there is anything to tell at
//! all. Each replica has the keys that were read from it (`replica::tracked`).
//!
//! While nobody tracks anything, an applied entry costs a look at a flag.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_protocol::news::LinkId;
use coterie_protocol::tracking::{PREFIX_BYTES_MAX, PREFIXES_MAX, TrackAnswer, TrackPrefixes};
use coterie_protocol::{decode, encode};
use coterie_rpc::Responder;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use crate::news::{NewsLink, NewsLinks};

/// How long the flag stays set when nothing is tracked any more. Frames that a client sent while it
/// was tracking are applied before that.
const UNUSED_AFTER: Duration = Duration::from_secs(60);

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Trackers {
    news: Arc<NewsLinks>,
    /// A client has tracked something lately.
    used: AtomicBool,
    /// The same, to wait for.
    wanted: watch::Sender<bool>,
    started: Instant,
    /// Seconds from `started` to the last use.
    used_at: AtomicU64,
    /// By link.
    prefixes: Mutex<BTreeMap<u64, Named>>,
    /// Keys that replicas keep for proxies, and the bytes of memory that these take.
    pub(crate) keys: AtomicUsize,
    pub(crate) bytes: AtomicUsize,
    /// Keys that proxies were told of since the process started.
    pub(crate) told_total: AtomicU64,
    /// Keys of these that had to go for lack of room.
    pub(crate) evicted_total: AtomicU64,
}

/// What a proxy has named.
#[derive(Debug)]
struct Named {
    link: Arc<NewsLink>,
    prefixes: Vec<Bytes>,
}

impl Trackers {
    pub(crate) fn new(news: Arc<NewsLinks>) -> Self {
        Self {
            news,
            used: AtomicBool::new(false),
            wanted: watch::Sender::new(false),
            started: Instant::now(),
            used_at: AtomicU64::new(0),
            prefixes: Mutex::default(),
            keys: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            told_total: AtomicU64::new(0),
            evicted_total: AtomicU64::new(0),
        }
    }

    /// Whether an entry that is in the store is to be looked at: somebody may have read before it
    /// was.
    pub(crate) fn is_used(&self) -> bool {
        // With the fence in `use_now`: either the reader sees the entry in the store, or the flag
        // that the reader has set is seen here.
        fence(Ordering::SeqCst);
        self.used.load(Ordering::Relaxed)
    }

    /// Somebody is about to read, and wants to be told of changes.
    pub(crate) fn use_now(&self) {
        let now = self.started.elapsed().as_secs();
        self.used_at.fetch_max(now, Ordering::Relaxed);
        if !self.used.swap(true, Ordering::Relaxed) {
            self.wanted.send_replace(true);
        }
        fence(Ordering::SeqCst);
    }

    /// Waits until somebody tracks something.
    pub(crate) async fn wait_used(&self) {
        // Cannot fail: the sender is in `self`.
        let _ = self.wanted.subscribe().wait_for(|wanted| *wanted).await;
    }

    /// Clears the flag when nothing has been tracked for a while, and forgets the prefixes of
    /// proxies that are gone.
    pub(crate) fn look(&self) {
        let mut prefixes = self.lock();
        prefixes.retain(|_, named| !named.link.is_over());
        let idle = self.started.elapsed().as_secs();
        let idle = idle.saturating_sub(self.used_at.load(Ordering::Relaxed));
        let is_unused = prefixes.is_empty() && self.keys.load(Ordering::Relaxed) == 0;
        if is_unused && idle > UNUSED_AFTER.as_secs() && self.used.load(Ordering::Relaxed) {
            self.used.store(false, Ordering::Relaxed);
            self.wanted.send_replace(false);
        }
    }

    /// The link of a proxy, in whatever epoch. The proxy looks at the epoch before it asks and
    /// after it was answered.
    pub(crate) fn link(&self, number: u64) -> Option<Arc<NewsLink>> {
        self.news.now(number)
    }

    /// Takes the prefixes of a proxy.
    pub(crate) fn handle(&self, body: &[u8], responder: Responder) {
        let request: TrackPrefixes = match decode(body) {
            Ok(request) => request,
            Err(error) => return responder.fail(&error.to_string()),
        };
        responder.send(encode(&self.name(request)));
    }

    fn name(&self, request: TrackPrefixes) -> TrackAnswer {
        let bytes = request.prefixes.iter().map(Bytes::len).sum::<usize>();
        if request.prefixes.len() > PREFIXES_MAX || bytes > PREFIX_BYTES_MAX {
            return TrackAnswer::TooMany;
        }
        let (number, epoch) = (request.link, request.epoch);
        let id = LinkId {
            link: number,
            epoch,
        };
        let Some(link) = self.news.get(id) else {
            return TrackAnswer::OtherEpoch;
        };
        let mut named = self.lock();
        if request.prefixes.is_empty() {
            named.remove(&number);
        } else {
            // Copies, so that they do not keep the request.
            let prefixes = request.prefixes.iter();
            let prefixes = prefixes
                .map(|prefix| Bytes::copy_from_slice(prefix))
                .collect();
            named.insert(number, Named { link, prefixes });
        }
        drop(named);
        self.use_now();
        TrackAnswer::Done
    }

    /// Calls `with` for each link that has named a prefix of the key.
    pub(crate) fn visit_named(&self, key: &[u8], with: &mut dyn FnMut(&Arc<NewsLink>)) {
        for named in self.lock().values() {
            if named.prefixes.iter().any(|prefix| key.starts_with(prefix)) {
                with(&named.link);
            }
        }
    }

    /// The links that have named any prefix.
    pub(crate) fn named(&self) -> Vec<Arc<NewsLink>> {
        let named = self.lock();
        named
            .values()
            .map(|named| Arc::clone(&named.link))
            .collect()
    }

    /// Whether any link has named a prefix.
    pub(crate) fn has_named(&self) -> bool {
        !self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Named>> {
        // Nothing panics while holding it.
        self.prefixes.lock()
    }
}
