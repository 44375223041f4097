//! The destination of the bytes of a connection.

use std::io::{self, IoSlice};

/// Destination of the bytes: a socket, or its replacement in a test.
pub(crate) trait Sink {
    /// Writes as much as it takes at once, like `writev`; `WouldBlock` if it takes nothing. Then
    /// the next attempt begins with the same bytes.
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Waits until the sink may take bytes again.
    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send;
}
