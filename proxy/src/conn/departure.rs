//! A client that leaves is noticed whatever its connection is doing.
//!
//! A connection that may begin no more commands does not read, so no read tells it of the end: of the
//! client that closed its socket while its command waits for a pause, a group or a map, or runs alone.
//! It asks the socket instead, whose readiness says that the end has come even when it lies behind bytes
//! that were not read. That costs a connection that reads nothing.
//!
//! A client that closed its socket and one that only shut down its sending side look alike. The second
//! reads still, so commands that came before the end are answered:
//!
//! - after a reset everything is dropped at once;
//! - a command that CLIENT PAUSE holds back is dropped at once, as in Redis;
//! - everything else is dropped when nothing has gone on for [`GRACE`]: no command began, no group
//!   answered, nothing was written. Frames that were not sent are not; a write that was sent may be applied.
//! - A client that takes none of its replies is closed after [`UNREAD_MAX`].
//!
//! Why so: `docs/decisions/2026-11-30-a-client-that-leaves.md`.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::connection::{Connection, Until};

/// How long the commands of a client that sends no more may stand still.
const GRACE: Duration = Duration::from_millis(500);
/// How long a connection that will be closed waits for its client to take another byte.
const UNREAD_MAX: Duration = Duration::from_secs(10);
/// How often the socket is asked for an end behind bytes that are not read. When there are none, it is
/// the socket that wakes the connection.
const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// A client's socket.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Unpin {
    /// Whether the client's end has come, without reading up to it. Pending as long as there is
    /// nothing to read; `None` when there is something, and no end yet.
    fn poll_end(&self, cx: &mut Context<'_>) -> Poll<Option<End>>;
}

/// How a client ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It sends no more. It may still read.
    Sending,
    /// It neither sends nor reads.
    Both,
}

impl Socket for TcpStream {
    fn poll_end(&self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        if self.poll_read_ready(cx).is_pending() {
            return Poll::Pending;
        }
        // What is ready is known, now that something is: no system call.
        let ready = self.ready(Interest::READABLE | Interest::WRITABLE);
        Poll::Ready(match ready.now_or_never() {
            Some(Ok(ready)) if ready.is_read_closed() && ready.is_write_closed() => Some(End::Both),
            Some(Ok(ready)) if ready.is_read_closed() => Some(End::Sending),
            // The thread that serves it ends.
            Some(Err(_)) => Some(End::Both),
            _ => None,
        })
    }
}

/// What a connection knows of its client's leaving.
#[derive(Default)]
pub(super) struct Departure {
    /// The client sends no more.
    pub(super) left: bool,
    /// Commands that have begun.
    pub(super) begun: u64,
    /// How far everything was when it was looked at last.
    mark: Mark,
    timer: Option<Timer>,
}

/// How far a connection is: commands that have begun, those that are not answered, and bytes that are
/// not written. It changes with each command that ends and with each byte that is written, and not when
/// something is merely tried again.
type Mark = (u64, usize, usize);

struct Timer {
    lasts: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Departure {
    /// Waits anew if something went on.
    fn look(&mut self, mark: Mark) {
        if self.mark != mark {
            self.mark = mark;
            self.timer.take_if(|timer| timer.lasts != LOOK_PAUSE);
        }
    }

    /// Whether `lasts` is over since it was first asked for.
    fn poll_timer(&mut self, cx: &mut Context<'_>, lasts: Duration) -> bool {
        self.timer.take_if(|timer| timer.lasts != lasts);
        let timer = self.timer.get_or_insert_with(|| Timer {
            lasts,
            sleep: Box::pin(tokio::time::sleep(lasts)),
        });
        let over = timer.sleep.poll_unpin(cx).is_ready();
        if over {
            self.timer = None;
        }
        over
    }
}

impl<S: Socket> Connection<S> {
    /// Whether the client has left and is not waited for any longer; asked when nothing goes on.
    pub(super) fn poll_departure(&mut self, cx: &mut Context<'_>) -> bool {
        let replies = &self.pipeline.replies;
        let mark = (self.departure.begun, replies.len(), replies.bytes());
        self.departure.look(mark);
        loop {
            let mut is_ahead = false;
            if !self.departure.left && !self.reads() {
                match self.io.poll_end(cx) {
                    Poll::Pending => {}
                    Poll::Ready(None) => is_ahead = true,
                    Poll::Ready(Some(End::Sending)) => self.departure.left = true,
                    Poll::Ready(Some(End::Both)) => return true,
                }
            }
            let is_unread = self.pipeline.replies.out.len() > 0;
            let lasts = match self.departure.left {
                true if !is_unread && self.is_paused() && self.is_settled() => return true,
                true if !is_unread => GRACE,
                _ if is_unread && (self.departure.left || self.input_ended) => UNREAD_MAX,
                _ if is_ahead => LOOK_PAUSE,
                _ => {
                    self.departure.timer = None;
                    return false;
                }
            };
            if !self.departure.poll_timer(cx, lasts) {
                return false;
            }
            if lasts != LOOK_PAUSE {
                return true;
            }
        }
    }

    /// Whether its next command is held back by CLIENT PAUSE.
    pub(super) fn is_paused(&self) -> bool {
        let parked = self.parked.as_ref();
        parked.is_some_and(|parked| matches!(parked.until, Until::Unpaused(_)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap());
        let (near, accepted) = tokio::join!(near, listener.accept());
        (near.unwrap(), accepted.unwrap().0)
    }

    /// The end that comes, however much lies before it.
    async fn end(socket: &TcpStream) -> End {
        loop {
            if let Some(end) = poll_fn(|cx| socket.poll_end(cx)).await {
                return end;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn an_end_is_seen_behind_what_was_not_read() {
        for unread in [0, 1, 100_000] {
            let (mut client, socket) = pair().await;
            // A connection has always read until there was nothing more.
            assert!(socket.try_read(&mut [0]).is_err());
            let before = poll_fn(|cx| Poll::Ready(socket.poll_end(cx))).await;
            assert_eq!(before, Poll::Pending);
            client.write_all(&vec![b'x'; unread]).await.unwrap();
            if unread > 0 {
                assert_eq!(poll_fn(|cx| socket.poll_end(cx)).await, None);
            }
            client.shutdown().await.unwrap();
            assert_eq!(end(&socket).await, End::Sending);
        }
    }

    #[tokio::test]
    async fn a_reset_is_told_from_the_end_of_sending() {
        let (client, mut socket) = pair().await;
        socket.write_all(b"not read").await.unwrap();
        client.readable().await.unwrap();
        // Closed with something unread: a reset.
        drop(client);
        assert_eq!(end(&socket).await, End::Both);
        assert!(socket.read(&mut [0]).await.is_err());
    }
}
