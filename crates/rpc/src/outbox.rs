//! The write side of a connection: frames gather in a buffer while a write is in progress, and the
//! next write takes all of them.
//!
//! Small bodies are copied behind their heads, so that a thousand of them are contiguous; large
//! bodies are not copied and are written with `writev`. Pushing takes a short lock and wakes the
//! writer only when it is idle. A caller about to push several frames may hold the writer back and
//! write them itself.
//!
//! Long answers are kept separately (`long_answers`). Each write takes some of their pieces behind
//! the queued frames, so that a short frame waits for at most a fraction of a long answer.

use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::long_answers::{Hold, LongAnswers};
use crate::sink::Sink;
use crate::stream::WriteHalf;
use crate::wire::{HEAD_BYTES_MAX, Head};

/// Bodies up to this size are copied; a longer copy costs more than an additional slice in
/// `writev`.
const COPIED_BYTES_MAX: usize = 2048;

/// A buffer that grew beyond this is not reused for the next batch.
const KEPT_BYTES_MAX: usize = 256 << 10;

/// Bytes of long answers in a batch.
const PIECES_BYTES_MAX: usize = 256 << 10;

/// Slices of a write.
const SLICES_MAX: usize = 64;

/// The write side of a connection; see the module's head.
pub(crate) struct Outbox<S = WriteHalf> {
    queue: Mutex<Queue<S>>,
    queued_bytes_max: usize,
    filled: Notify,
    /// Notified when the queue is below its bound again; the connection uses it for its other
    /// bounds as well.
    pub(crate) room: Notify,
}

struct Queue<S> {
    /// `None` once the outbox is closed or all is written; dropping it tells the peer.
    sink: Option<Arc<S>>,
    batch: Batch,
    long: LongAnswers,
    /// A begun batch that is not fully written; empty while a write is in progress.
    begun: Batch,
    is_writing: bool,
    /// A caller pushes a few frames and will flush them.
    held: bool,
    /// Number of frames pushed so far, which is the number of the last frame.
    pushed: u64,
    /// The number of the last frame in a begun batch.
    taken: u64,
    finishing: bool,
    closed: bool,
}

/// The connection is closed, and nothing can be pushed.
#[derive(Debug)]
pub(crate) struct Closed;

enum Begun<S> {
    Write(Arc<S>, Batch),
    /// There is nothing to write, or another task is writing.
    Nothing,
    /// All is written, and no more will be.
    Finished,
}

impl<S: Sink> Outbox<S> {
    pub(crate) fn new(sink: S, queued_bytes_max: usize) -> Self {
        Self {
            queue: Mutex::new(Queue {
                sink: Some(Arc::new(sink)),
                batch: Batch::default(),
                long: LongAnswers::default(),
                begun: Batch::default(),
                is_writing: false,
                held: false,
                pushed: 0,
                taken: 0,
                finishing: false,
                closed: false,
            }),
            queued_bytes_max,
            filled: Notify::new(),
            room: Notify::new(),
        }
    }

    /// Queues a frame, even beyond the bound, and returns its number, counted from 1.
    pub(crate) fn push(&self, head: Head, body: &Bytes) -> Result<u64, Closed> {
        let mut queue = self.lock();
        if queue.closed || queue.finishing {
            return Err(Closed);
        }
        let wakes = queue.is_at_rest();
        queue.batch.push(head, body);
        queue.pushed += 1;
        let number = queue.pushed;
        drop(queue);
        if wakes {
            self.filled.notify_one();
        }
        Ok(number)
    }

    /// Queues a long answer, to be written in pieces; `hold` is dropped when the last piece is
    /// taken for a write.
    pub(crate) fn push_long(&self, id: u64, body: Bytes, hold: Hold) -> Result<(), Closed> {
        let mut queue = self.lock();
        if queue.closed || queue.finishing {
            return Err(Closed);
        }
        let wakes = queue.is_at_rest();
        queue.long.push(id, body, hold);
        drop(queue);
        if wakes {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Drops the rest of the long answer to call `id`, if it is here.
    pub(crate) fn cancel_long(&self, id: u64) {
        let dropped = self.lock().long.remove(id);
        // Freed outside the lock.
        drop(dropped);
    }

    /// From now on pushes do not wake the writer: [`Outbox::flush`] must follow soon.
    pub(crate) fn hold(&self) {
        self.lock().held = true;
    }

    /// Ends a hold, and writes as much of the queue as the socket takes at once, which avoids
    /// waking the writer; the writer writes the rest.
    pub(crate) fn flush(&self) {
        self.lock().held = false;
        let Begun::Write(sink, mut batch) = self.begin() else {
            return;
        };
        // The writer meets the same error, and ends with it.
        let _ = batch.write(&*sink);
        if self.end(batch) {
            self.filled.notify_one();
        }
    }

    /// Whether the bytes queued are at or over their bound.
    pub(crate) fn is_full(&self) -> bool {
        self.lock().batch.remaining() >= self.queued_bytes_max
    }

    /// Whether it was closed, by either side.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Lets the writer write the queue, then end.
    pub(crate) fn finish(&self) {
        self.lock().finishing = true;
        self.filled.notify_one();
    }

    /// Drops the queue and ends the writer. Frames with numbers above the returned number were
    /// certainly not sent, not even in part.
    pub(crate) fn close(&self) -> u64 {
        let mut queue = self.lock();
        queue.closed = true;
        // The holder does not come back to flush.
        queue.held = false;
        queue.sink = None;
        queue.batch = Batch::default();
        queue.long = LongAnswers::default();
        queue.begun = Batch::default();
        let taken = queue.taken;
        drop(queue);
        self.filled.notify_one();
        self.room.notify_waiters();
        taken
    }

    /// Writes pushed frames until the outbox is finished or closed. The body of the writer task.
    pub(crate) async fn run(&self) -> io::Result<()> {
        loop {
            match self.begin() {
                Begun::Write(sink, mut batch) => {
                    while !batch.write(&*sink)? {
                        sink.writable().await?;
                    }
                    self.end(batch);
                }
                Begun::Nothing => {
                    self.filled.notified().await;
                    // Let other tasks that are ready to push do so first: their frames share the
                    // write.
                    tokio::task::yield_now().await;
                }
                Begun::Finished => {
                    self.lock().sink = None;
                    return Ok(());
                }
            }
        }
    }

    fn begin(&self) -> Begun<S> {
        let mut queue = self.lock();
        if queue.is_writing || queue.held {
            return Begun::Nothing;
        }
        let Some(sink) = queue.sink.clone() else {
            return Begun::Finished;
        };
        if !queue.begun.is_empty() {
            queue.is_writing = true;
            return Begun::Write(sink, std::mem::take(&mut queue.begun));
        }
        if queue.batch.is_empty() && queue.long.is_empty() {
            return if queue.finishing {
                Begun::Finished
            } else {
                Begun::Nothing
            };
        }
        let was_full = queue.batch.remaining() >= self.queued_bytes_max;
        let spare = std::mem::take(&mut queue.begun);
        let mut batch = std::mem::replace(&mut queue.batch, spare);
        let written = queue
            .long
            .take_pieces(PIECES_BYTES_MAX, &mut |head, piece| {
                batch.push(head, &piece);
            });
        queue.taken = queue.pushed;
        queue.is_writing = true;
        drop(queue);
        drop(written);
        if was_full {
            self.room.notify_waiters();
        }
        Begun::Write(sink, batch)
    }

    /// Returns a begun batch; the result is whether work is left for the writer.
    fn end(&self, mut batch: Batch) -> bool {
        if batch.is_empty() {
            batch.recycle();
        }
        let mut queue = self.lock();
        queue.is_writing = false;
        // References to a dead connection may stay for long: free its memory.
        if !queue.closed {
            queue.begun = batch;
        }
        let is_left = !queue.begun.is_empty() || !queue.batch.is_empty() || !queue.long.is_empty();
        is_left || queue.finishing || queue.closed
    }

    fn lock(&self) -> MutexGuard<'_, Queue<S>> {
        self.queue.lock()
    }
}

impl<S> Queue<S> {
    /// Whether a push has to wake the writer. A task that writes or holds checks the queue again
    /// when it is done.
    fn is_at_rest(&self) -> bool {
        self.batch.is_empty() && self.long.is_empty() && !self.is_writing && !self.held
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

    /// Writes as much as `sink` takes at once; returns whether that was all.
    fn write(&mut self, sink: &impl Sink) -> io::Result<bool> {
        while self.has_remaining() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = self.chunks_vectored(&mut slices);
            match sink.try_write(&slices[..count]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Empties the batch, keeping a reasonable amount of memory for reuse.
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
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;
    use crate::wire::take_frame;

    /// A sink that takes a given number of bytes, then no more until `writable` is polled.
    #[derive(Default)]
    struct Narrow {
        written: Mutex<Vec<u8>>,
        room: AtomicUsize,
        refill: usize,
    }

    impl Narrow {
        fn wide() -> Self {
            Self {
                room: usize::MAX.into(),
                ..Self::default()
            }
        }

        fn frames(&self) -> Vec<(Head, Bytes)> {
            let mut input = BytesMut::from(self.written.lock().as_slice());
            let mut frames = Vec::new();
            while let Some(frame) = take_frame(&mut input, 1 << 20).unwrap() {
                frames.push(frame);
            }
            assert!(input.is_empty());
            frames
        }
    }

    impl Sink for &Narrow {
        fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            let bytes = slices.iter().flat_map(|slice| slice.iter().copied());
            let bytes: Vec<u8> = bytes.take(self.room.load(Relaxed)).collect();
            if bytes.is_empty() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.room.fetch_sub(bytes.len(), Relaxed);
            self.written.lock().extend_from_slice(&bytes);
            Ok(bytes.len())
        }

        async fn writable(&self) -> io::Result<()> {
            self.room.store(self.refill, Relaxed);
            Ok(())
        }
    }

    #[tokio::test]
    async fn frames_large_and_small_come_out_in_order_however_little_the_socket_takes() {
        let bodies: Vec<Bytes> = [0, 5, 3000, 1, 100_000, 2048, 2049]
            .iter()
            .map(|len| Bytes::from(vec![*len as u8; *len]))
            .collect();
        for refill in [7000, usize::MAX] {
            let sink = Narrow {
                refill,
                ..Narrow::default()
            };
            let outbox = Outbox::new(&sink, 1 << 20);
            let (mut number, mut sent) = (0, Vec::new());
            for round in 0..10 {
                for body in &bodies {
                    number += 1;
                    let head = Head::Answer { id: number };
                    assert_eq!(outbox.push(head, body).unwrap(), number);
                    sent.push((head, body.clone()));
                }
                if round % 2 == 0 {
                    sink.room.store(refill, Relaxed);
                    outbox.flush();
                }
            }
            outbox.finish();
            outbox.run().await.unwrap();
            assert!(outbox.lock().sink.is_none(), "the peer is told of the end");
            assert_eq!(sink.frames(), sent);
        }
    }

    #[tokio::test]
    async fn short_frames_pass_between_the_pieces_of_long_answers() {
        let sink = Narrow {
            refill: 100_000,
            ..Narrow::default()
        };
        let outbox = Outbox::new(&sink, 1 << 20);
        let long = Bytes::from((0..2_000_000u32).map(|n| n as u8).collect::<Vec<_>>());
        outbox.push_long(1, long.clone(), None).unwrap();
        outbox.push_long(2, long.slice(..1_000_000), None).unwrap();
        outbox.flush();
        let short = Bytes::from_static(b"short");
        outbox.push(Head::Answer { id: 3 }, &short).unwrap();
        outbox.finish();
        outbox.run().await.unwrap();
        let (mut answers, mut before) = ([BytesMut::new(), BytesMut::new()], None);
        for (head, body) in sink.frames() {
            match head {
                Head::Piece { id, total } => {
                    assert_eq!(total, [2_000_000, 1_000_000][id as usize - 1]);
                    answers[id as usize - 1].extend_from_slice(&body);
                }
                head => {
                    assert_eq!((head, &body), (Head::Answer { id: 3 }, &short));
                    before = Some(answers[0].len() + answers[1].len());
                }
            }
        }
        assert!(before.unwrap() <= 2 * PIECES_BYTES_MAX, "{before:?}");
        assert_eq!(answers[0], long);
        assert_eq!(answers[1], long[..1_000_000]);
    }

    #[tokio::test]
    async fn a_long_answer_that_is_cancelled_leaves_and_lets_go_of_its_hold() {
        let sink = Narrow::default();
        let outbox = Outbox::new(&sink, 1 << 20);
        let held = Arc::new(());
        let hold: Hold = Some(Box::new(Arc::clone(&held)));
        let long = Bytes::from(vec![7; 1_000_000]);
        outbox.push_long(1, long.clone(), hold).unwrap();
        let hold: Hold = Some(Box::new(Arc::clone(&held)));
        outbox.push_long(2, long, hold).unwrap();
        outbox.cancel_long(9);
        assert_eq!(Arc::strong_count(&held), 3);
        outbox.cancel_long(1);
        assert_eq!(Arc::strong_count(&held), 2);
        outbox.close();
        assert_eq!(Arc::strong_count(&held), 1);
        assert!(outbox.push_long(3, Bytes::new(), None).is_err());
    }

    #[tokio::test]
    async fn closing_ends_the_writer_whoever_held_it() {
        let sink = Narrow::wide();
        let outbox = Outbox::new(&sink, 1 << 20);
        let mut writer = std::pin::pin!(outbox.run());
        outbox.hold();
        assert!(futures_util::poll!(&mut writer).is_pending());
        outbox.close();
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_held_waits_for_the_flush_and_nothing_else_does() {
        let sink = Narrow::wide();
        let outbox = Outbox::new(&sink, 1 << 20);
        let mut writer = std::pin::pin!(outbox.run());
        let body = Bytes::from_static(b"0123456789");
        outbox.hold();
        for id in 1..=3 {
            outbox.push(Head::Answer { id }, &body).unwrap();
            assert!(futures_util::poll!(&mut writer).is_pending());
        }
        assert_eq!(sink.frames().len(), 0);
        outbox.flush();
        assert_eq!(sink.frames().len(), 3);
        outbox.push(Head::Answer { id: 4 }, &body).unwrap();
        // The writer yields once before it checks the queue.
        while sink.frames().len() < 4 {
            assert!(futures_util::poll!(&mut writer).is_pending());
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn what_was_not_taken_was_not_sent() {
        let sink = Narrow::default();
        let outbox = Outbox::new(&sink, 16);
        let body = Bytes::from_static(b"0123456789");
        outbox.push(Head::Answer { id: 1 }, &body).unwrap();
        assert!(outbox.is_full());
        outbox.flush();
        assert!(!outbox.is_full());
        outbox.push(Head::Answer { id: 2 }, &body).unwrap();
        assert_eq!(outbox.close(), 1);
        assert!(outbox.push(Head::Answer { id: 3 }, &body).is_err());
    }
}
