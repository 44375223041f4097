//! The threads that serve clients. Each has its own runtime, its own connections to servers, and
//! its own clients.
//!
//! So a command never changes threads on its way from the client's socket to a server's and back,
//! and an event of a thread wakes no other thread. With a scheduler that shares work, waking and
//! stealing cost more than most commands (`docs/benchmarks.md`). All other tasks of a proxy run on
//! the runtime that started it.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

use crate::shared::Shared;

/// See the module's head. Dropping it ends the threads.
pub(crate) struct IoThreads {
    threads: Vec<IoThread>,
    next: AtomicUsize,
}

/// A thread that serves clients.
pub(crate) struct IoThread {
    pub(crate) number: usize,
    /// The state that its connections share, with a router that calls from this thread.
    pub(crate) shared: Arc<Shared>,
    pub(crate) runtime: Handle,
    stop: CancellationToken,
    join: Option<JoinHandle<()>>,
}

impl IoThreads {
    /// Starts `count` threads.
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
            // Nobody waits for work that a command still has elsewhere.
            runtime.shutdown_background();
        })?;
        handle.spawn(Arc::clone(&shared.pubsub).serve(number));
        Ok(Self {
            number,
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
