//! The socket options both sides set.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// How long sent bytes may stay unacknowledged by the peer's kernel before the connection counts as
/// broken. Without it a cut cable is noticed after a quarter of an hour.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(5);

/// Small writes leave at once; a peer that is gone is noticed within seconds, idle or not.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(UNACKNOWLEDGED_MAX)
        .with_interval(Duration::from_secs(1));
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    Ok(())
}
