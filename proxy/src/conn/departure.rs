//! Notices that a client has left, whatever its connection is doing.
//!
//! A connection that may begin no more commands does not read, so no read reports that the client
//! closed its socket: for instance while its command waits for a pause, a group or a map, or runs
//! alone. The connection then asks for the socket's readiness instead, which reports the end even
//! behind unread bytes. A connection that reads has no such cost.
//!
//! A client that closed its socket and a client that only shut down its sending side look alike.
//! The latter still reads, so commands that came before the end are answered:
//!
//! - after a reset everything is dropped at once;
//! - a command that CLIENT PAUSE holds back, or that waits for data, is dropped at once, as in
//!   Redis;
//! - everything else is dropped when nothing has happened for [`GRACE`]: no command began, no group
//!   answered, nothing was written. Unsent frames are then never sent; a write that was sent may be
//!   applied.
//! - a client that takes none of its replies is closed after [`UNREAD_MAX`].
//!
//! Why so: `docs/decisions/2026-11-30-a-client-that-leaves.md`.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;

/// How long the commands of a client that sends no more may make no progress.
const GRACE: Duration = Duration::from_millis(500);
/// How long a connection that will be closed waits for its client to take another byte.
const UNREAD_MAX: Duration = Duration::from_secs(10);
/// How often to ask the socket for an end behind unread bytes. Without unread bytes, the socket
/// wakes the connection.
const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// A client's socket.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Unpin {
    /// Whether the client's end has come, without reading up to it. Pending while there is nothing
    /// to read; `None` if there is something to read and no end yet.
    fn poll_end(&self, cx: &mut Context<'_>) -> Poll<Option<End>>;

    /// Called before the connection is closed: tells the client as far as that takes no time.
    fn say_end(&mut self) {}
}

/// How far a client has closed its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It sends no more, but may still read.
    Sending,
    /// It neither sends nor reads.
    Both,
}

impl Socket for TcpStream {
    fn poll_end(&self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        if self.poll_read_ready(cx).is_pending() {
            return Poll::Pending;
        }
        // Needs no system call: something is ready, so the readiness is known.
        let ready = self.ready(Interest::READABLE | Interest::WRITABLE);
        Poll::Ready(match ready.now_or_never() {
            Some(Ok(ready)) if ready.is_read_closed() && ready.is_write_closed() => Some(End::Both),
            Some(Ok(ready)) if ready.is_read_closed() => Some(End::Sending),
            // The thread that serves the client ends.
            Some(Err(_)) => Some(End::Both),
            _ => None,
        })
    }
}

impl Socket for TlsStream<TcpStream> {
    /// As the socket below says: TLS's own end is seen when it is read.
    fn poll_end(&self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        self.get_ref().0.poll_end(cx)
    }

    fn say_end(&mut self) {
        self.get_mut().1.send_close_notify();
        // A client that has left, or does not read, need not be told.
        let _ = self.flush().now_or_never();
    }
}

/// The state of a connection that has nothing to do, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Idle {
    /// Commands without a reply, and bytes of replies not written.
    pub(super) unanswered: (usize, usize),
    /// The connection reads from the client.
    pub(super) reads: bool,
    /// The client does not take its replies.
    pub(super) is_unread: bool,
    /// CLIENT PAUSE holds back the next command, or it waits for data, and all earlier commands are
    /// answered.
    pub(super) is_held_back: bool,
    /// The connection reads no more.
    pub(super) input_ended: bool,
}

/// Tracks whether a connection's client is leaving.
#[derive(Default)]
pub(super) struct Departure {
    /// The client sends no more.
    pub(super) left: bool,
    /// Number of commands that have begun.
    pub(super) begun: u64,
    /// The progress at the last look.
    mark: Mark,
    timer: Option<Timer>,
}

/// Progress of a connection: commands begun, commands unanswered, and bytes not written. It changes
/// with each command that ends and each byte that is written, but not with a mere retry.
type Mark = (u64, usize, usize);

struct Timer {
    lasts: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Departure {
    /// Restarts the wait if there was progress.
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

    /// Whether the client has left and its time is over; called when the connection has nothing to
    /// do.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, io: &impl Socket, idle: &Idle) -> bool {
        self.look((self.begun, idle.unanswered.0, idle.unanswered.1));
        loop {
            let mut is_ahead = false;
            if !self.left && !idle.reads {
                match io.poll_end(cx) {
                    Poll::Pending => {}
                    Poll::Ready(None) => is_ahead = true,
                    Poll::Ready(Some(End::Sending)) => self.left = true,
                    Poll::Ready(Some(End::Both)) => return true,
                }
            }
            let lasts = if self.left && !idle.is_unread {
                if idle.is_held_back {
                    return true;
                }
                GRACE
            } else if idle.is_unread && (self.left || idle.input_ended) {
                UNREAD_MAX
            } else if is_ahead {
                LOOK_PAUSE
            } else {
                self.timer = None;
                return false;
            };
            if !self.poll_timer(cx, lasts) {
                return false;
            }
            if lasts != LOOK_PAUSE {
                return true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
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

    /// The client's end, however many bytes lie before it.
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
        // Closed with unread bytes: a reset.
        drop(client);
        assert_eq!(end(&socket).await, End::Both);
        assert!(socket.read(&mut [0]).await.is_err());
    }

    /// A socket whose client has closed it as far as this says.
    struct Closed(Option<End>);

    impl Socket for Closed {
        fn poll_end(&self, _: &mut Context<'_>) -> Poll<Option<End>> {
            self.0.map_or(Poll::Pending, |end| Poll::Ready(Some(end)))
        }
    }

    impl AsyncRead for Closed {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Closed {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<std::io::Result<usize>> {
            Poll::Pending
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Pending
        }
    }

    const WAITS: Idle = Idle {
        unanswered: (1, 0),
        reads: false,
        is_unread: false,
        is_held_back: false,
        input_ended: false,
    };

    /// How long the connection of this client stays, if nothing happens on it.
    async fn stays(end: Option<End>, idle: Idle) -> Option<Duration> {
        let (mut departure, socket) = (Departure::default(), Closed(end));
        let began = tokio::time::Instant::now();
        let gone = poll_fn(|cx| {
            if departure.poll(cx, &socket, &idle) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        let gone = tokio::time::timeout(2 * UNREAD_MAX, gone).await;
        gone.ok().map(|()| began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_as_soon_as_nobody_waits_for_it() {
        let at_once = Some(Duration::ZERO);
        let held_back = Idle {
            is_held_back: true,
            ..WAITS
        };
        let unread = Idle {
            is_unread: true,
            ..WAITS
        };
        let ended = Idle {
            input_ended: true,
            ..unread
        };
        let reads = Idle {
            reads: true,
            ..WAITS
        };
        assert_eq!(stays(Some(End::Both), WAITS).await, at_once);
        assert_eq!(stays(Some(End::Sending), held_back).await, at_once);
        assert_eq!(stays(Some(End::Sending), WAITS).await, Some(GRACE));
        assert_eq!(stays(Some(End::Sending), unread).await, Some(UNREAD_MAX));
        assert_eq!(stays(None, ended).await, Some(UNREAD_MAX));
        for (end, idle) in [
            (None, WAITS),
            (None, held_back),
            (None, unread),
            (Some(End::Both), reads),
        ] {
            assert_eq!(stays(end, idle).await, None, "{end:?} {idle:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn progress_prolongs_the_stay_of_a_client_that_sends_no_more() {
        let (mut departure, socket) = (Departure::default(), Closed(Some(End::Sending)));
        let mut idle = WAITS;
        let mut is_over = async |unanswered| {
            idle.unanswered = unanswered;
            poll_fn(|cx| Poll::Ready(departure.poll(cx, &socket, &idle))).await
        };
        assert!(!is_over((2, 0)).await);
        tokio::time::advance(GRACE).await;
        assert!(!is_over((1, 0)).await, "a command was answered meanwhile");
        tokio::time::advance(GRACE / 2).await;
        assert!(!is_over((1, 0)).await);
        tokio::time::advance(GRACE / 2).await;
        assert!(is_over((1, 0)).await);
    }
}
