//! Whether a cluster serves, tested as a client would: a read is answered, not refused. A proxy
//! that takes TLS only is asked within this process.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Pause between two attempts: short for a person, long for a machine.
const PAUSE: Duration = Duration::from_millis(50);

/// Where clients connect to the proxy of this process.
pub(crate) struct Clients {
    pub(crate) plain: Option<SocketAddr>,
    pub(crate) tls: Option<SocketAddr>,
    /// Resolves when the cluster answers a read of the proxy.
    pub(crate) served: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Clients {
    /// The addresses, for people.
    pub(crate) fn addresses(&self) -> String {
        let plain = self.plain.map(|addr| addr.to_string());
        let tls = self.tls.map(|addr| format!("{addr} (TLS)"));
        let all: Vec<String> = plain.into_iter().chain(tls).collect();
        all.join(" and ")
    }

    /// Waits until clients are served; forever if they never are.
    pub(crate) async fn served(&mut self) {
        match self.plain {
            Some(addr) => served(addr).await,
            None => (&mut self.served).await,
        }
    }
}

/// Waits until the proxy at `address` answers a read; forever if it never does.
async fn served(address: SocketAddr) {
    while let Err(error) = read(address).await {
        tracing::debug!(error = format!("{error:#}"), "not served yet");
        tokio::time::sleep(PAUSE).await;
    }
}

async fn read(address: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address).await.context("connect")?;
    stream
        .write_all(b"*2\r\n$3\r\nGET\r\n$1\r\n0\r\n")
        .await
        .context("ask")?;
    let mut line = String::new();
    BufReader::new(stream)
        .read_line(&mut line)
        .await
        .context("read the answer")?;
    // A value, no value, or a key of another type. A request for a password counts as well: it is
    // as good a sign of life as this process can get.
    if ["$", "_", "-WRONGTYPE", "-NOAUTH"]
        .iter()
        .any(|good| line.starts_with(good))
    {
        return Ok(());
    }
    bail!("refused: {}", line.trim())
}
