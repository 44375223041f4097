//! The answering side: a listener, and per connection a reader that calls the handler and a writer
//! that sends its answers.
//!
//! A stranger (a connection before its handshake) gets a few seconds and a small fixed amount of
//! memory, and the number of strangers is bounded. A reader stops reading while too many calls of
//! its connection are unanswered or too many bytes wait to be sent: this back-pressure reaches the
//! callers.
//!
//! Shutting down: the callers are told (`Closing`), the calls in flight are answered and written,
//! then the connections end; after [`Limits::drain_timeout`] the remaining calls are cut off.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::caller::Caller;
use crate::connection::READ_BYTES;
use crate::handshake::HandshakeError;
use crate::stream::{ReadHalf, Stream};
use crate::wire::{Head, take_frame};
use crate::{Credentials, Handler, Limits, Request, Responder, handshake, socket};

/// Calls after which immediate answers are written: the caller works on them while the next calls
/// are handled.
const FLUSHED_CALLS: usize = 16;

/// Minimum time between two warnings of refused strangers: they may try often.
const WARNING_PAUSE: Duration = Duration::from_secs(10);

/// Listens until it is shut down; dropped, it cuts its connections.
pub struct Server {
    local_addr: SocketAddr,
    shared: Arc<Shared>,
    _cut_on_drop: DropGuard,
}

struct Shared {
    credentials: Credentials,
    limits: Limits,
    handler: Arc<dyn Handler>,
    strangers: Arc<Semaphore>,
    /// When a stranger was last logged as a warning.
    warned_at: Mutex<Option<Instant>>,
    connections: TaskTracker,
    /// Take no new connections, and tell the callers.
    draining: CancellationToken,
    /// End every task.
    cut: CancellationToken,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("local_addr", &self.local_addr)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Listens on `listen` (`IP:PORT`, port 0 for any) with the default limits.
    pub async fn bind(
        listen: &str,
        credentials: impl Into<Credentials>,
        handler: Arc<dyn Handler>,
    ) -> io::Result<Self> {
        Self::bind_with_limits(listen, credentials, handler, Limits::default()).await
    }

    /// Like [`Server::bind`], with other limits.
    pub async fn bind_with_limits(
        listen: &str,
        credentials: impl Into<Credentials>,
        handler: Arc<dyn Handler>,
        limits: Limits,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let cut = CancellationToken::new();
        let shared = Arc::new(Shared {
            credentials: credentials.into(),
            limits,
            handler,
            warned_at: Mutex::default(),
            strangers: Arc::new(Semaphore::new(limits.strangers_max)),
            connections: TaskTracker::new(),
            draining: CancellationToken::new(),
            cut: cut.clone(),
        });
        let local_addr = listener.local_addr()?;
        shared
            .connections
            .spawn(accept_all(listener, Arc::clone(&shared)));
        Ok(Self {
            local_addr,
            shared,
            _cut_on_drop: cut.drop_guard(),
        })
    }

    /// The address it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Takes no new calls, waits until the answers of those in flight are written, and closes.
    pub async fn shutdown(self) {
        self.shared.connections.close();
        self.shared.draining.cancel();
        let drained = self.shared.connections.wait();
        let timeout = self.shared.limits.drain_timeout;
        if tokio::time::timeout(timeout, drained).await.is_err() {
            warn!("calls were cut off by the shutdown");
            self.shared.cut.cancel();
            self.shared.connections.wait().await;
        }
    }
}

async fn accept_all(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.draining.cancelled() => return,
            () = shared.cut.cancelled() => return,
        };
        let (stream, addr) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Usually out of file descriptors, which lasts for some time.
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let serving = serve(stream, Arc::clone(&shared));
        let told = Arc::clone(&shared);
        shared.connections.spawn(async move {
            if let Some(Err(error)) = told.cut.run_until_cancelled(serving).await {
                told.tell(addr, &error);
            }
        });
    }
}

impl Shared {
    /// Logs why a connection ended. An operator learns of processes that cannot talk to each other.
    fn tell(&self, addr: SocketAddr, error: &HandshakeError) {
        let is_due = {
            let mut warned_at = self.warned_at.lock();
            let is_due =
                error.is_of_settings() && warned_at.is_none_or(|at| at.elapsed() >= WARNING_PAUSE);
            if is_due {
                *warned_at = Some(Instant::now());
            }
            is_due
        };
        let error = error as &dyn std::error::Error;
        if is_due {
            warn!(%addr, error, "refused a connection");
        } else {
            debug!(%addr, error, "connection ended");
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) -> Result<(), HandshakeError> {
    let Ok(stranger) = Arc::clone(&shared.strangers).try_acquire_owned() else {
        return Ok(());
    };
    socket::prepare(&stream)?;
    let credentials = &shared.credentials;
    let opening = handshake::within(shared.limits.handshake_timeout, async {
        let mut stream = Stream::accept(stream, credentials).await?;
        handshake::accept(&mut stream, &credentials.token).await?;
        Ok(stream)
    });
    // A stranger does not delay a shutdown.
    let stream = match shared.draining.run_until_cancelled(opening).await {
        Some(opened) => opened?,
        None => return Ok(()),
    };
    drop(stranger);
    let (read_half, write_half) = stream.into_split();
    let caller = Arc::new(Caller::new(write_half, shared.limits));
    let writer = shared.connections.spawn({
        let caller = Arc::clone(&caller);
        let cut = shared.cut.clone();
        async move {
            let written = cut.run_until_cancelled(caller.outbox.run()).await;
            caller.outbox.close();
            if let Some(Err(error)) = written {
                debug!(%error, "cannot write to a connection");
            }
        }
    });
    let read = caller.read_from(read_half, &shared).await;
    if read.is_ok() {
        caller
            .wait_for(|| caller.in_flight.load(Ordering::Acquire) == 0)
            .await;
        caller.outbox.finish();
        // The writer ends by itself when all is written, or when the peer is gone.
        let _ = writer.await;
    } else {
        caller.outbox.close();
    }
    Ok(read?)
}

impl Caller {
    async fn read_from(self: &Arc<Self>, mut half: ReadHalf, shared: &Shared) -> io::Result<()> {
        let mut input = BytesMut::with_capacity(READ_BYTES);
        let mut told = false;
        loop {
            let now = Instant::now();
            let mut taken = 0;
            while let Some((head, body)) = take_frame(&mut input, self.limits.frame_bytes_max)? {
                if self.is_full() {
                    self.outbox.flush();
                    self.wait_for(|| !self.is_full()).await;
                }
                if taken % FLUSHED_CALLS == 0 {
                    self.outbox.flush();
                    self.outbox.hold();
                }
                taken += 1;
                self.take_call(head, body, now, &*shared.handler)?;
            }
            self.outbox.flush();
            input.reserve(READ_BYTES / 4);
            let count = tokio::select! {
                biased;
                count = half.read_buf(&mut input) => count?,
                () = shared.draining.cancelled(), if !told => {
                    told = true;
                    let _ = self.outbox.push(Head::Closing, &Bytes::new());
                    continue;
                }
            };
            if count == 0 {
                return Ok(());
            }
        }
    }

    fn take_call(
        self: &Arc<Self>,
        head: Head,
        body: Bytes,
        now: Instant,
        handler: &dyn Handler,
    ) -> io::Result<()> {
        let (id, method, timeout_ms) = match head {
            Head::Call {
                id,
                method,
                timeout_ms,
            } => (id, method, timeout_ms),
            Head::Cancel { id } => {
                self.cancelled.insert(id, self.limits.in_flight_max);
                self.outbox.cancel_long(id);
                return Ok(());
            }
            _ => {
                let reason = "an answer from the side that calls";
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
        };
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        let request = Request {
            method,
            body,
            deadline: now + Duration::from_millis(timeout_ms.into()),
        };
        handler.handle(request, Responder::remote(Arc::clone(self), id));
        Ok(())
    }
}
