//! Whether the cluster serves: a read through the first proxy is answered, not refused.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::layout::Layout;
use super::process::{self, Liveness};
use crate::Result;

/// Debug builds on a busy machine: groups are made and elect their leaders within seconds.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Waits until every proxy of the cluster answers a read.
pub(super) fn wait_until_served(layout: &Layout) -> Result {
    for proxy in layout.role("proxy") {
        let started = Instant::now();
        loop {
            let last = match read(&proxy.address) {
                Ok(()) => break,
                Err(error) => error,
            };
            if let Some(dead) = layout
                .members
                .iter()
                .find(|m| process::state(m) == Liveness::Stopped)
            {
                let log = dead.log();
                return Err(format!("{} ended; see {}", dead.name, log.display()).into());
            }
            if started.elapsed() > TIMEOUT {
                return Err(format!("{} does not serve: {last}", proxy.name).into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}

fn read(address: &str) -> Result {
    let address: SocketAddr = address.parse()?;
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(15)))?;
    stream.write_all(b"*2\r\n$3\r\nGET\r\n$1\r\n0\r\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    // Any value proves that the cluster serves: a string, null, or `-WRONGTYPE` for a key of
    // another type.
    if line.starts_with('$') || line.starts_with('_') || line.starts_with("-WRONGTYPE") {
        Ok(())
    } else {
        Err(line.trim().to_owned().into())
    }
}
