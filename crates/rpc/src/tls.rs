//! TLS of a connection in two halves: reader and writer share the session behind a short lock, and
//! each has its half of the socket.
//!
//! The writer says that bytes are written when the socket has taken all that became of them, not
//! when the session has: so the queue above it needs no other flush, and comes back with the same
//! bytes as long as the socket is full.

use std::io::{self, BufRead as _, IoSlice, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use rustls::Connection;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_rustls::TlsStream;

type Shared = Arc<Mutex<Session>>;

struct Session {
    tls: Connection,
    /// Bytes that the session has taken, and of which the socket has not taken everything.
    begun: usize,
}

/// The half that reads; see the module's head.
pub(crate) struct TlsReader {
    session: Shared,
    socket: OwnedReadHalf,
}

/// The half that writes; dropped, it tells the peer that nothing more comes.
pub(crate) struct TlsWriter {
    session: Shared,
    socket: OwnedWriteHalf,
}

/// Divides a stream of which everything that was written has been flushed.
pub(crate) fn split(stream: TlsStream<TcpStream>) -> (TlsReader, TlsWriter) {
    let (socket, tls): (TcpStream, Connection) = match stream {
        TlsStream::Client(stream) => {
            let (socket, tls) = stream.into_inner();
            (socket, tls.into())
        }
        TlsStream::Server(stream) => {
            let (socket, tls) = stream.into_inner();
            (socket, tls.into())
        }
    };
    let (read_half, write_half) = socket.into_split();
    let session = Arc::new(Mutex::new(Session { tls, begun: 0 }));
    let reader = TlsReader {
        session: Arc::clone(&session),
        socket: read_half,
    };
    let writer = TlsWriter {
        session,
        socket: write_half,
    };
    (reader, writer)
}

impl AsyncRead for TlsReader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut session = this.session.lock();
        loop {
            let mut plain = session.tls.reader();
            match plain.fill_buf() {
                Ok(bytes) => {
                    let len = bytes.len().min(buf.remaining());
                    buf.put_slice(&bytes[..len]);
                    plain.consume(len);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The peer's process ended. Frames have lengths: a part of one is no frame.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Poll::Ready(Ok(()));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
            let mut socket = Incoming(&mut this.socket, cx);
            match session.tls.read_tls(&mut socket) {
                Ok(_) => {
                    let taken = session.tls.process_new_packets();
                    taken.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// The socket, for rustls: `WouldBlock` when there is nothing, and then the task is woken.
struct Incoming<'a, 'b>(&'a mut OwnedReadHalf, &'a mut Context<'b>);

impl Read for Incoming<'_, '_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut buf = ReadBuf::new(bytes);
        match Pin::new(&mut *self.0).poll_read(self.1, &mut buf) {
            Poll::Ready(read) => read.map(|()| buf.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl TlsWriter {
    /// Writes a part of the bytes; `WouldBlock` until the socket has taken all of that part. The
    /// next call begins with the same bytes then.
    pub(crate) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut session = self.session.lock();
        if session.begun == 0 {
            // It takes as much as its buffer holds.
            session.begun = session.tls.writer().write_vectored(slices)?;
        }
        self.flush(&mut session)?;
        Ok(std::mem::take(&mut session.begun))
    }

    fn flush(&self, session: &mut Session) -> io::Result<()> {
        while session.tls.wants_write() {
            if session.tls.write_tls(&mut Outgoing(&self.socket))? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    /// Waits until the socket may take bytes again.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }
}

impl Drop for TlsWriter {
    fn drop(&mut self) {
        let mut session = self.session.lock();
        session.tls.send_close_notify();
        // A socket that is full or closed: the peer sees the end all the same.
        let _ = self.flush(&mut session);
    }
}

/// The socket, for rustls.
struct Outgoing<'a>(&'a OwnedWriteHalf);

impl Write for Outgoing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
