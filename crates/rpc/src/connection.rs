//! An open connection of the calling side: the queued frames, the waiting calls, and two tasks.
//!
//! Rules: a call is in `waiting` from before its frame can be written until its answer, its
//! deadline or the connection's end, whichever is first, and receives exactly one result. When the
//! connection breaks, calls whose frames the writer never took get `Unreachable`, the others
//! `Lost`. Lock order: `waiting`, then the outbox.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use parking_lot::{Mutex, MutexGuard};
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::outbox::Outbox;
use crate::stream::{ReadHalf, Stream};
use crate::waiting::{Waiting, WaitingCalls};
use crate::wire::{Head, take_frame};
use crate::{CallError, Limits, Patience};

/// Bytes requested per read: the work of a reader per wake-up.
pub(crate) const READ_BYTES: usize = 64 << 10;

/// If a call times out after this much silence of the whole connection, the connection is closed.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// An open connection of the calling side; see the module's head.
pub(crate) struct Connection {
    addr: Arc<str>,
    limits: Limits,
    pub(crate) outbox: Outbox,
    waiting: Mutex<WaitingCalls>,
    opened_at: Instant,
    /// When the last bytes arrived, in milliseconds since `opened_at`.
    heard_ms: AtomicU64,
    /// The peer closes: no new calls; the connection ends when the waiting calls are answered.
    retired: AtomicBool,
    ended: CancellationToken,
}

/// The outcome of an attempt to queue a call.
pub(crate) enum Submitted {
    /// It is queued.
    Queued(Answer),
    /// A bound is reached: retry when there is room.
    Full,
    /// Not queued: the connection is over.
    Closed,
}

impl Connection {
    /// Starts the tasks of a connection that has passed its handshake. They end with `client`.
    pub(crate) fn start(
        stream: Stream,
        addr: Arc<str>,
        limits: Limits,
        client: &CancellationToken,
    ) -> Arc<Self> {
        let (read_half, write_half) = stream.into_split();
        let connection = Arc::new(Self {
            addr,
            limits,
            outbox: Outbox::new(write_half, limits.queued_bytes_max),
            waiting: Mutex::default(),
            opened_at: Instant::now(),
            heard_ms: AtomicU64::new(0),
            retired: AtomicBool::new(false),
            ended: client.child_token(),
        });
        tokio::spawn({
            let connection = Arc::clone(&connection);
            async move {
                let writing = connection.outbox.run();
                let written = connection.ended.run_until_cancelled(writing).await;
                // After an orderly finish the answers to calls in flight are still to be read.
                if !matches!(written, Some(Ok(()))) {
                    connection.end(written.and_then(Result::err).as_ref());
                }
            }
        });
        tokio::spawn({
            let connection = Arc::clone(&connection);
            async move {
                let reading = connection.read_from(read_half);
                let read = connection.ended.run_until_cancelled(reading).await;
                connection.end(read.and_then(Result::err).as_ref());
            }
        });
        connection
    }

    /// Whether new calls may be sent.
    pub(crate) fn is_usable(&self) -> bool {
        !self.retired.load(Ordering::Acquire) && !self.ended.is_cancelled()
    }

    /// Queues a call if the bounds allow.
    pub(crate) fn submit(
        self: &Arc<Self>,
        method: u16,
        body: &Bytes,
        patience: &Patience,
    ) -> Submitted {
        let now = Instant::now();
        let left = patience.deadline.saturating_duration_since(now);
        let timeout_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX).max(1);
        let mut waiting = self.lock();
        if !self.is_usable() {
            return Submitted::Closed;
        }
        if waiting.len() >= self.limits.in_flight_max || self.outbox.is_full() {
            return Submitted::Full;
        }
        let id = waiting.next_id();
        let head = Head::Call {
            id,
            method,
            timeout_ms,
        };
        let Ok(frame) = self.outbox.push(head, body) else {
            return Submitted::Closed;
        };
        if waiting.len() == 0 {
            // While no call was waiting, silence did not count.
            self.hear();
        }
        let (answer, receiver) = oneshot::channel();
        waiting.insert(Waiting {
            answer,
            patience: patience.clone(),
            heard: now,
            frame,
            pieces: BytesMut::new(),
        });
        Submitted::Queued(Answer {
            receiver,
            connection: Arc::clone(self),
            id,
        })
    }

    /// Cancels a call whose caller no longer waits: the peer is told to stop.
    fn cancel(&self, id: u64) {
        let call = self.lock().take(id);
        if call.is_some() {
            // If the outbox is closed, the peer has stopped already.
            let _ = self.outbox.push(Head::Cancel { id }, &Bytes::new());
            self.after_calls_ended();
        }
    }

    /// Whether any call is waiting.
    pub(crate) fn is_busy(&self) -> bool {
        self.lock().len() > 0
    }

    /// Fails the calls that have waited long enough. If a call times out on a connection that has
    /// been silent for long, the connection is closed: the path may be cut, and a new connection
    /// recovers sooner than TCP.
    pub(crate) fn expire(&self, now: Instant) {
        let expired = self.lock().take_expired(now);
        if expired.is_empty() {
            return;
        }
        for (id, call) in expired {
            // The receiver may have been dropped meanwhile.
            let _ = call.answer.send(Err(CallError::TimedOut));
            let _ = self.outbox.push(Head::Cancel { id }, &Bytes::new());
        }
        self.after_calls_ended();
        if self.silent_for(now) >= SILENCE_MAX {
            self.end(Some(&io::Error::from(io::ErrorKind::TimedOut)));
        }
    }

    fn hear(&self) {
        let heard_ms = self.opened_at.elapsed().as_millis() as u64;
        self.heard_ms.store(heard_ms, Ordering::Relaxed);
    }

    fn silent_for(&self, now: Instant) -> Duration {
        let heard = Duration::from_millis(self.heard_ms.load(Ordering::Relaxed));
        now.saturating_duration_since(self.opened_at + heard)
    }

    async fn read_from(&self, mut half: ReadHalf) -> io::Result<()> {
        let mut input = BytesMut::with_capacity(READ_BYTES);
        let mut frames = Vec::new();
        loop {
            while let Some(frame) = take_frame(&mut input, self.limits.frame_bytes_max)? {
                frames.push(frame);
            }
            self.answer_all(&mut frames)?;
            input.reserve(READ_BYTES / 4);
            if half.read_buf(&mut input).await? == 0 {
                return Ok(());
            }
            self.hear();
        }
    }

    /// Delivers all answers of a read to their callers, under a single lock.
    fn answer_all(&self, frames: &mut Vec<(Head, Bytes)>) -> io::Result<()> {
        if frames.is_empty() {
            return Ok(());
        }
        let mut answered = Vec::with_capacity(frames.len());
        let now = Instant::now();
        let mut waiting = self.lock();
        for (head, body) in frames.drain(..) {
            let (id, result) = match head {
                Head::Answer { id } => (id, Ok(body)),
                Head::Failure { id } => (id, Err(failure(&body))),
                Head::Piece { id, total } => {
                    if let Some((call, whole)) = waiting.add_piece(id, total, &body, now) {
                        answered.push((call.answer, Ok(whole)));
                    }
                    continue;
                }
                Head::Working { id } => {
                    waiting.hear(id, now);
                    continue;
                }
                Head::Closing => {
                    self.retired.store(true, Ordering::Release);
                    continue;
                }
                Head::Call { .. } | Head::Cancel { .. } => {
                    let reason = "a call from the side that answers";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
                }
            };
            if let Some(call) = waiting.take(id) {
                answered.push((call.answer, result));
            }
        }
        drop(waiting);
        for (answer, result) in answered {
            let _ = answer.send(result);
        }
        self.after_calls_ended();
        Ok(())
    }

    fn after_calls_ended(&self) {
        self.outbox.room.notify_waiters();
        if self.retired.load(Ordering::Acquire) && !self.is_busy() {
            self.outbox.finish();
        }
    }

    /// Ends both tasks and fails every waiting call with `Unreachable` or `Lost`.
    fn end(&self, error: Option<&io::Error>) {
        self.ended.cancel();
        let sent = self.outbox.close();
        let waiting = self.lock().take_all();
        if let Some(error) = error {
            let calls = waiting.len();
            debug!(addr = %self.addr, %error, calls, "connection broke");
        }
        for call in waiting {
            let told = if call.frame > sent {
                CallError::Unreachable {
                    addr: self.addr.to_string(),
                    reason: "the connection broke before the call was sent".to_owned(),
                }
            } else {
                CallError::Lost
            };
            let _ = call.answer.send(Err(told));
        }
    }

    fn lock(&self) -> MutexGuard<'_, WaitingCalls> {
        self.waiting.lock()
    }
}

/// The answer to a call. Dropped before the answer is there, it cancels the call.
pub(crate) struct Answer {
    receiver: oneshot::Receiver<Result<Bytes, CallError>>,
    connection: Arc<Connection>,
    id: u64,
}

impl Future for Answer {
    type Output = Result<Bytes, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.receiver).poll(cx);
        answer.map(|answer| answer.unwrap_or(Err(CallError::Lost)))
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // An answered call is no longer waiting, so nothing is sent for it.
        if !self.receiver.is_terminated() {
            self.connection.cancel(self.id);
        }
    }
}

fn failure(reason: &[u8]) -> CallError {
    CallError::Failed(String::from_utf8_lossy(reason).into_owned())
}
