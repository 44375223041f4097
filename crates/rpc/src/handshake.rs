//! The opening of a connection. Four messages of fixed size, so that a stranger can claim no
//! memory:
//!
//! ```text
//! client: magic "COTERIE\n"   version: u16 little endian   nonce: 32 bytes
//! server: magic               version                      nonce
//! client: proof: 32 bytes     HMAC-SHA256(token, "coterie rpc client", client hello, server hello)
//! server: proof: 32 bytes     the same with "coterie rpc server"
//! ```
//!
//! The server proves itself only after the client has; a client without a valid proof gets nothing
//! beyond the server's hello. A server of another version answers with its hello and closes. The
//! version covers the frames and every message in them.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::Token;
use crate::token::{PROOF_BYTES, Side};

/// The version of the wire protocol this build speaks.
pub(crate) const VERSION: u16 = 8;

const MAGIC: &[u8; 8] = b"COTERIE\n";
const HELLO_BYTES: usize = MAGIC.len() + 2 + PROOF_BYTES;

/// The first byte of an alert of TLS, and of a handshake.
const TLS_RECORDS: [u8; 2] = [0x15, 0x16];

type Hello = [u8; HELLO_BYTES];

/// Why a connection did not open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("handshake")]
    Io(#[source] io::Error),
    #[error("no handshake in time")]
    TimedOut,
    #[error("the peer does not speak this protocol")]
    NotCoterie,
    #[error("the peer speaks version {theirs} of the protocol, this process {VERSION}")]
    Version { theirs: u16 },
    #[error("the peer did not accept this process' cluster token")]
    TokenNotAccepted,
    #[error("the peer does not know the cluster token")]
    Stranger,
    #[error(
        "the peer speaks TLS, and this process does not: give all processes certificates by \
         --cluster-tls-cert-file, or none"
    )]
    SpeaksTls,
    #[error(
        "the peer does not speak TLS, and this process speaks nothing else: give all processes \
         certificates by --cluster-tls-cert-file, or none"
    )]
    SpeaksPlain,
    #[error(
        "the peer closed the connection within the TLS handshake: its log says why; a process \
         without --cluster-tls-cert-file does so"
    )]
    Closed,
    #[error("TLS: {0}")]
    Tls(rustls::Error),
    #[error("the peer's certificate does not bear the name of the cluster (--cluster-tls-name)")]
    Name,
}

impl HandshakeError {
    /// Whether processes of a cluster can fail to talk to each other by this.
    pub(crate) fn is_of_settings(&self) -> bool {
        matches!(
            self,
            Self::SpeaksTls | Self::SpeaksPlain | Self::Tls(_) | Self::Name
        )
    }
}

/// The error of a read or a write, which within TLS may be an alert of the peer.
impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        match inner {
            Some(rustls::Error::InvalidMessage(_)) => Self::SpeaksPlain,
            Some(inner) => Self::Tls(rustls::Error::clone(inner)),
            None => Self::Io(error),
        }
    }
}

/// Opens a connection as the calling side.
pub(crate) async fn connect(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    token: &Token,
) -> Result<(), HandshakeError> {
    let ours = hello()?;
    write(stream, &ours).await?;
    let theirs = read_hello(stream).await?;
    let transcript: [&[u8]; 2] = [&ours, &theirs];
    write(stream, &token.prove(Side::Client, &transcript)).await?;
    let mut proof = [0; PROOF_BYTES];
    match stream.read_exact(&mut proof).await {
        // After a wrong proof the server closes without an answer.
        Err(e) if is_closed(&e) => return Err(HandshakeError::TokenNotAccepted),
        read => read?,
    };
    if token.verify(Side::Server, &transcript, &proof) {
        Ok(())
    } else {
        Err(HandshakeError::Stranger)
    }
}

/// Opens a connection as the answering side.
pub(crate) async fn accept(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    token: &Token,
) -> Result<(), HandshakeError> {
    let theirs = match read_hello(stream).await {
        Err(HandshakeError::Version { theirs }) => {
            write(stream, &hello()?).await?;
            return Err(HandshakeError::Version { theirs });
        }
        theirs => theirs?,
    };
    let ours = hello()?;
    write(stream, &ours).await?;
    let transcript: [&[u8]; 2] = [&theirs, &ours];
    let mut proof = [0; PROOF_BYTES];
    stream.read_exact(&mut proof).await?;
    if !token.verify(Side::Client, &transcript, &proof) {
        return Err(HandshakeError::Stranger);
    }
    write(stream, &token.prove(Side::Server, &transcript)).await
}

/// Opens a connection within this time.
pub(crate) async fn within<T>(
    timeout: Duration,
    open: impl Future<Output = Result<T, HandshakeError>>,
) -> Result<T, HandshakeError> {
    match tokio::time::timeout(timeout, open).await {
        Ok(opened) => opened,
        Err(_) => Err(HandshakeError::TimedOut),
    }
}

/// Writes all of it; a stream of TLS keeps nothing back.
async fn write(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), HandshakeError> {
    stream.write_all(bytes).await?;
    Ok(stream.flush().await?)
}

fn hello() -> Result<Hello, HandshakeError> {
    let mut hello = [0; HELLO_BYTES];
    let (magic, rest) = hello.split_at_mut(MAGIC.len());
    let (version, nonce) = rest.split_at_mut(2);
    magic.copy_from_slice(MAGIC);
    version.copy_from_slice(&VERSION.to_le_bytes());
    getrandom::fill(nonce).map_err(io::Error::other)?;
    Ok(hello)
}

async fn read_hello(stream: &mut (impl AsyncRead + Unpin)) -> Result<Hello, HandshakeError> {
    let mut hello = [0; HELLO_BYTES];
    // The first byte tells TLS, whose alerts are shorter than the magic.
    read(stream, &mut hello[..1]).await?;
    if TLS_RECORDS.contains(&hello[0]) {
        return Err(HandshakeError::SpeaksTls);
    }
    // The magic separately: a client of another protocol is rejected at its eighth byte.
    read(stream, &mut hello[1..MAGIC.len()]).await?;
    if &hello[..MAGIC.len()] != MAGIC {
        return Err(HandshakeError::NotCoterie);
    }
    read(stream, &mut hello[MAGIC.len()..]).await?;
    let theirs = u16::from_le_bytes([hello[MAGIC.len()], hello[MAGIC.len() + 1]]);
    if theirs == VERSION {
        Ok(hello)
    } else {
        Err(HandshakeError::Version { theirs })
    }
}

async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    bytes: &mut [u8],
) -> Result<(), HandshakeError> {
    stream.read_exact(bytes).await?;
    Ok(())
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    async fn both(client: &str, server: &str) -> (Option<HandshakeError>, Option<HandshakeError>) {
        let (mut near, mut far) = tokio::io::duplex(1024);
        let (client, server) = (Token::new(client), Token::new(server));
        let accepting = async move {
            let result = within(TIMEOUT, accept(&mut far, &server)).await;
            drop(far);
            result
        };
        let (connected, accepted) = tokio::join!(connect(&mut near, &client), accepting);
        (connected.err(), accepted.err())
    }

    #[tokio::test]
    async fn the_same_token_opens() {
        assert!(matches!(both("a", "a").await, (None, None)));
    }

    #[tokio::test]
    async fn another_token_does_not() {
        let (client, server) = both("a", "b").await;
        assert!(matches!(client, Some(HandshakeError::TokenNotAccepted)));
        assert!(matches!(server, Some(HandshakeError::Stranger)));
    }

    #[tokio::test]
    async fn another_version_is_told_ours() {
        let (mut near, mut far) = tokio::io::duplex(1024);
        let token = Token::new("a");
        let mut hello = hello().unwrap();
        hello[8] = 9;
        near.write_all(&hello).await.unwrap();
        let accepted = accept(&mut far, &token).await;
        assert!(matches!(
            accepted,
            Err(HandshakeError::Version { theirs: 9 })
        ));
        assert_eq!(
            read_hello(&mut near).await.unwrap()[8..10],
            VERSION.to_le_bytes()
        );
    }
}
