//! The calling side: an address, a method and a body in; an answer or an error out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dashmap::DashMap;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::connection::Submitted;
use crate::peer::{Peer, Shared};
use crate::sweeper::Sweeper;
use crate::{CallError, Credentials, Handler, Limits, Patience, Progress, Request, Responder};

/// Calls other processes, over a connection to each, opened on first use and reopened after it
/// broke. Clones share the connections, which close when the last clone is dropped.
#[derive(Clone)]
pub struct Client(Arc<Peers>);

struct Peers {
    shared: Arc<Shared>,
    peers: DashMap<Box<str>, Arc<Peer>>,
    locals: Arc<Locals>,
    sweeping: AtomicBool,
}

/// Handlers in this process, by address.
type Locals = DashMap<Box<str>, Arc<dyn Handler>>;

enum Route {
    Remote(Arc<Peer>),
    /// In this process: the socket is skipped.
    Local(Arc<dyn Handler>),
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("addresses", &self.0.peers.len())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the cluster with this token, or with token and certificate, and with the default
    /// limits.
    #[must_use]
    pub fn new(credentials: impl Into<Credentials>) -> Self {
        Self::with_limits(credentials, Limits::default())
    }

    /// A client with other limits.
    #[must_use]
    pub fn with_limits(credentials: impl Into<Credentials>, limits: Limits) -> Self {
        let runtime = Handle::try_current().map(OnceLock::from);
        let runtime = runtime.unwrap_or_default();
        Self::with_shared(credentials.into(), limits, runtime, Arc::default())
    }

    /// A client of the same cluster with the same local handlers, but its own connections, whose
    /// tasks run on `runtime`.
    #[must_use]
    pub fn on(&self, runtime: &Handle) -> Self {
        let locals = Arc::clone(&self.0.locals);
        let limits = self.0.shared.limits;
        Self::with_shared(self.credentials(), limits, runtime.clone().into(), locals)
    }

    /// The credentials, for a server of the same process.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        self.0.shared.credentials.clone()
    }

    fn with_shared(
        credentials: Credentials,
        limits: Limits,
        runtime: OnceLock<Handle>,
        locals: Arc<Locals>,
    ) -> Self {
        Self(Arc::new(Peers {
            shared: Arc::new(Shared {
                credentials,
                limits,
                sweeper: Sweeper::default(),
                runtime,
                ended: CancellationToken::new(),
            }),
            peers: DashMap::new(),
            locals,
            sweeping: AtomicBool::new(false),
        }))
    }

    /// Calls `method` at `addr` (`IP:PORT`) and waits for the answer, at most `timeout` in all.
    ///
    /// After a failure to connect, calls to that address fail at once until a pause of up to
    /// [`Limits::backoff_max`] is over: a caller that retries should pause, too.
    pub async fn call(
        &self,
        addr: &str,
        method: u16,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, CallError> {
        let patience = Patience::until(Instant::now() + timeout);
        self.call_patiently(addr, method, body, patience).await
    }

    /// Like [`Client::call`], but waits only while there are signs of progress. If the future is
    /// dropped before the answer is there, the peer is told to stop.
    pub async fn call_patiently(
        &self,
        addr: &str,
        method: u16,
        body: Bytes,
        patience: Patience,
    ) -> Result<Bytes, CallError> {
        match self.route(addr) {
            Route::Remote(peer) => self.call_remote(&peer, method, body, &patience).await,
            Route::Local(handler) => call_local(&*handler, method, body, &patience).await,
        }
    }

    /// From now on calls to `addr` go straight to `handler`, which runs on the caller's task.
    pub fn register_local(&self, addr: &str, handler: Arc<dyn Handler>) {
        self.0.locals.insert(addr.into(), handler);
    }

    /// Undoes [`Client::register_local`].
    pub fn unregister_local(&self, addr: &str) {
        self.0.locals.remove(addr);
    }

    fn route(&self, addr: &str) -> Route {
        if let Some(handler) = self.0.locals.get(addr) {
            return Route::Local(Arc::clone(&handler));
        }
        if let Some(peer) = self.0.peers.get(addr) {
            return Route::Remote(Arc::clone(&peer));
        }
        let fresh = || Arc::new(Peer::new(addr));
        let peer = self.0.peers.entry(addr.into()).or_insert_with(fresh);
        Route::Remote(Arc::clone(&peer))
    }

    async fn call_remote(
        &self,
        peer: &Arc<Peer>,
        method: u16,
        body: Bytes,
        patience: &Patience,
    ) -> Result<Bytes, CallError> {
        let shared = &self.0.shared;
        // The head is counted generously, so that the peer never has to refuse the frame.
        if body.len() + 64 > shared.limits.frame_bytes_max {
            let max = shared.limits.frame_bytes_max;
            return Err(CallError::Refused(format!(
                "a call of {} bytes, where frames have at most {max}",
                body.len()
            )));
        }
        self.ensure_sweeping();
        // For the caller, the time before the call is sent counts as silence too.
        let deadline = patience.end(Instant::now());
        loop {
            let connection = peer.connection(shared, deadline).await?;
            // Registered before the attempt, so that room made in between is not missed.
            let room = connection.outbox.room.notified();
            match connection.submit(method, &body, patience) {
                Submitted::Queued(answer) => {
                    shared.sweeper.stir();
                    return answer.await;
                }
                Submitted::Full => {
                    if tokio::time::timeout_at(deadline.into(), room)
                        .await
                        .is_err()
                    {
                        return Err(peer.unreachable("its queue was full until the deadline"));
                    }
                }
                Submitted::Closed if Instant::now() >= deadline => {
                    return Err(peer.unreachable("the connection closed"));
                }
                Submitted::Closed => {}
            }
        }
    }

    fn ensure_sweeping(&self) {
        if self.0.sweeping.load(Ordering::Relaxed) || self.0.sweeping.swap(true, Ordering::Relaxed)
        {
            return;
        }
        let shared = Arc::clone(&self.0.shared);
        let runtime = shared.runtime().clone();
        runtime.spawn(async move {
            shared.ended.run_until_cancelled(shared.sweeper.run()).await;
        });
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.shared.ended.cancel();
    }
}

async fn call_local(
    handler: &dyn Handler,
    method: u16,
    body: Bytes,
    patience: &Patience,
) -> Result<Bytes, CallError> {
    let (sender, mut answer) = oneshot::channel();
    let request = Request {
        method,
        body,
        deadline: patience.deadline,
    };
    let heard = Arc::new(Progress::default());
    handler.handle(request, Responder::local(sender, Arc::clone(&heard)));
    loop {
        let end = patience.end(heard.last());
        match tokio::time::timeout_at(end.into(), &mut answer).await {
            Ok(answer) => return answer.unwrap_or(Err(CallError::Lost)),
            Err(_) if patience.end(heard.last()) > Instant::now() => {}
            Err(_) => return Err(CallError::TimedOut),
        }
    }
}
