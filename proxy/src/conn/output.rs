//! Bytes on their way to the client. Small replies are copied into a common buffer, large replies
//! are passed on without a copy, and everything is written with as few system calls as possible.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;

use crate::client_peaks::Peak;

/// Replies of at least this size are not copied.
const LARGE: usize = 8 << 10;
/// Most slices of a vectored write.
const SLICES: usize = 32;
/// An empty buffer that grew beyond this is freed.
const KEPT_BYTES: usize = 64 << 10;

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// The bytes to write first.
    segments: VecDeque<Bytes>,
    segment_bytes: usize,
    /// The small replies that follow.
    tail: BytesMut,
}

impl Output {
    /// Bytes not written yet.
    pub(crate) fn len(&self) -> usize {
        self.segment_bytes + self.tail.len()
    }

    /// Bytes of small replies in the buffer, and its capacity.
    pub(crate) fn buffer(&self) -> (usize, usize) {
        (self.tail.len(), self.tail.capacity())
    }

    /// The current sizes, as a peak.
    pub(crate) fn peak(&self) -> Peak {
        Peak {
            input_bytes: 0,
            output_bytes: self.len(),
            buffer_bytes: self.tail.len(),
        }
    }

    /// How many pieces the large replies, and small replies before them, are in.
    pub(crate) fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Appends a reply.
    pub(crate) fn put(&mut self, reply: Bytes) {
        if reply.len() < LARGE {
            self.tail.extend_from_slice(&reply);
        } else {
            self.seal();
            self.segment_bytes += reply.len();
            self.segments.push_back(reply);
        }
    }

    /// The buffer into which small replies are encoded directly.
    pub(crate) fn tail(&mut self) -> &mut BytesMut {
        &mut self.tail
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.segment_bytes += self.tail.len();
            self.segments.push_back(self.tail.split().freeze());
        }
    }

    /// Writes until everything is written or the socket takes no more; returns the bytes written.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<usize>> {
        let mut written = 0;
        while self.len() > 0 {
            match self.poll_write_once(cx, io) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(len)) => {
                    written += len;
                    self.advance(len);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if written > 0 => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(written))
    }

    fn poll_write_once(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<usize>> {
        if self.segments.is_empty() {
            return Pin::new(io).poll_write(cx, &self.tail);
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let parts = self.segments.iter().map(|part| part.as_ref());
        let mut count = 0;
        for (slice, part) in slices.iter_mut().zip(parts.chain([self.tail.as_ref()])) {
            *slice = IoSlice::new(part);
            count += 1;
        }
        let len = ready!(Pin::new(io).poll_write_vectored(cx, &slices[..count]))?;
        Poll::Ready(Ok(len))
    }

    fn advance(&mut self, mut len: usize) {
        while let Some(front) = self.segments.front_mut() {
            let taken = len.min(front.len());
            front.advance(taken);
            self.segment_bytes -= taken;
            len -= taken;
            if !front.is_empty() {
                return;
            }
            self.segments.pop_front();
        }
        self.tail.advance(len);
        if self.tail.is_empty() {
            if self.tail.capacity() > KEPT_BYTES {
                self.tail = BytesMut::new();
            } else {
                // Back to the start of the buffer.
                self.tail.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::poll_fn;
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn small_and_large_replies_keep_their_order() {
        let (mut near, mut far) = tokio::io::duplex(100);
        let mut output = Output::default();
        let mut expected = Vec::new();
        for at in 0..200usize {
            let reply = vec![b'a' + (at % 26) as u8; at * 97 % 20_000];
            expected.extend_from_slice(&reply);
            output.put(Bytes::from(reply));
        }
        assert_eq!(output.len(), expected.len());
        let writer = tokio::spawn(async move {
            while output.len() > 0 {
                poll_fn(|cx| output.poll_write(cx, &mut near))
                    .await
                    .unwrap();
            }
            output.segments() + output.buffer().0
        });
        let mut got = Vec::new();
        far.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, expected);
        assert_eq!(writer.await.unwrap(), 0);
    }
}
