//! Ends connections when the proxy stops: replies already made still reach the client, and a client
//! that does not take its replies holds nobody up.
//!
//! Caller: `connection`.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Sleep, sleep, timeout};

/// How long a client may take no byte of its replies while the proxy stops.
const STALLED_MAX: Duration = Duration::from_secs(1);
/// How long a client has to close its side after it was sent its replies.
const GOODBYE: Duration = Duration::from_millis(500);
/// Buffer size for bytes that are read and dropped.
const DISCARDED_BYTES: usize = 8 << 10;

/// Times how long the client takes no replies.
#[derive(Debug, Default)]
pub(super) struct Stall(Option<Pin<Box<Sleep>>>);

impl Stall {
    /// Called when the client has taken some bytes.
    pub(super) fn ends(&mut self) {
        self.0 = None;
    }

    /// Called while the client takes nothing. Ready when that has lasted for too long.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let pause = self.0.get_or_insert_with(|| Box::pin(sleep(STALLED_MAX)));
        pause.as_mut().poll(cx)
    }
}

/// Ends our side of the connection and waits for the client to end its own.
///
/// A socket that is closed with unread bytes is reset, and a reset throws away the replies that the
/// kernel has not delivered yet. A client that sends without a pause always has such bytes.
pub(super) async fn say_goodbye<S: AsyncRead + AsyncWrite + Unpin>(io: &mut S) {
    let ended = async {
        io.shutdown().await?;
        let mut discarded = [0; DISCARDED_BYTES];
        while io.read(&mut discarded).await? > 0 {}
        std::io::Result::Ok(())
    };
    // On a timeout or an error the client is slow or gone: there is nothing left to do for it.
    let _ = timeout(GOODBYE, ended).await;
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_some_bytes_gets_more_time() {
        let mut stall = Stall::default();
        let is_over = async |stall: &mut Stall| {
            poll_fn(|cx| Poll::Ready(stall.poll_over(cx).is_ready())).await
        };
        assert!(!is_over(&mut stall).await);
        tokio::time::advance(STALLED_MAX / 2).await;
        stall.ends();
        assert!(!is_over(&mut stall).await);
        tokio::time::advance(STALLED_MAX / 2).await;
        assert!(!is_over(&mut stall).await);
        tokio::time::advance(STALLED_MAX / 2).await;
        assert!(is_over(&mut stall).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_may_send_more_until_it_sees_the_end() {
        let (mut client, mut io) = tokio::io::duplex(64);
        let leaving = tokio::spawn(async move { say_goodbye(&mut io).await });
        client.write_all(&[b'x'; 1000]).await.unwrap();
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
        drop(client);
        leaving.await.unwrap();
    }
}
