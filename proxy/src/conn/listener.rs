//! Accepts clients: counts them, refuses those over the limit or not allowed in protected mode, and
//! starts a task for each on a thread that serves clients. Closes idle clients once a second.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use coterie_redis_compat::errors::{MAX_CLIENTS, PROTECTED_MODE};
use coterie_redis_compat::{CommandError, Reply, Resp};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use crate::clients::Client;
use crate::io_threads::IoThreads;
use crate::shared::Shared;

/// Connections that may wait to be accepted, as by default in Redis.
const BACKLOG: u32 = 511;
/// How long a refused client has to take its error.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// Most refusals written at a time; further clients are closed without an error.
const REFUSALS_MAX: usize = 128;
/// Pause after a failed accept, for instance when no file descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Bytes of replies that the kernel may hold for a client. By default it takes megabytes, which
/// none of the proxy's limits counts.
const SEND_BUFFER_BYTES: usize = 256 << 10;
/// How often to look for idle clients.
const TICK: Duration = Duration::from_secs(1);

/// See the module's head.
pub(crate) struct Listener {
    socket: TcpListener,
    shared: Arc<Shared>,
    threads: IoThreads,
    drain_timeout: Duration,
}

/// Listens at `addr`.
pub(crate) fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = match addr {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

impl Listener {
    pub(crate) fn new(
        socket: TcpListener,
        shared: Arc<Shared>,
        threads: IoThreads,
        drain_timeout: Duration,
    ) -> Self {
        Self {
            socket,
            shared,
            threads,
            drain_timeout,
        }
    }

    /// Serves until told to stop. Returns when every client has its replies, or at the drain
    /// timeout.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        let mut refusals = JoinSet::new();
        let mut tick = tokio::time::interval(TICK);
        // Clients wait in the socket's queue until the users are known; not for long, as they want
        // to be told why.
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.shared.rights.known() => {}
            () = tokio::time::sleep(self.shared.router.request_timeout) => {}
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, addr)) => self.take_in(stream, addr, &mut connections, &mut refusals),
                    Err(error) => {
                        tracing::warn!(%error, "accept failed");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
                Some(_) = refusals.join_next() => {}
                _ = tick.tick() => self.close_idle(),
            }
        }
        // Accepts no more; connected clients finish the commands that were read from them.
        drop(self.socket);
        self.shared.stopping.store(true, Ordering::Release);
        for client in self.shared.clients.all() {
            client.waker.wake();
        }
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(self.drain_timeout, drained)
            .await
            .is_err()
        {
            tracing::warn!(
                clients = connections.len(),
                "clients closed before they took their replies"
            );
        }
        connections.shutdown().await;
    }

    fn take_in(
        &self,
        stream: TcpStream,
        addr: SocketAddr,
        connections: &mut JoinSet<()>,
        refusals: &mut JoinSet<()>,
    ) {
        let shared = &self.shared;
        if let Some(error) = self.refusal(addr) {
            shared.metrics.rejected_connections.inc();
            shared
                .stats
                .rejected_connections
                .fetch_add(1, Ordering::Relaxed);
            if refusals.len() < REFUSALS_MAX {
                refusals.spawn(refuse(stream, error));
            }
            return;
        }
        let Ok(local_addr) = prepare(&stream, shared) else {
            return;
        };
        shared.metrics.connections.inc();
        shared.metrics.clients.inc();
        shared.stats.connections.fetch_add(1, Ordering::Relaxed);
        let fd = stream.as_raw_fd();
        let stream = stream.into_std();
        let client = shared.clients.add(addr, local_addr, fd);
        let listed = Listed {
            shared: Arc::clone(shared),
            client: Arc::clone(&client),
        };
        let thread = self.threads.next();
        let shared = Arc::clone(&thread.shared);
        let serving = async move {
            let _listed = listed;
            // From here on, this thread's runtime is woken when the socket is ready.
            match stream.and_then(TcpStream::from_std) {
                Ok(stream) => Connection::new(stream, shared, client).run().await,
                Err(error) => tracing::warn!(%error, "cannot serve a client"),
            }
        };
        connections.spawn_on(serving, &thread.runtime);
    }

    fn refusal(&self, addr: SocketAddr) -> Option<CommandError> {
        let settings = &self.shared.settings;
        let is_protected =
            settings.protected_mode.load(Ordering::Relaxed) && self.shared.rights.is_open();
        if is_protected && !addr.ip().to_canonical().is_loopback() {
            return Some(PROTECTED_MODE);
        }
        let max = settings.maxclients.load(Ordering::Relaxed);
        (self.shared.clients.len() as u64 >= max).then_some(MAX_CLIENTS)
    }

    /// Closes clients that were silent for too long, do not authenticate, or exceed the soft output
    /// limit for too long.
    fn close_idle(&self) {
        let (shared, settings) = (&self.shared, &self.shared.settings);
        shared.stats.sample();
        shared.clients.tick();
        let seconds = |field: &std::sync::atomic::AtomicU64| {
            Duration::from_secs(field.load(Ordering::Relaxed))
        };
        let timeout = seconds(&settings.timeout);
        let soft = seconds(&settings.output_limits.normal.soft_seconds);
        let is_over = |since: Option<Instant>, bound: Duration| {
            since.is_some_and(|since| since.elapsed() >= bound)
        };
        for client in shared.clients.all() {
            let details = client.details().clone();
            // A subscriber has nothing to say.
            let may_time_out = !details.waits && !client.is_subscriber();
            let is_idle =
                !timeout.is_zero() && may_time_out && details.active_at.elapsed() > timeout;
            let is_stranger = !shared.auth_timeout.is_zero()
                && !details.authenticated
                && client.connected_at.elapsed() > shared.auth_timeout;
            if is_idle || is_stranger || is_over(details.over_soft_since, soft) {
                tracing::debug!(client = client.id, addr = %client.addr, "client closed");
                client.kill();
            }
            if client.pushes.exceeds() {
                client.close_for_pushes();
            }
        }
    }
}

/// Removes the client from the list, however its task ends.
struct Listed {
    shared: Arc<Shared>,
    client: Arc<Client>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.shared.clients.remove(self.client.id);
        self.shared.pubsub.forget(&self.client);
        self.shared.metrics.clients.dec();
    }
}

/// Sets the socket's options; returns the local address that the client reached.
fn prepare(stream: &TcpStream, shared: &Shared) -> io::Result<SocketAddr> {
    stream.set_nodelay(true)?;
    bound_send_buffer(stream)?;
    let keepalive = shared.settings.tcp_keepalive.load(Ordering::Relaxed);
    if keepalive > 0 {
        let time = Duration::from_secs(keepalive);
        // A third, as in Redis: three probes until the peer counts as gone.
        let interval = Duration::from_secs((keepalive / 3).max(1));
        let probes = socket2::TcpKeepalive::new()
            .with_time(time)
            .with_interval(interval);
        socket2::SockRef::from(stream).set_tcp_keepalive(&probes)?;
    }
    stream.local_addr()
}

fn bound_send_buffer(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_send_buffer_size(SEND_BUFFER_BYTES)
}

async fn refuse(mut stream: TcpStream, error: CommandError) {
    let mut line = BytesMut::new();
    Reply::from(error).encode(Resp::V2, &mut line);
    let written = async {
        let _ = stream.write_all(&line).await;
        let _ = stream.shutdown().await;
    };
    let _ = tokio::time::timeout(REFUSAL_TIMEOUT, written).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_kernel_takes_few_replies_of_a_client_that_does_not_read() -> io::Result<()> {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let (_client, accepted) = tokio::try_join!(
            TcpStream::connect(listener.local_addr()?),
            listener.accept()
        )?;
        bound_send_buffer(&accepted.0)?;
        let size = socket2::SockRef::from(&accepted.0).send_buffer_size()?;
        // Linux doubles it, to make room for its own bookkeeping.
        assert!(size <= 2 * SEND_BUFFER_BYTES, "{size}");
        Ok(())
    }
}
