//! Data that is there to be copied: so many bytes in values of 16 KiB, pipelined.

use anyhow::ensure;

use super::client::REPLY_TIMEOUT;
use crate::connection::Connection;
use crate::resp::Reply;

const VALUE_BYTES: usize = 16 * 1024;

/// Commands that are sent before a reply is read.
const PIPELINED: usize = 32;

/// Spread evenly over all keys.
pub fn spread(addr: &str, bytes: usize) -> anyhow::Result<()> {
    fill(addr, bytes, &|n| format!("{:02x}:fill:{n}", n * 37 % 256))
}

/// Under keys that begin so.
pub fn under(addr: &str, prefix: &str, bytes: usize) -> anyhow::Result<()> {
    fill(addr, bytes, &|n| format!("{prefix}fill:{n}"))
}

fn fill(addr: &str, bytes: usize, key: &dyn Fn(usize) -> String) -> anyhow::Result<()> {
    let mut connection = Connection::open(addr, REPLY_TIMEOUT)?;
    let numbers: Vec<usize> = (0..bytes / VALUE_BYTES).collect();
    for chunk in numbers.chunks(PIPELINED) {
        for &n in chunk {
            // Each differs, so that compression does not make one of all.
            let value = format!("{n:08}").repeat(VALUE_BYTES / 8);
            connection.send(&["SET", &key(n), &value])?;
        }
        for _ in chunk {
            let reply = connection.receive()?;
            ensure!(reply == Reply::Simple("OK".to_owned()), "{reply:?}");
        }
    }
    Ok(())
}
