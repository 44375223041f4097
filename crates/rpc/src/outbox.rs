//! The write side of a connection: frames gather in a buffer while a write is under way, and the
//! next write takes all of them.
//!
//! Small bodies are copied behind their heads, so that a thousand of them are one contiguous piece;
//! large ones are kept as they are and written with `writev`. Pushing takes a short lock and wakes
//! the writer only when it has nothing to do.

use std::io::{self, IoSlice};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

use crate::wire::{HEAD_BYTES_MAX, Head};

/// Bodies up to this size are copied; a longer copy costs more than one more slice in `writev`.
const COPIED_BYTES_MAX: usize = 2048;

/// A buffer that grew beyond this is not kept for the next batch.
const KEPT_BYTES_MAX: usize = 256 << 10;

/// See the module's head.
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    queued_bytes_max: usize,
    filled: Notify,
    /// Told when the queue is below its bound again; also by others who wait for the same.
    pub(crate) room: Notify,
}

#[derive(Default)]
struct Queue {
    batch: Batch,
    /// Frames pushed so far; the number of the last one.
    pushed: u64,
    /// The number of the last frame that the writer took.
    taken: u64,
    finishing: bool,
    closed: bool,
}

/// The connection is closed, and nothing can be pushed.
#[derive(Debug)]
pub(crate) struct Closed;

enum Taken {
    Frames,
    Nothing,
    /// All is written, and there will be no more.
    Finished,
}

impl Outbox {
    pub(crate) fn new(queued_bytes_max: usize) -> Self {
        Self {
            queue: Mutex::default(),
            queued_bytes_max,
            filled: Notify::new(),
            room: Notify::new(),
        }
    }

    /// Queues a frame, whatever is queued already, and returns its number, counted from 1.
    pub(crate) fn push(&self, head: Head, body: &Bytes) -> Result<u64, Closed> {
        let mut queue = self.lock();
        if queue.closed || queue.finishing {
            return Err(Closed);
        }
        let was_empty = queue.batch.is_empty();
        queue.batch.push(head, body);
        queue.pushed += 1;
        let number = queue.pushed;
        drop(queue);
        if was_empty {
            self.filled.notify_one();
        }
        Ok(number)
    }

    /// Whether the bytes queued are at or over their bound.
    pub(crate) fn is_full(&self) -> bool {
        self.lock().batch.remaining() >= self.queued_bytes_max
    }

    /// Whether it was closed, by either side.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Lets the writer write what is queued, then end.
    pub(crate) fn finish(&self) {
        self.lock().finishing = true;
        self.filled.notify_one();
    }

    /// Drops what is queued and ends the writer. Frames with numbers above the one returned were
    /// surely not sent, not even in part.
    pub(crate) fn close(&self) -> u64 {
        let mut queue = self.lock();
        queue.closed = true;
        queue.batch = Batch::default();
        let taken = queue.taken;
        drop(queue);
        self.filled.notify_one();
        self.room.notify_waiters();
        taken
    }

    /// Writes what is pushed until the outbox is finished or closed. The body of the writer task.
    pub(crate) async fn write_to(&self, mut sink: impl AsyncWrite + Unpin) -> io::Result<()> {
        let mut batch = Batch::default();
        loop {
            match self.take(&mut batch) {
                Taken::Frames => sink.write_all_buf(&mut batch).await?,
                Taken::Nothing => {
                    self.filled.notified().await;
                    // Others that are ready to push do so first: their frames share the write.
                    tokio::task::yield_now().await;
                }
                Taken::Finished => return sink.shutdown().await,
            }
        }
    }

    fn take(&self, batch: &mut Batch) -> Taken {
        batch.recycle();
        let mut queue = self.lock();
        if queue.batch.is_empty() {
            return if queue.closed || queue.finishing {
                Taken::Finished
            } else {
                Taken::Nothing
            };
        }
        let was_full = queue.batch.remaining() >= self.queued_bytes_max;
        std::mem::swap(&mut queue.batch, batch);
        queue.taken = queue.pushed;
        drop(queue);
        if was_full {
            self.room.notify_waiters();
        }
        Taken::Frames
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Frames as a list of pieces; a [`Buf`] that is written from the front.
#[derive(Default)]
struct Batch {
    /// Whole pieces before the tail; `next` of them are written.
    pieces: Vec<Bytes>,
    next: usize,
    tail: BytesMut,
    remaining: usize,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.remaining == 0
    }

    fn push(&mut self, head: Head, body: &Bytes) {
        let before = self.tail.len();
        if body.len() <= COPIED_BYTES_MAX {
            self.tail.reserve(HEAD_BYTES_MAX + body.len());
            head.encode(body.len(), &mut self.tail);
            self.tail.extend_from_slice(body);
            self.remaining += self.tail.len() - before;
        } else {
            head.encode(body.len(), &mut self.tail);
            self.remaining += self.tail.len() - before + body.len();
            self.pieces.push(self.tail.split().freeze());
            self.pieces.push(body.clone());
        }
    }

    /// Empty again, keeping a reasonable amount of memory for what comes.
    fn recycle(&mut self) {
        self.pieces.clear();
        self.pieces.shrink_to(1024);
        self.next = 0;
        self.remaining = 0;
        self.tail.clear();
        if self.tail.capacity() > KEPT_BYTES_MAX {
            self.tail = BytesMut::new();
        }
    }
}

impl Buf for Batch {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.get(self.next).map_or(&self.tail, |piece| piece)
    }

    fn advance(&mut self, mut count: usize) {
        self.remaining -= count;
        while let Some(piece) = self.pieces.get_mut(self.next) {
            if count < piece.len() {
                piece.advance(count);
                return;
            }
            count -= piece.len();
            *piece = Bytes::new();
            self.next += 1;
        }
        self.tail.advance(count);
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pieces = self.pieces[self.next..].iter().map(Bytes::as_ref);
        let rest = pieces
            .chain([self.tail.as_ref()])
            .filter(|piece| !piece.is_empty());
        let mut count = 0;
        for (slot, piece) in slices.iter_mut().zip(rest) {
            *slot = IoSlice::new(piece);
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::wire::take_frame;

    #[tokio::test]
    async fn frames_large_and_small_come_out_in_order() {
        let outbox = Outbox::new(1 << 20);
        let bodies: Vec<Bytes> = [0, 5, 3000, 1, 100_000, 2048, 2049]
            .iter()
            .map(|len| Bytes::from(vec![*len as u8; *len]))
            .collect();
        for (id, body) in bodies.iter().enumerate() {
            let number = outbox.push(Head::Answer { id: id as u64 }, body).unwrap();
            assert_eq!(number, id as u64 + 1);
        }
        outbox.finish();
        let mut written = Vec::new();
        outbox.write_to(&mut written).await.unwrap();
        let mut input = BytesMut::from(written.as_slice());
        for (id, body) in bodies.iter().enumerate() {
            let (head, taken) = take_frame(&mut input, 1 << 20).unwrap().unwrap();
            assert_eq!((head, &taken), (Head::Answer { id: id as u64 }, body));
        }
        assert!(input.is_empty());
    }

    #[test]
    fn what_was_not_taken_was_not_sent() {
        let outbox = Outbox::new(16);
        let body = Bytes::from_static(b"0123456789");
        outbox.push(Head::Answer { id: 1 }, &body).unwrap();
        assert!(outbox.is_full());
        let mut batch = Batch::default();
        assert!(matches!(outbox.take(&mut batch), Taken::Frames));
        assert!(!outbox.is_full());
        outbox.push(Head::Answer { id: 2 }, &body).unwrap();
        assert_eq!(outbox.close(), 1);
        assert!(outbox.push(Head::Answer { id: 3 }, &body).is_err());
    }
}
