//! Reads from the client, as far as there is room and memory (`request_credit`).

use std::io;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use tokio_util::io::poll_read_buf;

use super::connection::Connection;
use super::departure::Socket;
use super::input::READ_BYTES;

impl<S: Socket> Connection<S> {
    /// Reads once, if reading is allowed now; returns whether anything changed.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        if !self.reads() {
            return Ok(false);
        }
        // A stopping proxy reads once more and answers the commands that have arrived. If they were
        // left unread, the kernel would reset the connection and lose replies that are still on
        // their way.
        let is_last = self.is_stopping();
        if is_last && self.input.last_read {
            self.input.ended = true;
            return Ok(true);
        }
        let wanted = self.input.wanted();
        if wanted > READ_BYTES && !self.poll_request_memory(cx, wanted) {
            self.input.ended = is_last;
            return Ok(is_last);
        }
        self.input.last_read = is_last;
        self.input.reserve(wanted);
        let Poll::Ready(read) =
            poll_read_buf(std::pin::Pin::new(&mut self.io), cx, &mut self.input.bytes)
        else {
            self.input.ended = is_last;
            return Ok(is_last);
        };
        let len = read?;
        if len == 0 {
            // Commands already received are still answered, as far as the client listens.
            self.input.ended = true;
            self.departure.left = true;
            return Ok(true);
        }
        self.client
            .request_bytes_sent
            .fetch_add(len as u64, Ordering::Relaxed);
        self.shared.metrics.input_bytes.inc_by(len as u64);
        self.shared
            .stats
            .input_bytes
            .fetch_add(len as u64, Ordering::Relaxed);
        self.input.grew(len);
        self.peak.input_bytes = self.peak.input_bytes.max(self.input.bytes.capacity());
        let limit = self
            .shared
            .settings
            .client_query_buffer_limit
            .load(Ordering::Relaxed);
        if self.input.bytes.len() as u64 > limit {
            tracing::warn!(client = self.client.id, addr = %self.client.addr, "query buffer limit reached");
            return Err(io::Error::other("query buffer limit reached"));
        }
        Ok(true)
    }

    /// Whether there is memory for the `wanted` bytes of the incoming argument.
    fn poll_request_memory(&mut self, cx: &mut Context<'_>, wanted: usize) -> bool {
        let bytes = self.request_bytes() + wanted;
        let may_read = self.requests.poll_reach(cx, bytes);
        let held = if may_read { bytes } else { 0 };
        let client = &self.client.request_bytes_held;
        client.store(held, Ordering::Relaxed);
        may_read
    }

    /// Bytes of requests that are incomplete or unanswered.
    pub(super) fn request_bytes(&self) -> usize {
        self.input.bytes.len() + self.pipeline.waiting_bytes() + self.pipeline.sent_bytes()
    }
}
