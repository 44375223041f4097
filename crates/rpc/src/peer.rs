//! A peer address: its connection, or the reason why there is none.
//!
//! All callers that need the connection while it opens wait for the same attempt. After a failed
//! attempt calls fail at once, with the reason, until a pause is over; the pause doubles with each
//! failure in a row, and the first call after it tries again.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::connection::Connection;
use crate::handshake::{self, HandshakeError};
use crate::stream::Stream;
use crate::sweeper::Sweeper;
use crate::{CallError, Credentials, Limits, socket};

type Attempt = Option<Result<Arc<Connection>, CallError>>;

/// State shared by all peers of a client.
pub(crate) struct Shared {
    pub(crate) credentials: Credentials,
    pub(crate) limits: Limits,
    pub(crate) sweeper: Sweeper,
    /// The runtime of its tasks; if the client was created outside of any runtime, the runtime of
    /// the first call.
    pub(crate) runtime: OnceLock<Handle>,
    /// Ends every task of the client.
    pub(crate) ended: CancellationToken,
}

impl Shared {
    /// The runtime of the client's tasks: always the same, independent of the caller.
    pub(crate) fn runtime(&self) -> &Handle {
        self.runtime.get_or_init(Handle::current)
    }
}

/// A peer address; see the module's head.
pub(crate) struct Peer {
    addr: Arc<str>,
    state: Mutex<Reachability>,
}

#[derive(Default)]
struct Reachability {
    link: Link,
    failures_in_a_row: u32,
}

#[derive(Default)]
enum Link {
    #[default]
    Idle,
    Opening(watch::Receiver<Attempt>),
    Open(Arc<Connection>),
    Down {
        until: Instant,
        error: CallError,
    },
}

impl Peer {
    pub(crate) fn new(addr: &str) -> Self {
        Self {
            addr: Arc::from(addr),
            state: Mutex::default(),
        }
    }

    /// The open connection, opened first if necessary.
    pub(crate) async fn connection(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        deadline: Instant,
    ) -> Result<Arc<Connection>, CallError> {
        let mut attempt = match self.look(shared) {
            Looked::Open(connection) => return Ok(connection),
            Looked::Down(error) => return Err(error),
            Looked::Opening(attempt) => attempt,
        };
        let opened = attempt.wait_for(Option::is_some);
        match tokio::time::timeout_at(deadline.into(), opened).await {
            Ok(Ok(opened)) => match &*opened {
                Some(result) => result.clone(),
                None => Err(self.unreachable("the attempt was given up")),
            },
            Ok(Err(_)) => Err(self.unreachable("the client is shut down")),
            Err(_) => Err(self.unreachable("no connection in time")),
        }
    }

    /// The error of a call that was not sent.
    pub(crate) fn unreachable(&self, reason: impl Into<String>) -> CallError {
        CallError::Unreachable {
            addr: self.addr.to_string(),
            reason: reason.into(),
        }
    }

    fn look(self: &Arc<Self>, shared: &Arc<Shared>) -> Looked {
        let mut state = self.lock();
        match &state.link {
            Link::Open(connection) if connection.is_usable() => {
                return Looked::Open(Arc::clone(connection));
            }
            Link::Opening(attempt) => return Looked::Opening(attempt.clone()),
            Link::Down { until, error } if Instant::now() < *until => {
                return Looked::Down(error.clone());
            }
            Link::Idle | Link::Open(_) | Link::Down { .. } => {}
        }
        let (done, attempt) = watch::channel(None);
        state.link = Link::Opening(attempt.clone());
        drop(state);
        let (peer, shared) = (Arc::clone(self), Arc::clone(shared));
        let runtime = shared.runtime().clone();
        runtime.spawn(async move {
            let opening = peer.open(&shared);
            if let Some(result) = shared.ended.run_until_cancelled(opening).await {
                peer.settle(&shared, &result);
                done.send_replace(Some(result));
            }
        });
        Looked::Opening(attempt)
    }

    async fn open(&self, shared: &Shared) -> Result<Arc<Connection>, CallError> {
        let limits = shared.limits;
        let connecting = TcpStream::connect(&*self.addr);
        let stream = match tokio::time::timeout(limits.connect_timeout, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(self.unreachable(error.to_string())),
            Err(_) => return Err(self.unreachable("no answer to the connection attempt")),
        };
        socket::prepare(&stream).map_err(|e| self.unreachable(e.to_string()))?;
        let credentials = &shared.credentials;
        let opening = async {
            let mut stream = Stream::connect(stream, credentials).await?;
            handshake::connect(&mut stream, &credentials.token).await?;
            Ok(stream)
        };
        let stream = handshake::within(limits.handshake_timeout, opening)
            .await
            .map_err(|error| match error {
                HandshakeError::Io(error) => self.unreachable(error.to_string()),
                HandshakeError::TimedOut => self.unreachable("no handshake in time"),
                HandshakeError::Closed => self.unreachable(error.to_string()),
                other => CallError::Refused(other.to_string()),
            })?;
        let addr = Arc::clone(&self.addr);
        Ok(Connection::start(stream, addr, limits, &shared.ended))
    }

    fn settle(&self, shared: &Shared, result: &Result<Arc<Connection>, CallError>) {
        let mut state = self.lock();
        match result {
            Ok(connection) => {
                debug!(addr = %self.addr, "connected");
                shared.sweeper.add(connection);
                state.failures_in_a_row = 0;
                state.link = Link::Open(Arc::clone(connection));
            }
            Err(error) => {
                if state.failures_in_a_row == 0 {
                    warn!(addr = %self.addr, %error, "cannot connect");
                }
                let pause = pause(shared.limits.backoff_max, state.failures_in_a_row);
                state.failures_in_a_row += 1;
                state.link = Link::Down {
                    until: Instant::now() + pause,
                    error: error.clone(),
                };
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Reachability> {
        self.state.lock()
    }
}

enum Looked {
    Open(Arc<Connection>),
    Opening(watch::Receiver<Attempt>),
    Down(CallError),
}

/// The pause after a failure: 1/32 of the longest, doubled by each failure before it.
fn pause(backoff_max: Duration, failures_before: u32) -> Duration {
    backoff_max / 32 * (1 << failures_before.min(5))
}
