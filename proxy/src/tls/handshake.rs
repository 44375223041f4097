//! Handshakes of clients that connect by TLS. Each has a few seconds, on the thread that will serve
//! the client; accepting does not wait for it. Only so many are in progress: a further client takes
//! the place of the one that has taken longest, so that slow strangers do not keep others out.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::Tls;
use crate::clients::Client;
use crate::shared::Shared;

/// From a client's connection to the end of its handshake.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Handshakes in progress, at most.
const HANDSHAKES_MAX: usize = 512;

/// The handshakes in progress, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Handshakes(VecDeque<Weak<CancellationToken>>);

/// A handshake in progress, for as long as this is held.
pub(crate) type InProgress = Arc<CancellationToken>;

impl Handshakes {
    /// Begins a handshake; if there are too many, the oldest is given up.
    pub(crate) fn begin(&mut self) -> InProgress {
        if self.0.len() >= HANDSHAKES_MAX {
            self.0.retain(|handshake| handshake.strong_count() > 0);
        }
        if self.0.len() >= HANDSHAKES_MAX
            && let Some(oldest) = self.0.pop_front().and_then(|oldest| oldest.upgrade())
        {
            oldest.cancel();
        }
        let handshake = InProgress::default();
        self.0.push_back(Arc::downgrade(&handshake));
        handshake
    }
}

impl Tls {
    /// The handshake of a client. `None` if it failed, which is counted and logged.
    pub(crate) async fn handshake(
        &self,
        stream: TcpStream,
        shared: &Shared,
        client: &Client,
        in_progress: InProgress,
    ) -> Option<TlsStream<TcpStream>> {
        let accepting = self.acceptor().accept(stream);
        let reason = tokio::select! {
            accepted = accepting => match accepted {
                Ok(stream) => return Some(stream),
                Err(error) => reason(&error),
            },
            () = tokio::time::sleep(TIMEOUT) => "it took too long".to_owned(),
            () = in_progress.cancelled() => "too many were in progress, it was the oldest".to_owned(),
            // CLIENT KILL, or the proxy stops.
            () = ended(shared, client) => return None,
        };
        shared.metrics.tls_handshake_failures.inc();
        self.warn(client.addr, &reason);
        None
    }
}

async fn ended(shared: &Shared, client: &Client) {
    poll_fn(|cx| {
        client.waker.register(cx.waker());
        if client.is_killed() || shared.stopping.load(Ordering::Relaxed) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

fn reason(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidMessage(_)) => "the client does not speak TLS".to_owned(),
        Some(rustls::Error::NoCertificatesPresented) => {
            "the client shows no certificate, and --tls-auth-clients asks for one".to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_further_handshake_takes_the_place_of_the_oldest() {
        let mut handshakes = Handshakes::default();
        let mut held: VecDeque<_> = (0..HANDSHAKES_MAX).map(|_| handshakes.begin()).collect();
        assert!(held.iter().all(|handshake| !handshake.is_cancelled()));
        held.push_back(handshakes.begin());
        let given_up: Vec<bool> = held.iter().map(|h| h.is_cancelled()).collect();
        assert!(given_up[0] && !given_up[1..].contains(&true));
        // Those that have ended make room without harm to others.
        held.drain(..10);
        held.push_back(handshakes.begin());
        assert!(held.iter().all(|handshake| !handshake.is_cancelled()));
        assert!(handshakes.0.len() <= HANDSHAKES_MAX);
    }
}
