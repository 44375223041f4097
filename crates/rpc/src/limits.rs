//! The bounds of a connection.

use std::time::Duration;

/// Bounds of every connection of a client or a server. The defaults are for production; tests use
/// small bounds to reach them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls sent and not yet answered. When reached, callers wait and servers stop reading.
    pub in_flight_max: usize,
    /// Bytes waiting to be written. A frame is admitted while the queue is below the bound, and may
    /// exceed it.
    pub queued_bytes_max: usize,
    /// Bytes of long answers that may wait on a connection of a server, as far as handlers ask
    /// ([`crate::Responder::link_budget`]). They do not count as queued.
    pub long_answer_bytes_max: usize,
    /// Bytes of a frame. A value may be 512 MiB, and the frame adds some bytes around it.
    pub frame_bytes_max: usize,
    /// From the connection's first byte to the end of the handshake.
    pub handshake_timeout: Duration,
    /// Connections that have not yet proved the token, per server; further connections are closed
    /// at once.
    pub strangers_max: usize,
    /// How long a connection attempt may take, name resolution included.
    pub connect_timeout: Duration,
    /// The longest pause between two attempts to connect; the first is 1/32 of it.
    pub backoff_max: Duration,
    /// How long a server that shuts down waits for the calls in flight.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight_max: 65_536,
            queued_bytes_max: 32 << 20,
            long_answer_bytes_max: 64 << 20,
            frame_bytes_max: 600 << 20,
            handshake_timeout: Duration::from_secs(3),
            strangers_max: 256,
            connect_timeout: Duration::from_secs(2),
            backoff_max: Duration::from_millis(640),
            drain_timeout: Duration::from_secs(5),
        }
    }
}
