//! The bytes of a connection, plain or within TLS: whole for the handshake, then in two halves.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::handshake::HandshakeError;
use crate::sink::Sink;
use crate::tls::{TlsReader, TlsWriter};
use crate::{Credentials, tls};

/// A connection before its handshake is complete.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The half that reads.
pub(crate) enum ReadHalf {
    Plain(OwnedReadHalf),
    Tls(TlsReader),
}

/// The half that writes.
pub(crate) enum WriteHalf {
    Plain(OwnedWriteHalf),
    Tls(TlsWriter),
}

impl Stream {
    /// The side that connected: with TLS if these credentials have a certificate.
    pub(crate) async fn connect(
        stream: TcpStream,
        credentials: &Credentials,
    ) -> Result<Self, HandshakeError> {
        let Some(mutual) = credentials.mutual() else {
            return Ok(Self::Plain(stream));
        };
        let connector = TlsConnector::from(mutual.client);
        let connected = connector.connect(mutual.name, stream).await;
        let stream = connected.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => HandshakeError::Closed,
            _ => error.into(),
        })?;
        Ok(Self::Tls(Box::new(stream.into())))
    }

    /// The side that accepted.
    pub(crate) async fn accept(
        stream: TcpStream,
        credentials: &Credentials,
    ) -> Result<Self, HandshakeError> {
        let Some(mutual) = credentials.mutual() else {
            return Ok(Self::Plain(stream));
        };
        let acceptor = TlsAcceptor::from(Arc::clone(&mutual.server));
        let stream = acceptor.accept(stream).await?;
        if !mutual.is_named(stream.get_ref().1.peer_certificates()) {
            return Err(HandshakeError::Name);
        }
        Ok(Self::Tls(Box::new(stream.into())))
    }

    pub(crate) fn into_split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Self::Plain(stream) => {
                let (read_half, write_half) = stream.into_split();
                (ReadHalf::Plain(read_half), WriteHalf::Plain(write_half))
            }
            Self::Tls(stream) => {
                let (read_half, write_half) = tls::split(*stream);
                (ReadHalf::Tls(read_half), WriteHalf::Tls(write_half))
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(half) => Pin::new(half).poll_read(cx, buf),
            Self::Tls(half) => Pin::new(half).poll_read(cx, buf),
        }
    }
}

impl Sink for WriteHalf {
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(half) => half.try_write_vectored(slices),
            Self::Tls(half) => half.try_write(slices),
        }
    }

    async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Plain(half) => half.writable().await,
            Self::Tls(half) => half.writable().await,
        }
    }
}
