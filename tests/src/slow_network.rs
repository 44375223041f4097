//! A slow network: a relay in front of a server, which others reach at the relay's address
//! (`--advertise`). The relay delays the bytes of both directions by a settable time.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// The most pieces in flight in a direction of a connection.
const PIECES_MAX: usize = 1024;

/// The relay; dropping it stops it.
#[derive(Debug)]
pub struct SlowNetwork {
    addr: SocketAddr,
    way: Arc<Way>,
    _runtime: Runtime,
}

#[derive(Debug, Default)]
struct Way {
    /// The server's address, once it is known.
    to: OnceLock<String>,
    delay_millis: AtomicU64,
}

impl SlowNetwork {
    /// A relay without a delay and without a server yet.
    pub fn start() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let (addr, way) = (listener.local_addr()?, Arc::new(Way::default()));
        runtime.spawn(accept(listener, Arc::clone(&way)));
        Ok(Self {
            addr,
            way,
            _runtime: runtime,
        })
    }

    /// The relay's address, at which others reach the server.
    #[must_use]
    pub fn addr(&self) -> String {
        self.addr.to_string()
    }

    /// Sets the server's address. Only the first call counts.
    pub fn lead_to(&self, addr: &str) {
        // The first address stays.
        let _ = self.way.to.set(addr.to_owned());
    }

    /// From now on all bytes arrive later by `delay`.
    pub fn delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.way.delay_millis.store(millis, Ordering::Relaxed);
    }
}

async fn accept(listener: TcpListener, way: Arc<Way>) {
    while let Ok((caller, _)) = listener.accept().await {
        let way = Arc::clone(&way);
        tokio::spawn(async move {
            let Some(to) = way.to.get() else {
                return;
            };
            let Ok(server) = TcpStream::connect(to).await else {
                return;
            };
            // Small messages are not delayed to be merged.
            let _ = (caller.set_nodelay(true), server.set_nodelay(true));
            let (from_caller, to_caller) = caller.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::select! {
                () = relay(from_caller, to_server, &way) => {}
                () = relay(from_server, to_caller, &way) => {}
            }
        });
    }
}

/// Relays each piece after its delay, until either side ends.
async fn relay(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, way: &Way) {
    let (pieces, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES_MAX);
    let reading = async move {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let delay = Duration::from_millis(way.delay_millis.load(Ordering::Relaxed));
            let piece = (Instant::now() + delay, buffer[..read].to_vec());
            if pieces.send(piece).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((at, piece)) = due.recv().await {
            tokio::time::sleep_until(at.into()).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reading, writing);
}
