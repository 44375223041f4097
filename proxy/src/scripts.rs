//! The scripts and functions that clients may name: those that meta keeps, and the last scripts
//! that came by EVAL through this proxy.
//!
//! A script or a function is sent to its group with its code (`conn::code`), so a leader needs no
//! memory of them. Scripts of SCRIPT LOAD, and libraries, are written to meta before their command
//! is answered; every proxy follows meta's catalog. Scripts of EVAL are remembered here at once,
//! and written to meta beside, a few at a time (`keeper`), so that EVALSHA finds them at other
//! proxies, too. A proxy that does not find a script asks meta for news once ([`Scripts::news`]).

mod code;
mod functions;
mod keeper;
mod seen;
mod stored;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_meta_client::{MetaClient, MetaError};
use coterie_protocol::catalog::Catalog;
use coterie_protocol::encode;
use coterie_protocol::meta::{Command, Outcome, Rejection};
use coterie_protocol::objects::{Expected, ObjectChange, ObjectKind, ObjectName};
use coterie_protocol::scripts::{FLUSHED, StoredScript};
use coterie_redis_compat::CommandError;
use coterie_types::Revision;
use futures_util::future::{BoxFuture, FutureExt, Shared};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use functions::{Functions, Library};

use keeper::Keeper;
use seen::Seen;
use stored::{SHA1_LEN, now_millis, stored};

/// How long meta may take to say how new its catalog is.
const NEWS_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause between two questions to meta: clients that name scripts that do not exist are no load on
/// it.
const NEWS_PAUSE: Duration = Duration::from_millis(50);
/// How long the copy of the catalog may take to become that new.
const COPY_TIMEOUT: Duration = Duration::from_secs(1);
/// How long meta may take to set a parameter.
const SET_TIMEOUT: Duration = Duration::from_secs(10);
/// The parameter of CONFIG, which servers read, and its value while it is not set.
const BUSY_PARAMETER: &[u8] = b"busy-reply-threshold";
const BUSY_DEFAULT: Bytes = Bytes::from_static(b"5000");

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Scripts {
    meta: MetaClient,
    catalog: watch::Receiver<Arc<Catalog>>,
    seen: Mutex<Seen>,
    functions: Mutex<Arc<Functions>>,
    keeper: Keeper,
    /// The last question to meta.
    asking: Mutex<Option<Question>>,
}

/// A question to meta. All who come before it is asked share its answer.
#[derive(Debug)]
struct Question {
    answer: Shared<BoxFuture<'static, ()>>,
    is_asked: Arc<AtomicBool>,
}

impl Scripts {
    /// Knows what the catalog knows. Scripts are written to meta until `stop`.
    pub(crate) fn start(
        meta: MetaClient,
        catalog: watch::Receiver<Arc<Catalog>>,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let keeper = Keeper::start(meta.clone(), catalog.clone(), stop);
        Arc::new(Self {
            meta,
            catalog,
            seen: Mutex::default(),
            functions: Mutex::default(),
            keeper,
            asking: Mutex::default(),
        })
    }

    /// The body of a script, by its SHA1 in any case.
    pub(crate) fn body(&self, sha1: &[u8]) -> Option<Bytes> {
        let sha1 = sha1.to_ascii_lowercase();
        if sha1.len() != SHA1_LEN {
            return None;
        }
        let catalog = Arc::clone(&self.catalog.borrow());
        let flushed = catalog.object(ObjectKind::Script, FLUSHED);
        let seen = self.seen.lock().body(&sha1, flushed);
        seen.or_else(|| stored(&catalog, &sha1).map(|script| script.body))
    }

    /// Remembers a script that came by EVAL.
    pub(crate) fn saw(&self, body: &Bytes) {
        let sha1 = coterie_lua::sha1_hex(body);
        let catalog = Arc::clone(&self.catalog.borrow());
        let flushed = catalog.object(ObjectKind::Script, FLUSHED);
        if self.seen.lock().saw(&sha1, body, flushed)
            && catalog
                .object(ObjectKind::Script, sha1.as_bytes())
                .is_none()
        {
            self.keeper.keep(sha1, body);
        }
    }

    /// How many scripts are known, and their bytes.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let catalog = Arc::clone(&self.catalog.borrow());
        let flushed = catalog.object(ObjectKind::Script, FLUSHED);
        let is_stored = |sha1: &str| {
            catalog
                .object(ObjectKind::Script, sha1.as_bytes())
                .is_some()
        };
        let (mut count, mut bytes) = self.seen.lock().counts(flushed, is_stored);
        for (name, value) in catalog.objects_of(ObjectKind::Script) {
            if name.len() == SHA1_LEN {
                count += 1;
                bytes += value.len();
            }
        }
        (count, bytes)
    }

    /// All functions.
    pub(crate) fn functions(&self) -> Arc<Functions> {
        let catalog = Arc::clone(&self.catalog.borrow());
        let mut functions = self.functions.lock();
        if !functions.are_of(&catalog) {
            *functions = Arc::new(Functions::of(&catalog));
        }
        Arc::clone(&functions)
    }

    /// Waits until the copy of the catalog is as new as meta was when this was called, or a little
    /// later. If meta does not answer, the copy is as good as it gets.
    pub(crate) fn news(self: &Arc<Self>) -> BoxFuture<'static, ()> {
        let mut asking = self.asking.lock();
        if let Some(question) = asking.as_ref()
            && !question.is_asked.load(Ordering::Acquire)
        {
            return question.answer.clone().boxed();
        }
        // A question under way may be answered by what was true before this call.
        let before = asking.take().map(|question| question.answer);
        let is_asked = Arc::new(AtomicBool::new(false));
        let (scripts, asked) = (Arc::clone(self), Arc::clone(&is_asked));
        let answer: BoxFuture<'static, ()> = Box::pin(async move {
            if let Some(before) = before {
                before.await;
                tokio::time::sleep(NEWS_PAUSE).await;
            }
            asked.store(true, Ordering::Release);
            scripts.ask().await;
        });
        let answer = answer.shared();
        // It is asked even if nobody waits for it any more: others may share it.
        drop(tokio::spawn(answer.clone()));
        *asking = Some(Question {
            answer: answer.clone(),
            is_asked,
        });
        answer.boxed()
    }

    async fn ask(&self) {
        let command = Command::PutObjects {
            expected: Vec::new(),
            changes: Vec::new(),
        };
        match self.meta.propose(command, NEWS_TIMEOUT).await {
            Ok(Outcome::Done { revision }) => self.wait_for(revision).await,
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "meta was not asked for scripts"),
        }
    }

    async fn wait_for(&self, revision: Revision) {
        let mut copy = self.catalog.clone();
        let shown = copy.wait_for(|copy| copy.revision >= revision);
        // A copy that is late is no reason to fail.
        let _ = tokio::time::timeout(COPY_TIMEOUT, shown).await;
    }

    /// Changes objects in meta, and waits until this proxy sees the change. Returns whether the
    /// expected values held.
    pub(crate) async fn change(
        &self,
        expected: Vec<Expected>,
        changes: Vec<ObjectChange>,
        deadline: Instant,
    ) -> Result<bool, CommandError> {
        let timeout = deadline.saturating_duration_since(Instant::now());
        let command = Command::PutObjects { expected, changes };
        match self.meta.propose(command, timeout).await {
            Ok(Outcome::Done { revision }) => {
                self.wait_for(revision).await;
                Ok(true)
            }
            Ok(Outcome::Rejected(Rejection::Changed)) => Ok(false),
            Ok(Outcome::Rejected(reason)) => Err(CommandError::Other(format!("ERR {reason}"))),
            Ok(other) => Err(CommandError::Unknown(format!("meta answered {other:?}"))),
            Err(MetaError::Unknown) => Err(CommandError::Unknown(
                "meta may or may not have made the change".to_owned(),
            )),
            Err(reason) => Err(CommandError::TryAgain(reason.to_string())),
        }
    }

    /// Stores a script of SCRIPT LOAD.
    pub(crate) async fn load(
        &self,
        sha1: &str,
        body: &Bytes,
        deadline: Instant,
    ) -> Result<(), CommandError> {
        let catalog = Arc::clone(&self.catalog.borrow());
        if stored(&catalog, sha1.as_bytes()).is_some_and(|script| script.is_loaded) {
            return Ok(());
        }
        let value = encode(&StoredScript {
            is_loaded: true,
            at: now_millis(),
            body: body.clone(),
        });
        let name = ObjectName::new(ObjectKind::Script, sha1.to_owned());
        let mut changes = keeper::evictions(&catalog, value.len());
        changes.push(ObjectChange::Put(name, value));
        self.change(Vec::new(), changes, deadline).await.map(drop)
    }

    /// Forgets all scripts, at all proxies.
    pub(crate) async fn flush(&self, deadline: Instant) -> Result<(), CommandError> {
        let mark = format!("{}-{:016x}", now_millis(), crate::router::random());
        let name = ObjectName::new(ObjectKind::Script, FLUSHED);
        let changes = vec![
            ObjectChange::Clear(ObjectKind::Script),
            ObjectChange::Put(name, Bytes::from(mark)),
        ];
        self.change(Vec::new(), changes, deadline).await.map(drop)
    }

    /// How long a script may run until others are told that it is busy, in milliseconds.
    pub(crate) fn busy_threshold(&self) -> Bytes {
        let catalog = Arc::clone(&self.catalog.borrow());
        let set = catalog.object(ObjectKind::Config, BUSY_PARAMETER);
        set.cloned().unwrap_or(BUSY_DEFAULT)
    }

    /// Sets that time for the whole cluster; it takes effect within moments.
    pub(crate) fn set_busy_threshold(self: &Arc<Self>, millis: &Bytes) {
        let name = ObjectName::new(ObjectKind::Config, BUSY_PARAMETER);
        let put = ObjectChange::Put(name, Bytes::copy_from_slice(millis));
        let scripts = Arc::clone(self);
        tokio::spawn(async move {
            let deadline = Instant::now() + SET_TIMEOUT;
            let set = scripts.change(Vec::new(), vec![put], deadline).await;
            if let Err(error) = set {
                tracing::warn!(%error, "busy-reply-threshold was not set");
            }
        });
    }

    /// The newest catalog here.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.borrow())
    }
}
