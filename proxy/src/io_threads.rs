//! The threads that serve clients: each has a runtime, connections to servers and clients of its own.
//!
//! A command then never changes threads on its way from the client's socket to a server's and back,
//! and what is ready for one thread wakes no other: with a scheduler that shares work, waking and
//! stealing cost more than most commands (`docs/benchmarks.md`). Everything else a proxy does runs
//! where it was started.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

use crate::shared::Shared;

/// See the module's head. Dropped, they end.
pub(crate) struct IoThreads {
    threads: Vec<IoThread>,
    next: AtomicUsize,
}

/// One of them.
pub(crate) struct IoThread {
    /// What its connections share: with a router that calls from here.
    pub(crate) shared: Arc<Shared>,
    pub(crate) runtime: Handle,
    stop: CancellationToken,
    join: Option<JoinHandle<()>>,
}

impl IoThreads {
    /// Starts so many threads.
    pub(crate) fn start(count: NonZeroUsize, shared: &Shared) -> io::Result<Self> {
        let threads = (0..count.get()).map(|number| IoThread::start(number, shared));
        Ok(Self {
            threads: threads.collect::<io::Result<_>>()?,
            next: AtomicUsize::new(0),
        })
    }

    /// The thread for the next client, in turn.
    pub(crate) fn next(&self) -> &IoThread {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        &self.threads[next % self.threads.len()]
    }
}

impl IoThread {
    fn start(number: usize, shared: &Shared) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let shared = Arc::new(Shared {
            router: Arc::new(shared.router.on(&handle)),
            ..shared.clone()
        });
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name(format!("proxy-io-{number}"));
        let join = thread.spawn(move || {
            runtime.block_on(stopped.cancelled());
            // Whatever a command still does elsewhere, nobody waits for it.
            runtime.shutdown_background();
        })?;
        Ok(Self {
            shared,
            runtime: handle,
            stop,
            join: Some(join),
        })
    }
}

impl Drop for IoThread {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(join) = self.join.take()
            && join.join().is_err()
        {
            tracing::error!("a thread that served clients panicked");
        }
    }
}
